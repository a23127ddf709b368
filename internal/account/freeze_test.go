package account_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/audit"
	"github.com/stepgate/stepgate/internal/seal"
	"github.com/stepgate/stepgate/policy"
	"github.com/stepgate/stepgate/sms"
)

// I6: a thief switched the account to his own phone; the owner froze it and lifted
// that with the recovery key, which is all that is left. The thief's session alone
// must not bind the next factor.
func TestInvariantI6WhereOnlyTheRecoveryKeyIsLeftNothingLessBindsAFactor(t *testing.T) {
	w := newWorld(t)
	key := w.stolenSwitch()
	key = w.want(w.recover(key), account.Right).RecoveryKey
	w.lift(account.ProofRecovery)
	a := w.account()
	if len(a.Enrolments) != 0 || a.Recovery == nil || !a.Enrolled() {
		t.Fatalf("%d enrolments, recovery key %v, enrolled %v; want the recovery key as the only factor", len(a.Enrolments), a.Recovery != nil, a.Enrolled())
	}
	for _, proof := range []account.Proof{account.ProofNone, account.ProofLogin, account.ProofPhone} {
		if _, err := w.book.BeginTOTP(t.Context(), w.id, w.under(proof)); !errors.Is(err, account.ErrNotProved) {
			t.Errorf("BeginTOTP() under %q = %v, want ErrNotProved", proof, err)
		}
	}
	w.want(w.recover(key), account.Right)
	send := w.beginSMS(w.under(account.ProofRecovery), phone)
	w.bound(send.Setup, send.Code)
	if a := w.account(); a.Changed[policy.CauseFactorChange] != w.clock.now() {
		t.Error("what is bound after it is taken for a first factor")
	}
}

// R62: what happens while the account is frozen, and its lifting, is not told to the
// phone that the freeze is about: its holder would get a link that freezes the account
// again, against what the owner binds next.
func TestThePhoneThatAFreezeIsAboutIsToldNothingAndItsLinksEnd(t *testing.T) {
	w := newWorld(t)
	_, key := w.enrolTOTP()
	send := w.beginSMS(w.proved(), otherPhone)
	stolen := w.bound(send.Setup, send.Code)
	w.clock.add(time.Minute)
	id, code := w.texted()
	trusted := w.want(account.Answer{Challenge: id, Factor: policy.SMS, Code: code, Expected: code, Trust: w.trusting()}, account.Right)
	toThief := trusted.Alerts[0]
	if diff := cmp.Diff([]sms.Number{otherPhone}, toThief.Phones); diff != "" {
		t.Fatalf("phones (-want +got):\n%s", diff)
	}
	w.clock.add(time.Minute)
	w.freeze(stolen.Alert.Token)
	recovered := w.want(w.recover(key), account.Right)
	lifted := w.lift(account.ProofRecovery)
	if len(recovered.Alerts) != 1 || len(recovered.Alerts[0].Phones) != 0 || len(lifted.Phones) != 0 {
		t.Errorf("the thief's phone is told of %v and %v", recovered.Alerts, lifted)
	}
	if _, ok, err := w.book.Freeze(t.Context(), toThief.Token, account.Client{}); ok || err != nil {
		t.Errorf("the thief's link freezes the account again: %v, %v", ok, err)
	}
	if _, ok, err := w.book.Notice(t.Context(), toThief.Token); ok || err != nil {
		t.Errorf("the thief's link tells of something: %v, %v", ok, err)
	}
	w.freeze(lifted.Token) // the owner's still does
}

// I6: while the account is frozen, answers by what the freeze is about, and by the
// phone that the site knows, are not looked at.
func TestInvariantI6AFrozenAccountTakesAnswersByOlderFactorsOnly(t *testing.T) {
	w := newWorld(t)
	w.stolenSwitch()
	for _, in := range []account.Answer{
		{Factor: policy.SMS, Code: "123456", Expected: "123456"}, {Factor: policy.SMS, Code: "none", Expected: "123456"},
		{Factor: policy.TOTP, Code: "123456"},
	} {
		in.Challenge = w.challenge()
		w.want(in, account.Unusable)
	}
	if a := w.account(); len(a.Failures) != 0 || !a.Liftable() {
		t.Errorf("failures %v, liftable %v", a.Failures, a.Liftable())
	}
	w = newWorld(t)
	w.enrolSMS()
	off := w.switchOff()
	w.freeze(off.Token)
	w.want(account.Answer{Challenge: w.challenge(), Factor: policy.SMS, Code: "123456", Expected: "123456"}, account.Unusable)
}

