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

func TestTheMemoryOfEpochsIsBounded(t *testing.T) {
	e := watchEpochs(silent{})
	var last ID
	for i := range maxEpochs + 100 {
		last = ID(strconv.Itoa(i))
		if _, err := e.get(last, func() (uint64, error) { return uint64(i), nil }); err != nil {
			t.Fatal(err)
		}
	}
	if len(e.known) != maxEpochs {
		t.Errorf("%d epochs are remembered, want %d", len(e.known), maxEpochs)
	}
	if got := e.known[last]; got != maxEpochs+99 {
		t.Errorf("the last one is remembered as %d", got)
	}
}
