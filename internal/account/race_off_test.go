//go:build !race

package account_test

// raceDetector tells that the race detector watches, which costs ten times the time.
const raceDetector = false
