// Command hello is a program that can be built.
package main

func main() { println("hello") }
