//go:build race

package rotationtest_test

// raced is whether the race detector is on.
const raced = true
