package seal

import (
	"bytes"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"
)

// rotateLater adds a key that becomes current some time after testTime.
func rotateLater(t testing.TB, r *Ring, seed byte, in time.Duration) *Ring {
	t.Helper()
	next, err := r.Rotate(testRandom(seed), testTime, testTime.Add(in))
	if err != nil {
		t.Fatal(err)
	}
	return next
}

// at returns a clock that stands some time after testTime.
func at(d time.Duration) func() time.Time { return func() time.Time { return testTime.Add(d) } }

func TestANewKeyOnlyOpensUntilItsTimeHasCome(t *testing.T) {
	r := rotateLater(t, newTestRing(t, 1), 2, 10*time.Minute)
	for _, tt := range []struct {
		after time.Duration
		want  KeyID
	}{
		// The document knows whole seconds, and testTime is 678 ns after one.
		{-time.Hour, 1}, {0, 1}, {10*time.Minute - time.Second, 1}, {10 * time.Minute, 2}, {time.Hour, 2},
	} {
		r.Clock = at(tt.after)
		if got := r.Current(); got != tt.want {
			t.Errorf("Current() after %v = %d, want %d", tt.after, got, tt.want)
		}
		sealed := sealFor(t, r, "a", "plain")
		if got := KeyID(sealed[4]); got != tt.want {
			t.Errorf("Seal() after %v used key %d, want %d", tt.after, got, tt.want)
		}
	}
	// A node whose clock is ahead already makes things with it.
	ahead := *r
	ahead.Clock = at(time.Hour)
	sealed := sealFor(t, &ahead, "a", "plain")
	r.Clock = at(0)
	if got, err := r.Open("a", sealed); err != nil || string(got) != "plain" {
		t.Errorf("Open() of what a node ahead has sealed = %q, %v", got, err)
	}
}

func TestOneKeyAtATimeWaitsToBecomeCurrent(t *testing.T) {
	r := rotateLater(t, newTestRing(t, 1), 2, 10*time.Minute)
	if next, err := r.Rotate(testRandom(3), testTime.Add(9*time.Minute), testTime.Add(time.Hour)); err == nil {
		t.Errorf("Rotate() while a key waits = %v, want an error", next)
	}
	if next, err := r.Rotate(testRandom(3), testTime.Add(10*time.Minute), testTime.Add(time.Hour)); err != nil || next.IDs()[0] != 3 {
		t.Errorf("Rotate() afterwards = %v, %v, want a key 3", next, err)
	}
	if next, err := r.Rotate(testRandom(3), testTime.Add(time.Hour), testTime); err == nil {
		t.Errorf("Rotate() into the past = %v, want an error", next)
	}
}

func TestARingInUseTakesOverALaterStateOfItself(t *testing.T) {
	first := newTestRing(t, 1)
	second := rotateLater(t, first, 2, time.Hour)
	r := newTestRing(t, 1)
	r.Clock = at(0)
	mac := r.MAC(Subject, "budi")
	if changed, err := r.Adopt(second); err != nil || !changed {
		t.Fatalf("Adopt() = %v, %v, want a change", changed, err)
	}
	if !bytes.Equal(r.Marshal(), second.Marshal()) || r.Current() != 1 || r.Generation() != 1 || r.MAC(Subject, "budi") != mac {
		t.Errorf("after Adopt() it is %v of generation %d", r, r.Generation())
	}
	if changed, err := r.Adopt(second); err != nil || changed || r.Generation() != 1 {
		t.Errorf("Adopt() of the same = %v, %v, want no change", changed, err)
	}
	r.Clock = at(time.Hour)
	sealed := sealFor(t, r, "a", "plain")
	if sealed[4] != 2 {
		t.Errorf("Seal() used key %d, want 2, whose time has come", sealed[4])
	}
	retired, err := second.Retire(1, testTime.Add(48*time.Hour), 24*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if changed, err := r.Adopt(retired); err != nil || !changed || !slices.Equal(r.IDs(), []KeyID{2}) {
		t.Errorf("Adopt() of a ring without key 1 = %v, %v, IDs() = %v", changed, err, r.IDs())
	}
}

// An attacker who can exchange the document, or an operator who puts a wrong one in
// place, must not make players count as ones without a second factor.
func TestARingInUseRefusesAnotherRing(t *testing.T) {
	r := rotate(t, newTestRing(t, 1), 2)
	r.Clock = at(2 * time.Hour)
	before := r.Marshal()
	otherKey, err := newRingKey(2, testTime, testTime, bytes.Repeat([]byte{7, 8}, 16))
	if err != nil {
		t.Fatal(err)
	}
	swapped, err := newRing(r.secrets().lookup, []*ringKey{otherKey, r.secrets().keys[1]})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		next *Ring
		want error
	}{
		{"another lookup secret", newTestRing(t, 9), ErrOtherRing},
		{"another secret of a key", swapped, ErrOtherRing},
		{"without the current key", newTestRing(t, 1), ErrKeyNeeded},
	} {
		if changed, err := r.Adopt(tt.next); changed || !errors.Is(err, tt.want) {
			t.Errorf("%s: Adopt() = %v, %v, want %v", tt.name, changed, err, tt.want)
		}
		if !bytes.Equal(r.Marshal(), before) || r.Generation() != 0 {
			t.Errorf("%s: the ring has changed", tt.name)
		}
	}
}

