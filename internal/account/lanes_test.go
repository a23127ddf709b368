package account_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/audit"
	"github.com/stepgate/stepgate/policy"
)

// from returns the world as another browser sees it.
func (w *world) from(browser string) *world {
	other := *w
	other.browser = browser
	return &other
}

// trusting asks to trust the world's browser; an app has none.
func (w *world) trusting() account.Trust {
	return account.Trust{Device: w.browser, For: account.TrustLifetime}
}

// trust makes the world's browser a trusted device.
func (w *world) trust(secret []byte) account.Result {
	w.Helper()
	r := w.want(account.Answer{Challenge: w.challenge(), Factor: policy.TOTP, Code: w.totp(secret, 0), Trust: w.trusting()}, account.Right)
	w.clock.add(30 * time.Second)
	return r
}

// lanes is an account with an authenticator, its owner's trusted browser and a
// stranger's.
func lanes(t *testing.T) (w, owner, stranger *world, secret []byte) {
	w = newWorld(t)
	secret, _ = w.enrolTOTP()
	owner, stranger = w.from("owner's"), w.from("stranger's")
	owner.trust(secret)
	return w, owner, stranger, secret
}

func (w *world) disabled(f policy.Factor) bool {
	w.Helper()
	return w.account().Disabled(f, w.asker(account.ForRequest))
}

// R15, I5: whoever holds the session and guesses locks out himself, and not the owner
// in a browser that she trusts; nor the other way round.
func TestInvariantI5AHundredFailuresOfOneLaneLeaveTheOtherWorking(t *testing.T) {
	for name, swap := range map[string]bool{"the stranger's": false, "the trusted browser's": true} {
		t.Run(name, func(t *testing.T) {
			w, spender, other, secret := lanes(t)
			if !swap {
				spender, other = other, spender
			}
			spender.fail(account.Answer{Factor: policy.TOTP, Code: w.wrongTOTP(secret)}, account.DisableAfter)
			if !spender.disabled(policy.TOTP) || other.disabled(policy.TOTP) {
				t.Fatalf("disabled where it was spent: %v, and elsewhere: %v", spender.disabled(policy.TOTP), other.disabled(policy.TOTP))
			}
			spender.want(account.Answer{Challenge: spender.challenge(), Factor: policy.TOTP, Code: w.totp(secret, 0)}, account.Disabled)
			other.want(account.Answer{Challenge: other.challenge(), Factor: policy.TOTP, Code: w.totp(secret, 0)}, account.Right)
			if !spender.disabled(policy.TOTP) {
				t.Error("a success elsewhere gives the lane its attempts back (R53)")
			}
			if n := w.count(audit.EnrolmentDisabled); n != 1 {
				t.Errorf("%d events of disabling, want 1", n)
			}
		})
	}
}

// R15, I5: all browsers that are not trusted share one budget, however many secrets
// they bring.
func TestInvariantI5BrowsersThatAreNotTrustedShareOneBudget(t *testing.T) {
	w, owner, _, secret := lanes(t)
	wrong := account.Answer{Factor: policy.TOTP, Code: w.wrongTOTP(secret)}
	for i := range account.FreeAttempts {
		w.from(fmt.Sprint("browser ", i)).fail(wrong, 1)
	}
	late := w.from("one more")
	late.want(account.Answer{Challenge: late.challenge(), Factor: policy.TOTP, Code: w.totp(secret, 0)}, account.TryLater)
	owner.want(account.Answer{Challenge: owner.challenge(), Factor: policy.TOTP, Code: w.totp(secret, 0)}, account.Right)
}

// I5, R31: N guesses at once in two lanes spend N attempts in each and no more.
func TestInvariantI5TwoHundredWrongAnswersInTwoLanesSpendFiveInEach(t *testing.T) {
	w, owner, stranger, secret := lanes(t)
	challenges := []string{owner.challenge(), stranger.challenge()}
	wrong := w.wrongTOTP(secret)
	got := w.verdicts(200, func(i int) account.Answer {
		return account.Answer{Challenge: challenges[i/2%2], Factor: policy.TOTP, Code: wrong}
	})
	if got[account.Wrong] != 8 || got[account.UsedUp] != 2 || got[account.Gone] != 190 {
		t.Errorf("verdicts = %v, want eight wrong, two used up and the rest gone", got)
	}
	a := w.account()
	if mine, theirs := a.Device("owner's").Failures[policy.TOTP].InARow, w.failures(policy.TOTP); mine != 5 || theirs != 5 {
		t.Errorf("%d and %d failures are counted, want 5 and 5", mine, theirs)
	}
}

