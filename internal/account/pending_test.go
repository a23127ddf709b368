package account_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/audit"
	"github.com/stepgate/stepgate/internal/challenge"
	"github.com/stepgate/stepgate/policy"
)

func TestTheSameInterruptionFindsTheSameChallengeAndAnyOtherDoesNot(t *testing.T) {
	w := newWorld(t)
	first := w.open(w.interruption("POST 2500000"))
	if !first.New {
		t.Fatal("the first is not new")
	}
	w.clock.add(challenge.Lifetime - 1)
	again := w.open(w.interruption("POST 2500000"))
	if again.New || again.Pending.ID != first.Pending.ID || !again.Pending.Expires.Equal(first.Pending.Expires) {
		t.Errorf("the same interruption: new %v, %s until %s, want the first", again.New, again.Pending.ID, again.Pending.Expires)
	}
	for name, alter := range map[string]func(in *account.Interruption){
		"request":    func(in *account.Interruption) { in.Fingerprint = "POST 2500001" },
		"rules":      func(in *account.Interruption) { in.Rules = "contact" },
		"session":    func(in *account.Interruption) { in.Binding = "session 2" },
		"browser":    func(in *account.Interruption) { in.Browser = "browser 2" },
		"no browser": func(in *account.Interruption) { in.Browser = "" },
	} {
		in := w.interruption("POST 2500000")
		alter(&in)
		if o := w.open(in); !o.New {
			t.Errorf("another %s found the same challenge", name)
		}
	}
	stranger, err := w.book.Open(t.Context(), w.book.ID("sari"), w.interruption("POST 2500000"))
	if err != nil || !stranger.New {
		t.Errorf("another player found the same challenge, %v", err)
	}
}

// opens lets n interruptions go at once, on two nodes, and returns the ids of the
// challenges that they got and how many of them were new.
func (w *world) opens(n int, alter func(i int, in *account.Interruption)) (ids map[string]int, fresh int) {
	w.Helper()
	var ins []account.Interruption
	for i := range n {
		in := w.interruption("POST 2500000")
		alter(i, &in)
		ins = append(ins, in)
	}
	var mu sync.Mutex
	ids = map[string]int{}
	atOnce(n, func(i int) {
		o, err := []*account.Book{w.book, w.node2}[i%2].Open(w.Context(), w.id, ins[i])
		if err != nil {
			w.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		ids[o.Pending.ID]++
		if o.New {
			fresh++
		}
	})
	return ids, fresh
}

// A double click is one challenge, even before the browser has its secret.
func TestFiftyClicksAtOnceOpenOneChallenge(t *testing.T) {
	for name, firstMet := range map[string]bool{"a browser that is known": false, "a browser that is first met": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			ids, fresh := w.opens(50, func(i int, in *account.Interruption) {
				if in.FirstMet = firstMet; firstMet {
					in.Browser = fmt.Sprint("to be given ", i)
				}
			})
			if len(ids) != 1 || fresh != 1 || w.count(audit.ChallengeOpened) != 1 {
				t.Errorf("challenges %v, %d new, %d events, want one", ids, fresh, w.count(audit.ChallengeOpened))
			}
		})
	}
}

