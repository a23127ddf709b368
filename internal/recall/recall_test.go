package recall

import (
	"strconv"
	"testing"

	"github.com/stepgate/stepgate/store"
)

// silent is a store that is only watched, and never changes.
type silent struct{ store.Store }

func (silent) Watch(string, func(store.Key)) store.Watch { return silent{} }
func (silent) Current() bool                             { return true }
func (silent) Stop()                                     {}

func TestTheMemoryIsBounded(t *testing.T) {
	const most = 1000
	m := New[int](silent{}, "kind", most)
	last := ""
	for i := range most + 100 {
		last = strconv.Itoa(i)
		if _, err := m.Get(last, func() (int, error) { return i, nil }); err != nil {
			t.Fatal(err)
		}
	}
	if len(m.known) != most {
		t.Errorf("%d are remembered, want %d", len(m.known), most)
	}
	if got := m.known[last]; got != most+99 {
		t.Errorf("the last one is remembered as %d", got)
	}
}