// A key that is not current yet can be taken back: nothing was made under it.
func TestAKeyThatWaitsCanBeTakenBack(t *testing.T) {
	r := rotateLater(t, newTestRing(t, 1), 2, time.Hour)
	r.Clock = at(0)
	if changed, err := r.Adopt(newTestRing(t, 1)); err != nil || !changed || len(r.IDs()) != 1 {
		t.Errorf("Adopt() = %v, %v, IDs() = %v, want key 1 alone", changed, err, r.IDs())
	}
}

func TestARingIsUsedWhileItIsTakenOver(t *testing.T) {
	states := []*Ring{newTestRing(t, 1), rotateLater(t, newTestRing(t, 1), 2, time.Hour)}
	r := newTestRing(t, 1)
	r.Clock = at(0)
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for n := range 200 {
				if _, err := r.Adopt(states[(i+n)%2]); err != nil {
					t.Error(err)
				}
				if got, err := r.Open("a", sealFor(t, r, "a", "plain")); err != nil || string(got) != "plain" {
					t.Errorf("Open() = %q, %v", got, err)
				}
			}
		})
	}
	wg.Wait()
}

func TestOnlyAKeyThatHasRestedIsRetired(t *testing.T) {
	const day = 24 * time.Hour
	r := rotateLater(t, newTestRing(t, 1), 2, time.Hour)
	r, err := r.Rotate(testRandom(3), testTime.Add(2*time.Hour), testTime.Add(3*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name  string
		id    KeyID
		after time.Duration
		rest  time.Duration
		want  error
	}{
		{"no such key", 4, 9 * day, day, ErrUnknownKey},
		{"still to become current", 3, 2 * time.Hour, 0, ErrInUse},
		{"current", 2, 2 * time.Hour, 0, ErrInUse},
		{"current at its last", 3, 9 * day, 0, ErrInUse},
		{"current a moment ago", 2, day + 3*time.Hour - time.Second, day, ErrJustUsed},
		{"current a moment ago, and forced", 2, 3*time.Hour + time.Second, 0, nil},
		{"rested a day", 2, day + 3*time.Hour, day, nil},
		{"ended by the one before last", 1, day + time.Hour, day, nil},
		{"ended less than a day ago by the one before last", 1, day + time.Hour - time.Second, day, ErrJustUsed},
	} {
		next, err := r.Retire(tt.id, testTime.Add(tt.after), tt.rest)
		if !errors.Is(err, tt.want) {
			t.Errorf("%s: Retire(%d) = %v, want %v", tt.name, tt.id, err, tt.want)
		}
		if err == nil && (slices.Contains(next.IDs(), tt.id) || len(next.IDs()) != 2) {
			t.Errorf("%s: IDs() = %v, want all but %d", tt.name, next.IDs(), tt.id)
		}
	}
	if got := r.Keys(testTime.Add(2 * time.Hour)); len(got) != 3 || got[0].Current || !got[1].Current || got[2].Current {
		t.Errorf("Keys() = %+v, want the second of three to be current", got)
	}
}

func TestADocumentTellsFromWhenEachKeyIsCurrent(t *testing.T) {
	for _, tt := range []struct {
		name   string
		ring   *Ring
		format string
	}{
		{"one key", newTestRing(t, 1), `{"format":1,`},
		{"a key that was current at once", rotate(t, newTestRing(t, 1), 2), `{"format":1,`},
		{"a key with a lead", rotateLater(t, newTestRing(t, 1), 2, time.Hour), `{"format":2,`},
	} {
		doc := tt.ring.Marshal()
		if !bytes.HasPrefix(doc, []byte(tt.format)) {
			t.Errorf("%s: Marshal() begins %.12s, want %s", tt.name, doc, tt.format)
		}
		parsed, err := ParseRing(doc)
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		if got, want := parsed.Keys(testTime), tt.ring.Keys(testTime); !slices.Equal(got, want) {
			t.Errorf("%s: Keys() = %v, want %v", tt.name, got, want)
		}
	}
}