func TestABrowserWithoutASecretSharesAChallengeForTenSecondsOnly(t *testing.T) {
	first := func(w *world, secret string) account.Interruption {
		in := w.interruption("GET /statement")
		in.FirstMet, in.Browser = true, secret
		return in
	}
	t.Run("within the double click", func(t *testing.T) {
		w := newWorld(t)
		id := w.open(first(w, "secret 1")).Pending.ID
		w.clock.add(10*time.Second - 1)
		if o := w.open(first(w, "secret 2")); o.New || o.Pending.ID != id || o.Pending.Browser != "secret 1" {
			t.Errorf("the second click got %s of %q", o.Pending.ID, o.Pending.Browser)
		}
		w.clock.add(1)
		if o := w.open(first(w, "secret 3")); !o.New {
			t.Error("a browser without a secret found the challenge ten seconds later")
		}
		in := w.interruption("GET /statement")
		in.Browser = "secret 1"
		if o := w.open(in); o.New || o.Pending.ID != id {
			t.Error("the browser that was given the secret does not find its challenge")
		}
	})
	t.Run("other requests and sessions", func(t *testing.T) {
		w := newWorld(t)
		w.open(first(w, "secret 1"))
		for name, alter := range map[string]func(in *account.Interruption){
			"request": func(in *account.Interruption) { in.Fingerprint = "GET /wallet" },
			"session": func(in *account.Interruption) { in.Binding = "session 2" },
		} {
			in := first(w, "secret of "+name)
			alter(&in)
			if o := w.open(in); !o.New {
				t.Errorf("another %s found the same challenge", name)
			}
		}
	})
	// The secret that its answer would hand out is not the one that this challenge
	// is bound to: nobody could answer it.
	t.Run("not that of a browser that had its secret before", func(t *testing.T) {
		w := newWorld(t)
		w.open(w.interruption("GET /statement"))
		if o := w.open(first(w, "secret 1")); !o.New {
			t.Error("a browser without a secret got the challenge of one with a secret of its own")
		}
	})
	t.Run("not that of a caller that is no browser", func(t *testing.T) {
		w := newWorld(t)
		in := w.interruption("GET /statement")
		in.Browser = ""
		w.open(in)
		if o := w.open(first(w, "secret 1")); !o.New {
			t.Error("a browser got the challenge of an app")
		}
	})
}

// R11, R73: the changed request voids what was shown before, and the code that
// was sent for it.
func TestInvariantI4AChangedRequestClosesTheChallengeOfTheOldOne(t *testing.T) {
	w := newWorld(t)
	w.enrolSMS()
	old, code := w.texted()
	others := map[string]func(in *account.Interruption){
		"of other rules":   func(in *account.Interruption) { in.Rules = "contact" },
		"of a new session": func(in *account.Interruption) { in.Binding = "session 2" },
		"of a new browser": func(in *account.Interruption) { in.Browser = "browser 2" },
	}
	for name, alter := range others {
		in := w.interruption(name)
		alter(&in)
		w.open(in)
	}
	in := w.interruption("POST 9000000")
	in.Exclusive = true
	o := w.open(in)
	if diff := cmp.Diff([]string{old}, o.Closed); !o.New || diff != "" {
		t.Errorf("closed (-want +got):\n%s", diff)
	}
	w.want(account.Answer{Challenge: old, Factor: policy.SMS, Code: code, Expected: code}, account.Gone)
	if n := len(w.account().Pending); n != len(others)+1 {
		t.Errorf("%d challenges are open, want the new one and the %d others", n, len(others))
	}
	in.ID = "never"
	if again := w.open(in); again.New || again.Pending.ID != o.Pending.ID || len(again.Closed) != 0 {
		t.Errorf("the same request again: new %v, closed %v", again.New, again.Closed)
	}
	if e := w.events(); e[len(e)-2].Name != audit.ChallengeReplaced || e[len(e)-2].Challenge != old || e[len(e)-1].Name != audit.ChallengeOpened {
		t.Errorf("the last events are %v", e[len(e)-2:])
	}
}

func TestManyExclusiveRequestsAtOnceLeaveOneChallengeOpen(t *testing.T) {
	w := newWorld(t)
	_, fresh := w.opens(20, func(i int, in *account.Interruption) { in.Fingerprint, in.Exclusive = fmt.Sprint("amount ", i), true })
	if n := len(w.account().Pending); n != 1 || fresh != 20 {
		t.Errorf("%d of %d new challenges are open, want the last one", n, fresh)
	}
}

func TestWithoutExclusiveChallengesStandSideBySide(t *testing.T) {
	w := newWorld(t)
	w.challenge()
	if o := w.open(w.interruption("GET /other")); len(o.Closed) != 0 || len(w.account().Pending) != 2 {
		t.Errorf("closed %v, %d open", o.Closed, len(w.account().Pending))
	}
}