// R53: a right answer clears the failures of where it was given, also if it makes the
// browser a trusted one.
func TestTrustingABrowserClearsTheFailuresThatItMadeBefore(t *testing.T) {
	w := newWorld(t)
	secret, _ := w.enrolTOTP()
	w.fail(account.Answer{Factor: policy.TOTP, Code: w.wrongTOTP(secret)}, 4)
	r := w.trust(secret)
	if n := w.failures(policy.TOTP); n != 0 {
		t.Errorf("%d failures are left", n)
	}
	if len(r.Alerts) != 1 || r.Alerts[0].Kind != account.KindDeviceTrusted || w.account().Device("browser") == nil {
		t.Errorf("told of %v", r.Alerts)
	}
}

// R66: only a right answer by a factor makes a browser trusted, and for thirty days.
func TestOnlyARightAnswerByAFactorMakesABrowserTrusted(t *testing.T) {
	w := newWorld(t)
	secret, key := w.enrolTOTP()
	w.want(account.Answer{Challenge: w.challenge(), Factor: policy.TOTP, Code: w.wrongTOTP(secret), Trust: w.trusting()}, account.Wrong)
	in := w.recover(key)
	in.Trust = w.trusting()
	w.want(in, account.Right)
	app := w.from("")
	app.want(account.Answer{Challenge: app.challenge(), Factor: policy.TOTP, Code: w.totp(secret, 0), Trust: app.trusting()}, account.Right)
	if n := len(w.account().Devices); n != 0 {
		t.Fatalf("%d browsers are trusted after a wrong answer, a recovery key and an app", n)
	}
	w.clock.add(30 * time.Second)
	w.trust(secret)
	w.clock.add(account.TrustLifetime - time.Minute)
	if w.account().Device("browser") == nil {
		t.Error("the trust ended before thirty days")
	}
	w.clock.add(time.Minute)
	if w.account().Device("browser") != nil {
		t.Error("the trust lasts longer than thirty days")
	}
}

func TestBeyondTenTrustedBrowsersTheOldestGivesWay(t *testing.T) {
	w := newWorld(t)
	secret, _ := w.enrolTOTP()
	for i := range account.MaxDevices + 1 {
		w.from(fmt.Sprint("browser ", i)).trust(secret)
	}
	a := w.account()
	if len(a.Devices) != account.MaxDevices || a.Device("browser 0") != nil || a.Device("browser 10") == nil {
		t.Errorf("%d browsers are trusted", len(a.Devices))
	}
	if _, err := w.book.ForgetDevice(t.Context(), w.id, w.proved(), "browser 5"); err != nil {
		t.Fatal(err)
	}
	if w.account().Device("browser 5") != nil || len(w.account().Devices) != account.MaxDevices-1 {
		t.Error("not exactly the browser that was named is forgotten")
	}
}

// R15: what strangers open does not push out what the owner has open in a trusted
// browser, nor the other way round.
func TestStrangersPushNoChallengeOutOfATrustedBrowser(t *testing.T) {
	_, owner, stranger, _ := lanes(t)
	kept := owner.challenge()
	for range 3 * account.MaxPending {
		stranger.challenge()
	}
	if left := owner.account().AttemptsLeft(kept); left != account.AttemptsPerChallenge {
		t.Errorf("%d attempts left at the owner's challenge", left)
	}
	theirs := stranger.challenge()
	for range 3 * account.MaxPending {
		owner.challenge()
	}
	if stranger.account().AttemptsLeft(theirs) == 0 || owner.account().AttemptsLeft(kept) != 0 {
		t.Error("the owner's challenges push out others than her own")
	}
	if n := len(owner.account().Pending); n != 2*account.MaxPending {
		t.Errorf("%d are open, want %d", n, 2*account.MaxPending)
	}
}

// I5: delays are each purpose's own, the way to the end is one.
func TestInvariantI5PurposesHaveDelaysOfTheirOwnAndOneCount(t *testing.T) {
	w := newWorld(t)
	secret, _ := w.enrolTOTP()
	wrong := func(p account.Purpose) account.Answer {
		return account.Answer{Factor: policy.TOTP, Purpose: p, Code: w.wrongTOTP(secret)}
	}
	w.fail(wrong(account.ForSettings), account.FreeAttempts)
	in := wrong(account.ForSettings)
	in.Challenge = w.challenge()
	w.want(in, account.TryLater)
	in.Purpose = account.ForRequest
	w.want(in, account.Wrong)
	if n := w.failures(policy.TOTP); n != account.FreeAttempts+1 {
		t.Errorf("%d failures in a row, want those of both purposes", n)
	}
	w.fail(wrong(account.ForSettings), 50-account.FreeAttempts)
	w.fail(wrong(account.ForRequest), 49)
	for _, p := range []account.Purpose{account.ForRequest, account.ForSettings} {
		if !w.account().Disabled(policy.TOTP, w.asker(p)) {
			t.Errorf("not disabled for %s after a hundred failures over both", p)
		}
	}
}

