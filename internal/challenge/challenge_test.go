package challenge_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stepgate/stepgate/internal/challenge"
	"github.com/stepgate/stepgate/internal/delivery"
	"github.com/stepgate/stepgate/internal/seal"
	"github.com/stepgate/stepgate/policy"
	"github.com/stepgate/stepgate/store"
)

func TestAChallengeIsReadAsItWasWritten(t *testing.T) {
	w := newWorld(t)
	want := w.asked()
	if _, err := w.book.Ensure(t.Context(), want); err != nil {
		t.Fatal(err)
	}
	want.Moved, want.Key = challenge.Pending, w.ring.Current()
	w.reopen()
	if diff := cmp.Diff(want, w.get(want.ID)); diff != "" {
		t.Errorf("read back differently (-want +got):\n%s", diff)
	}
}

func TestTheLargestHeldBodyFitsIntoTheStore(t *testing.T) {
	w := newWorld(t)
	c := w.asked()
	c.Held.Body = bytes.Repeat([]byte{0xff}, 1<<20)
	if _, err := w.book.Ensure(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if request, moved := w.pass(c.ID, true); !moved || !bytes.Equal(request.Body, c.Held.Body) {
		t.Errorf("released %v, moved %v, want the body of 1 MiB", request, moved)
	}
}

func TestEnsureWritesAChallengeOnce(t *testing.T) {
	w := newWorld(t)
	first := w.asked()
	second := *first
	second.Account, second.Rules, second.Held = "account-of-mallory", []string{"contact"}, nil
	if _, err := w.book.Ensure(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	w.pass(first.ID, false)
	got, err := w.book.Ensure(t.Context(), &second)
	if err != nil || got.Account != first.Account || got.Moved != challenge.Passed || got.Held == nil {
		t.Errorf("a second Ensure() = %v for %q, %v, want the first one as it is by now", got, got.Account, err)
	}
}

func TestEnsureAtOnceGivesEverybodyTheSameChallenge(t *testing.T) {
	w := newWorld(t)
	c := w.asked()
	var mu sync.Mutex
	seen := map[string]int{}
	atOnce(50, func(i int) {
		mine := *c
		mine.Binding = fmt.Sprint("session ", i)
		got, err := w.book.Ensure(t.Context(), &mine)
		if err != nil {
			t.Error(err)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		seen[got.Binding]++
	})
	if stored := w.get(c.ID).Binding; len(seen) != 1 || seen[stored] != 50 {
		t.Errorf("50 calls got %v, the store has %q: want the same for all", seen, stored)
	}
}

// R10: a new challenge cannot begin anywhere but at its beginning.
func TestANewChallengeIsPendingWhateverItsCallerSays(t *testing.T) {
	w := newWorld(t)
	for _, said := range []challenge.State{"", challenge.Passed, challenge.Released} {
		c := w.asked()
		c.Moved, c.Key = said, 99
		got, err := w.book.Ensure(t.Context(), c)
		if err != nil || got.Moved != challenge.Pending || got.Key != w.ring.Current() {
			t.Errorf("Ensure() of one that says %q = %s under key %d, %v", said, got.Moved, got.Key, err)
		}
		if c.Moved != said {
			t.Error("Ensure() altered what it was given")
		}
	}
}

// R14: the way from challenge to completion has an end.
func TestAChallengeExpiresAtItsDeadlineAndIsForgottenLater(t *testing.T) {
	w := newWorld(t)
	c := w.pending()
	w.clock.add(challenge.Lifetime - 1)
	w.wantState(c.ID, challenge.Pending)
	w.clock.add(1)
	w.wantState(c.ID, challenge.Expired)
	if _, moved := w.pass(c.ID, true); moved {
		t.Error("it was passed at its deadline")
	}
	w.clock.add(10*time.Minute - time.Second)
	w.wantState(c.ID, challenge.Expired)
	w.clock.add(time.Second)
	if _, err := w.book.Get(t.Context(), c.ID); !errors.Is(err, challenge.ErrNotFound) {
		t.Errorf("Get() long after = %v, want ErrNotFound", err)
	}
	if _, err := w.store.Expire(t.Context(), 10); err != nil {
		t.Fatal(err)
	}
	if all, err := w.store.Scan(t.Context(), "challenge/", "", 10); err != nil || len(all) != 0 {
		t.Errorf("%d records stay behind, %v", len(all), err)
	}
}

func TestAcceptsNamesTheChallengesFactorsOnly(t *testing.T) {
	c := &challenge.Challenge{Factors: []policy.Factor{policy.TOTP, policy.RecoveryKey}}
	for f, want := range map[policy.Factor]bool{policy.TOTP: true, policy.RecoveryKey: true, policy.SMS: false, "": false, "TOTP": false} {
		if got := c.Accepts(f); got != want {
			t.Errorf("Accepts(%q) = %v, want %v", f, got, want)
		}
	}
}

func TestIDsAre128RandomBits(t *testing.T) {
	w := newWorld(t)
	seen := map[string]bool{}
	for range 1000 {
		id, err := w.book.NewID()
		if err != nil {
			t.Fatal(err)
		}
		if raw, err := base64.RawURLEncoding.Strict().DecodeString(id); err != nil || len(raw) != 16 || seen[id] {
			t.Fatalf("NewID() = %q after %d others", id, len(seen))
		}
		seen[id] = true
	}
	broken := challenge.NewBook(w.store, w.ring, iotest.ErrReader(errors.New("no entropy")), w.clock.now)
	if id, err := broken.NewID(); err == nil {
		t.Errorf("NewID() without randomness = %q, want an error", id)
	}
}

// each calls every method that takes an id.
func (w *world) each(id string) map[string]error {
	ctx := w.Context()
	c := w.asked()
	c.ID = id
	errs := map[string]error{}
	_, errs["Get"] = w.book.Get(ctx, id)
	_, errs["ReserveSend"] = w.book.ReserveSend(ctx, id, delivery.Wanted{First: true})
	_, errs["MarkNotSent"] = w.book.MarkNotSent(ctx, id, 1)
	_, _, errs["MarkSent"] = w.book.MarkSent(ctx, id, 1, "carrier", "")
	_, errs["MarkUndelivered"] = w.book.MarkUndelivered(ctx, id, 1)
	_, _, _, errs["Pass"] = w.book.Pass(ctx, id, challenge.Passing{By: policy.SMS, Epoch: 0}, true)
	_, _, _, errs["Take"] = w.book.Take(ctx, id)
	_, _, errs["End"] = w.book.End(ctx, id, challenge.Cancelled)
	_, errs["Ensure"] = w.book.Ensure(ctx, c)
	return errs
}

// Ids come from URLs and forms. What NewID cannot have made is not looked for,
// and is not found rather than an error of the store.
func TestWhatIsNoIDIsNotFound(t *testing.T) {
	w := newWorld(t)
	id := w.pending().ID
	spare := id[:21] + string(id[21]+1) // the same 128 bits for a decoder that is not strict
	for name, bad := range map[string]string{
		"empty": "", "short": id[:21], "long": id + "A", "twice": id + id, "spare bits": spare, "padded": id + "==",
		"line break": id[:11] + "\n" + id[11:], "line break behind": id + "\r\n", "space": " " + id, "slash": "../account/" + id[:11],
		"other alphabet": strings.Repeat("+/", 11), "not ASCII": strings.Repeat("é", 11), "zero byte": id[:21] + "\x00",
	} {
		for method, err := range w.each(bad) {
			if !errors.Is(err, challenge.ErrNotFound) {
				t.Errorf("%s: %s(%q) = %v, want ErrNotFound", name, method, bad, err)
			}
		}
	}
	w.wantState(id, challenge.Pending)
	if all, err := w.store.Scan(t.Context(), "", "", 10); err != nil || len(all) != 1 {
		t.Errorf("the store has %d records, %v, want the one challenge", len(all), err)
	}
}

func TestAnIDThatStandsForNothingIsNotFound(t *testing.T) {
	w := newWorld(t)
	for method, err := range w.each(w.asked().ID) {
		if want := method != "Ensure"; errors.Is(err, challenge.ErrNotFound) != want {
			t.Errorf("%s() = %v, want ErrNotFound: %v", method, err, want)
		}
	}
}

// I1: an outage or a record that does not open is never taken for a challenge
// that is not there.
func TestInvariantI1AStoreThatCannotSayIsNotAnAbsentChallenge(t *testing.T) {
	w := newWorld(t)
	id := w.pending().ID
	foreign, err := seal.NewRing(random(2), w.clock.now())
	if err != nil {
		t.Fatal(err)
	}
	ours := w.book
	w.book = w.another(foreign)
	for method, err := range w.each(id) {
		if !errors.Is(err, seal.ErrOpen) || errors.Is(err, challenge.ErrNotFound) {
			t.Errorf("%s() under another ring = %v, want ErrOpen", method, err)
		}
	}
	w.book = ours
	w.wantState(id, challenge.Pending)
	if err := w.store.Close(); err != nil {
		t.Fatal(err)
	}
	for method, err := range w.each(id) {
		if !errors.Is(err, store.ErrClosed) || errors.Is(err, challenge.ErrNotFound) {
			t.Errorf("%s() on a closed store = %v, want ErrClosed", method, err)
		}
	}
}

// I8: sealed at rest, and in no log.
func TestInvariantI8AChallengeIsSealedAndDoesNotPrint(t *testing.T) {
	w := newWorld(t)
	c := w.pending()
	send := w.reserve(c.ID, true)
	c = send.Challenge
	record, err := w.store.Get(t.Context(), store.NewKey("challenge", c.ID))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&out, strings.Repeat(verb+"\n", 4), c, *c, send, &send)
	}
	for _, handler := range []slog.Handler{slog.NewJSONHandler(&out, nil), slog.NewTextHandler(&out, nil)} {
		slog.New(handler).Info("all", "c", c, "value", *c, "send", send, "pointer", &send)
	}
	body := base64.StdEncoding.EncodeToString([]byte("amount=2500000"))
	for _, secret := range []string{"2500000", "withdraw", "81234567890", "account-of-budi", body, send.Code, fmt.Sprintf("%x", "amount")} {
		if bytes.Contains(record.Value, []byte(secret)) {
			t.Errorf("the store shows %q", secret)
		}
		if strings.Contains(out.String(), secret) {
			t.Errorf("%q shows in:\n%s", secret, out.String())
		}
	}
	if !strings.Contains(out.String(), c.ID) {
		t.Error("a challenge does not even print its id")
	}
}