// I6, R7: the phone that the site knows answers for accounts without a factor only.
func TestInvariantI6ARegisteredPhoneAnswersNothingBesideAFactor(t *testing.T) {
	in := account.Answer{Factor: policy.SMS, Code: "123456", Expected: "123456"}
	w := newWorld(t)
	in.Challenge = w.challenge()
	w.want(in, account.Right)
	w.enrolTOTP()
	in.Challenge = w.challenge()
	w.want(in, account.Unusable)
}

// I6: what a link can be besides good.
func TestALinkThatIsNotGoodFreezesNothing(t *testing.T) {
	w := newWorld(t)
	w.enrolTOTP()
	alert := w.keyMade()
	foreign, err := seal.NewRing(random(2), w.clock.now())
	if err != nil {
		t.Fatal(err)
	}
	theirs := account.NewBook(w.store, foreign, random(3), w.clock.now)
	sari := theirs.ID("sari")
	other, err := theirs.BindPhone(t.Context(), sari, account.Change{Proof: account.ProofPhone}, otherPhone)
	if err != nil {
		t.Fatal(err)
	}
	mine, err := w.book.BindPhone(t.Context(), w.book.ID("sari"), account.Change{Proof: account.ProofPhone}, otherPhone)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := base64.RawURLEncoding.DecodeString(alert.Token)
	if err != nil || len(alert.Token) != 43 {
		t.Fatalf("a link of %d characters, %v, want 43 that fit an SMS", len(alert.Token), err)
	}
	hash := w.id.Hash()
	moved := slices.Concat(hash[:], mustDecode(t, mine.Alert.Token)[16:])
	before := w.account()
	refused := map[string]string{
		"none": "", "short": alert.Token[:42], "long": alert.Token + "A", "padded": alert.Token + "=", "line break": alert.Token + "\n",
		"of another site": other.Alert.Token, "another account's, moved here": base64.RawURLEncoding.EncodeToString(moved),
		"no base64": strings.Repeat("!", 43), "spare bits": alert.Token[:42] + string(alert.Token[42]+1),
	}
	for i := range raw {
		bent := bytes.Clone(raw)
		bent[i] ^= 0x80
		refused[fmt.Sprint("bent at byte ", i)] = base64.RawURLEncoding.EncodeToString(bent)
	}
	for name, token := range refused {
		if _, ok, err := w.book.Freeze(t.Context(), token, account.Client{}); ok || err != nil {
			t.Errorf("Freeze() by a link that is %s = %v, %v", name, ok, err)
		}
		if n, ok, err := w.book.Notice(t.Context(), token); ok || err != nil || n.Kind != "" {
			t.Errorf("Notice() of a link that is %s = %v, %v", name, ok, err)
		}
	}
	if diff := cmp.Diff(before, w.account()); diff != "" {
		t.Errorf("the account changed (-before +after):\n%s", diff)
	}
	if n, ok, err := w.book.Notice(t.Context(), alert.Token); !ok || err != nil || n.Kind != account.KindKeyMade || !n.At.Equal(alert.At) {
		t.Errorf("Notice() of a good link = %v, %v, %v", n, ok, err)
	}
}

