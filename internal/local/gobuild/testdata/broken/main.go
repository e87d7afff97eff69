// Command broken is a program that cannot be built.
package main

func main() { missing() }
