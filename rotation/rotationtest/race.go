//go:build race

package rotationtest

// raced is whether the race detector is on. It makes all that is slow some five
// times slower.
const raced = true