func mustDecode(t *testing.T, token string) []byte {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// I3: a link works once, for seven days.
func TestInvariantI3ALinkFreezesOnceAndForSevenDays(t *testing.T) {
	w := newWorld(t)
	w.enrolTOTP()
	alert := w.keyMade()
	var froze atomic.Int32
	atOnce(50, func(i int) {
		if _, ok, err := []*account.Book{w.book, w.node2}[i%2].Freeze(t.Context(), alert.Token, account.Client{}); err != nil {
			t.Error(err)
		} else if ok {
			froze.Add(1)
		}
	})
	a := w.account()
	if froze.Load() != 1 || a.Frozen == nil || !a.Frozen.Event.Equal(alert.At) || !a.Frozen.At.Equal(w.clock.now()) || w.count(audit.AccountFrozen) != 1 {
		t.Errorf("fifty uses of a link at once froze %d times: %v", froze.Load(), a.Frozen)
	}
	w.lift(account.ProofFactor)
	if _, ok, _ := w.book.Freeze(t.Context(), alert.Token, account.Client{}); ok {
		t.Error("a link that was used works again")
	}
	old := w.keyMade()
	w.clock.add(old.At.Add(account.NoticeLifetime).Sub(w.clock.now()))
	if _, ok, err := w.book.Freeze(t.Context(), old.Token, account.Client{}); ok || err != nil {
		t.Errorf("a link of seven days froze the account: %v, %v", ok, err)
	}
	last := w.keyMade()
	w.clock.add(last.At.Add(account.NoticeLifetime - 1).Sub(w.clock.now()))
	w.freeze(last.Token)
}

// I6, I9: freezing ends all grants, challenges and set-ups, and closes every change.
func TestInvariantI6FreezingEndsEverythingThatIsUnderWay(t *testing.T) {
	w := newWorld(t)
	secret, _ := w.enrolTOTP()
	alert := w.keyMade()
	open, s, proved := w.challenge(), w.beginTOTP(w.proved()), w.proved()
	w.freeze(alert.Token)
	w.reopen()
	a := w.account()
	if a.Epoch != proved.Epoch+1 || len(a.Pending) != 0 || a.Setup != nil {
		t.Errorf("epoch %d after %d, %d challenges, set-up %v", a.Epoch, proved.Epoch, len(a.Pending), a.Setup)
	}
	w.want(account.Answer{Challenge: open, Factor: policy.TOTP, Code: w.totp(secret, 0)}, account.Gone)
	if done := w.confirm(s, w.totp(s.Secret, 0)); done.Verdict != account.Gone {
		t.Errorf("Confirm() = %d, want gone", done.Verdict)
	}
	if _, err := w.book.Lift(t.Context(), w.id, proved); !errors.Is(err, account.ErrNotProved) {
		t.Errorf("Lift() under what was shown before the freeze = %v, want ErrNotProved", err)
	}
}

// I6: a factor that was bound in the very moment of what the freeze is about, or
// later, does not lift it; one from before does, and the lift removes the other with
// what was trusted since.
func TestInvariantI6OnlyAFactorFromBeforeLiftsAFreeze(t *testing.T) {
	w := newWorld(t)
	old, key := w.enrolTOTP()
	w.from("old browser").trust(old)
	w.clock.add(time.Minute)
	s := w.beginTOTP(w.proved())
	stolen := w.bound(s, w.totp(s.Secret, 0))
	w.clock.add(time.Minute)
	later, _ := w.enrolTOTP()
	w.from("thief's browser").trust(later)
	w.freeze(stolen.Alert.Token)
	for _, secret := range [][]byte{s.Secret, later} {
		if v := w.answer(account.Answer{Challenge: w.challenge(), Factor: policy.TOTP, Code: w.totp(secret, 0)}).Verdict; v == account.Right {
			t.Error("a factor that the freeze is about answers")
		}
	}
	r := w.want(account.Answer{Challenge: w.challenge(), Factor: policy.TOTP, Code: w.totp(old, 0)}, account.Right)
	alert, err := w.book.Lift(t.Context(), w.id, account.Change{Proof: account.ProofFactor, Epoch: r.Epoch})
	if err != nil || alert.Kind != account.KindLifted {
		t.Fatalf("Lift() = %v, %v", alert, err)
	}
	w.reopen()
	a := w.account()
	if len(a.Enrolments) != 1 || !bytes.Equal(a.Enrolments[0].Secret, old) || a.Frozen != nil || a.Epoch != r.Epoch+1 {
		t.Errorf("%d factors, frozen %v, epoch %d after %d", len(a.Enrolments), a.Frozen, a.Epoch, r.Epoch)
	}
	if a.Device("old browser") == nil || a.Device("thief's browser") != nil {
		t.Errorf("%d browsers are trusted, want the one from before", len(a.Devices))
	}
	w.want(w.recover(key), account.Right)
}

// I6, R59, R61: a recovery key from before lifts the freeze, and so does the one that
// takes its place; a second freeze about something earlier takes both away.
func TestInvariantI6ARecoveryKeyIsAsOldAsTheOneThatItReplaces(t *testing.T) {
	w := newWorld(t)
	_, key := w.enrolTOTP()
	w.clock.add(time.Minute)
	s := w.beginTOTP(w.proved())
	stolen := w.bound(s, w.totp(s.Secret, 0))
	w.clock.add(time.Minute)
	w.freeze(stolen.Alert.Token)
	next := w.want(w.recover(key), account.Right).RecoveryKey
	w.clock.add(time.Minute)
	w.want(w.recover(key), account.Wrong)
	w.want(w.recover(next), account.Right)
	w.lift(account.ProofRecovery)
	if a := w.account(); a.Recovery == nil || len(a.Enrolments) != 1 {
		t.Errorf("recovery key %v, %d factors after the lift", a.Recovery != nil, len(a.Enrolments))
	}
	// The thief's new key is as old as the theft.
	w = newWorld(t)
	_, key = w.enrolTOTP()
	w.clock.add(time.Minute)
	used := w.want(w.recover(key), account.Right)
	w.clock.add(time.Minute)
	w.freeze(used.Alerts[0].Token)
	w.want(w.recover(used.RecoveryKey), account.Unusable)
}

func TestASecondFreezeGoesBackToWhatIsEarlier(t *testing.T) {
	w := newWorld(t)
	w.enrolTOTP()
	first, second := w.keyMade(), w.keyMade()
	w.freeze(second.Token)
	w.freeze(first.Token)
	if a := w.account(); !a.Frozen.Event.Equal(first.At) {
		t.Errorf("the freeze is about %s, want %s", a.Frozen.Event, first.At)
	}
}

// A link is good for seven days, in which the keys may be rotated.
func TestALinkOutlivesARotation(t *testing.T) {
	w := newWorld(t)
	w.enrolTOTP()
	alert := w.keyMade()
	rotated, err := w.ring.Rotate(w.rand, w.clock.now(), w.clock.now())
	if err != nil {
		t.Fatal(err)
	}
	w.ring = rotated
	w.book = w.another(w.store)
	w.freeze(alert.Token)
}

// The world's clock stands still within a step; a real one does not. Were a factor a
// nanosecond older than the alert of its binding, it would count as one from before
// and lift the freeze that is about it.
func TestInvariantI6WhatAChangeBindsIsNotOlderThanItsNotice(t *testing.T) {
	w := newWorld(t)
	w.enrolSMS()
	ticking := func() time.Time { w.clock.add(time.Nanosecond); return w.clock.now() }
	book := account.NewBook(w.store, w.ring, w.rand, ticking)
	send, err := book.BeginSMS(t.Context(), w.id, w.proved(), otherPhone, "")
	if err != nil {
		t.Fatal(err)
	}
	bound, err := book.Confirm(t.Context(), w.id, w.proved(), send.Setup.ID, send.Code, "")
	if err != nil || bound.Verdict != account.Right {
		t.Fatalf("Confirm() = %d, %v", bound.Verdict, err)
	}
	if _, ok, err := book.Freeze(t.Context(), bound.Alert.Token, account.Client{}); !ok || err != nil {
		t.Fatalf("Freeze() = %v, %v", ok, err)
	}
	if got := w.account().Usable([]policy.Factor{policy.SMS}, account.Asker{}); len(got) > 0 {
		t.Error("the phone that was bound by the change lifts the freeze that is about it")
	}
}

// The thief has seen one code: they add an authenticator, and remove the owner's with it
// the next day. The owner follows the link of what came last. Were only what was bound
// from then on out of the question, the thief's own authenticator would lift the freeze.
func TestInvariantI6AChainOfChangesDoesNotLiftTheFreezeThatIsAboutItsEnd(t *testing.T) {
	w := newWorld(t)
	secret, key := w.enrolTOTP()
	w.clock.add(account.NoticeLifetime)
	answered := func(f policy.Factor, code string) account.Change {
		id := w.challenge()
		r := w.want(account.Answer{Challenge: id, Factor: f, Purpose: account.ForSettings, Code: code, Skew: 1}, account.Right)
		c := w.proved()
		c.Root = r.Root
		return c
	}
	theirs := w.beginTOTP(answered(policy.TOTP, w.totp(secret, 0)))
	if done := w.confirm(theirs, w.totp(theirs.Secret, 0)); done.Verdict != account.Right {
		t.Fatalf("adding an authenticator: %d", done.Verdict)
	}
	w.clock.add(24 * time.Hour)
	alert, err := w.book.Remove(t.Context(), w.id, answered(policy.TOTP, w.totp(theirs.Secret, 0)), w.account().Enrolments[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	w.freeze(alert.Token)
	if got := w.account().Usable([]policy.Factor{policy.TOTP, policy.RecoveryKey}, account.Asker{}); len(got) != 1 || got[0] != policy.RecoveryKey {
		t.Fatalf("the freeze is lifted by %v, want by the owner's key alone", got)
	}
	if _, err := w.book.Lift(t.Context(), w.id, answered(policy.RecoveryKey, key)); err != nil || len(w.account().Enrolments) != 0 {
		t.Errorf("Lift() = %v, leaves %d authenticators", err, len(w.account().Enrolments))
	}
}

// A stolen recovery key is used, and a phone set up with the one in its place.
func TestInvariantI6WhatTheRecoveryKeyBoundDoesNotLiftTheFreezeAboutIt(t *testing.T) {
	w := newWorld(t)
	_, key := w.enrolTOTP()
	w.clock.add(account.NoticeLifetime)
	id := w.challenge()
	used := w.want(account.Answer{Challenge: id, Factor: policy.RecoveryKey, Purpose: account.ForSettings, Code: key}, account.Right)
	c := w.under(account.ProofRecovery)
	c.Root = used.Root
	w.clock.add(time.Minute)
	s := w.beginTOTP(c)
	done := w.confirm(s, w.totp(s.Secret, 0))
	w.freeze(done.Alert.Token)
	if a := w.account(); a.Liftable() {
		t.Error("what the thief bound, or the key that they were given, lifts the freeze")
	}
}
