package rotationtest

// Raced tells the tests whether the race detector is on.
const Raced = raced
