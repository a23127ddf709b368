package account

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

func TestTheMemoryOfStandingsIsBounded(t *testing.T) {
	e := watchStandings(silent{})
	var last ID
	for i := range maxStandings + 100 {
		last = ID(strconv.Itoa(i))
		if _, err := e.get(last, func() (Standing, error) { return Standing{Epoch: uint64(i)}, nil }); err != nil {
			t.Fatal(err)
		}
	}
	if len(e.known) != maxStandings {
		t.Errorf("%d standings are remembered, want %d", len(e.known), maxStandings)
	}
	if got := e.known[last]; got.Epoch != maxStandings+99 {
		t.Errorf("the last one is remembered as %d", got.Epoch)
	}
}