// R53, I5: the way back from a hundred failures is another factor, or the same one in a
// trusted browser; both lanes answer again.
func TestInvariantI5ADisabledFactorIsUnlockedUnderACurrentOne(t *testing.T) {
	w, owner, stranger, secret := lanes(t)
	stranger.fail(account.Answer{Factor: policy.TOTP, Code: w.wrongTOTP(secret)}, account.DisableAfter)
	if _, err := w.book.Unlock(t.Context(), w.id, unproved()); !errors.Is(err, account.ErrNotProved) {
		t.Fatalf("Unlock() with the session alone = %v", err)
	}
	r := owner.want(account.Answer{Challenge: owner.challenge(), Factor: policy.TOTP, Purpose: account.ForSettings, Code: w.totp(secret, 0)}, account.Right)
	alert, err := w.book.Unlock(t.Context(), w.id, account.Change{Proof: account.ProofFactor, Epoch: r.Epoch})
	if err != nil || alert.Kind != account.KindUnlocked || w.count(audit.EnrolmentUnlocked) != 1 {
		t.Fatalf("Unlock() = %v, %v with %d events", alert, err, w.count(audit.EnrolmentUnlocked))
	}
	w.clock.add(30 * time.Second)
	w.reopen()
	stranger = w.from("stranger's")
	stranger.want(account.Answer{Challenge: stranger.challenge(), Factor: policy.TOTP, Code: w.totp(secret, 0)}, account.Right)
}

// R53: what is bound anew starts with a clean budget in every browser, and unlocking
// opens every browser.
func TestBindingAndUnlockingReachTheBudgetsOfTrustedBrowsers(t *testing.T) {
	for name, end := range map[string]func(w *world){
		"binding": func(w *world) { w.enrolTOTP() },
		"unlocking": func(w *world) {
			if _, err := w.book.Unlock(w.Context(), w.id, w.proved()); err != nil {
				w.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, owner, stranger, secret := lanes(t)
			wrong := account.Answer{Factor: policy.TOTP, Code: w.wrongTOTP(secret)}
			for _, lane := range []*world{owner, stranger} {
				lane.fail(wrong, account.DisableAfter)
			}
			end(w)
			for _, lane := range []*world{owner, stranger} {
				lane.clock.add(30 * time.Second)
				lane.want(account.Answer{Challenge: lane.challenge(), Factor: policy.TOTP, Code: w.totp(secret, 0)}, account.Right)
			}
		})
	}
}

// I5, I11, R15: whoever knows a name of the account and nothing else guesses from a budget
// of their own, which tells nothing of the account, and closes nothing to its owner.
func TestInvariantI5StrangersHaveABudgetOfTheirOwn(t *testing.T) {
	w := newWorld(t)
	secret, _ := w.enrolTOTP()
	mine := w.challenge()
	open := func(request string) string {
		in := w.interruption(request)
		in.Binding, in.Stranger, in.Device = "name", "name", ""
		return w.open(in).Pending.ID
	}
	// What the account does not have is as wrong as a wrong code.
	for i, f := range []policy.Factor{policy.TOTP, policy.SMS, policy.RecoveryKey} {
		id := open(fmt.Sprint("reset ", i))
		code := w.wrongTOTP(secret)
		if f == policy.RecoveryKey {
			code = "AAAA-AAAA-AAAA-AAAA-AAAA-AAAA-AA"
		}
		r := w.want(account.Answer{Challenge: id, Factor: f, Code: code}, account.Wrong)
		if r.AttemptsLeft != account.AttemptsPerChallenge-1 {
			t.Errorf("%s: %d attempts are left", f, r.AttemptsLeft)
		}
	}
	for i := range account.DisableAfter - 1 {
		r, err := w.book.Answer(t.Context(), w.id, account.Answer{Challenge: open(fmt.Sprint("guess ", i)), Factor: policy.TOTP, Code: w.wrongTOTP(secret)})
		if err != nil || r.Verdict != account.Wrong && r.Verdict != account.TryLater {
			t.Fatalf("guess %d: %v, %v", i, r.Verdict, err)
		}
		w.clock.add(time.Hour)
		mine = w.challenge()
	}
	if last := open("the last"); true {
		w.want(account.Answer{Challenge: last, Factor: policy.TOTP, Code: w.totp(secret, 0)}, account.Disabled)
	}
	if n := w.failures(policy.TOTP); n != 0 {
		t.Errorf("strangers have spent %d attempts of the session's", n)
	}
	w.want(account.Answer{Challenge: mine, Factor: policy.TOTP, Code: w.totp(secret, 0)}, account.Right)
}