// I5: the sixth takes the oldest one's place and nobody's failures.
func TestInvariantI5BeyondTheCapTheOldestChallengeGivesWay(t *testing.T) {
	w := newWorld(t)
	wrong := wrongs[policy.TOTP](w)
	var all []string
	for range account.MaxPending {
		all = append(all, w.challenge())
	}
	wrong.Challenge = all[0]
	w.want(wrong, account.Wrong)
	wrong.Challenge = all[1]
	w.want(wrong, account.Wrong)

	o := w.open(w.interruption("the sixth"))
	if diff := cmp.Diff(all[:1], o.Closed); diff != "" {
		t.Errorf("closed (-want +got):\n%s", diff)
	}
	a := w.account()
	if len(a.Pending) != account.MaxPending || a.AttemptsLeft(all[0]) != 0 || a.AttemptsLeft(all[1]) != account.AttemptsPerChallenge-1 {
		t.Errorf("%d open, attempts left %d and %d", len(a.Pending), a.AttemptsLeft(all[0]), a.AttemptsLeft(all[1]))
	}
	if n := w.failures(policy.TOTP); n != 2 {
		t.Errorf("%d failures, want the two before", n)
	}
	wrong.Challenge = all[0]
	w.want(wrong, account.Gone)
}

func TestManyRequestsAtOnceNeverOpenMoreThanTheCap(t *testing.T) {
	w := newWorld(t)
	w.opens(60, func(i int, in *account.Interruption) { in.Fingerprint = fmt.Sprint("request ", i) })
	if n := len(w.account().Pending); n != account.MaxPending {
		t.Errorf("%d are open, want %d", n, account.MaxPending)
	}
	if n := w.count(audit.ChallengeReplaced); n != 60-account.MaxPending {
		t.Errorf("%d gave way by the audit log, want %d", n, 60-account.MaxPending)
	}
}

// R14.
func TestAnExpiredChallengeIsNeitherFoundNorAnsweredNorCounted(t *testing.T) {
	w := newWorld(t)
	in := ways[policy.SMS](w)
	w.clock.add(challenge.Lifetime - 1)
	if left := w.account().AttemptsLeft(in.Challenge); left != account.AttemptsPerChallenge {
		t.Errorf("%d attempts left before the deadline", left)
	}
	w.clock.add(1)
	if left := w.account().AttemptsLeft(in.Challenge); left != 0 {
		t.Errorf("%d attempts left at the deadline, want none", left)
	}
	w.want(in, account.Gone)
	if n := w.failures(policy.SMS); n != 0 {
		t.Errorf("%d failures for an answer that came too late", n)
	}
	for range account.MaxPending {
		if o := w.open(w.interruption(fmt.Sprint("later ", *w.opened))); len(o.Closed) != 0 {
			t.Errorf("%v gave way to a challenge within the cap", o.Closed)
		}
	}
	w.clock.add(challenge.Lifetime)
	if o := w.open(w.interruption("later 2")); !o.New {
		t.Error("an expired challenge was found again")
	}
}

func TestClosingAChallengeIsToldOnceAndSaysWhy(t *testing.T) {
	w := newWorld(t)
	keep, id := w.challenge(), w.challenge()
	for range 2 {
		if err := w.book.CloseChallenge(t.Context(), w.id, id, audit.ChallengeCancelled, account.Client{}); err != nil {
			t.Fatal(err)
		}
	}
	if n := w.count(audit.ChallengeCancelled); n != 1 {
		t.Errorf("%d events, want 1", n)
	}
	e := w.events()
	if last := e[len(e)-1]; last.Challenge != id || last.Rule != "withdrawal" || last.Subject != string(w.id) || !last.At.Equal(w.clock.now()) {
		t.Errorf("the event is %+v", last)
	}
	if a := w.account(); a.AttemptsLeft(id) != 0 || a.AttemptsLeft(keep) != account.AttemptsPerChallenge {
		t.Error("not exactly the named challenge was closed")
	}
}

// I8: the audit log tells what happened to whom, and nothing of what was asked.
func TestInvariantI8EventsCarryTheHashedSubjectAndNoRequest(t *testing.T) {
	w := newWorld(t)
	w.fail(wrongs[policy.TOTP](w), 7)
	entries, err := w.store.Audit(t.Context(), 0, 1000)
	if err != nil || len(entries) == 0 {
		t.Fatal(err)
	}
	for _, entry := range entries {
		for _, secret := range []string{"budi", string(phone), "request ", "session", "browser"} {
			if strings.Contains(string(entry.Body), secret) {
				t.Errorf("%q shows in %s", secret, entry.Body)
			}
		}
	}
	if !slices.ContainsFunc(w.events(), func(e audit.Event) bool { return e.Subject == string(w.id) }) {
		t.Error("no event names the account")
	}
}
