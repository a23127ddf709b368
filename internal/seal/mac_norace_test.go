//go:build !race

package seal

import "testing"

// Under the race detector a pool drops some of what it is given.
func TestMACAllocatesNothing(t *testing.T) {
	r := newTestRing(t, 1)
	if n := testing.AllocsPerRun(1000, func() { r.MAC(Binding, "cookie", "casino_session", "0123456789abcdef") }); n != 0 {
		t.Errorf("MAC() made %v allocations, want none", n)
	}
}
