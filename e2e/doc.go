// Package e2e drives the whole of Stepgate from outside: the built binary as a
// process, the demo site behind it, a real Chromium and a plain HTTP client in
// front. It has no code of its own but its tests.
package e2e
