//go:build !race

package gate_test

// raceDetector tells that the race detector watches, under which pools forget at random.
const raceDetector = false
