package gate_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stepgate/stepgate/challengepages"
	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/audit"
	"github.com/stepgate/stepgate/internal/courier"
	"github.com/stepgate/stepgate/internal/smsguard"
	"github.com/stepgate/stepgate/sms/vonage/vonagetest"
)

func TestACodeThatTheProviderMakesReleasesTheHeldRequestOnce(t *testing.T) {
	m := newManaged(t)
	m.enrolSMS("budi")
	b := m.browser("budi")
	res := b.withdraw("100000")
	wantStatus(t, res, http.StatusUnauthorized)
	id := challengeID(t, text(t, res))
	m.wants(1, 0, 0)
	sent := m.started()[0]
	if sent.To != "6281234567890" || len(m.vonage.Code(sent.ID)) != 6 {
		t.Errorf("Vonage sent a code of %d digits to %s", len(m.vonage.Code(sent.ID)), sent.To)
	}

	code := m.lastCode()
	res = b.answer(withdraw, id, "sms", wrongFor(code))
	wantStatus(t, res, http.StatusUnprocessableEntity)
	says(t, text(t, res), "4")
	wantHits(t, m.world, 0)
	wantStatus(t, b.answer(withdraw, id, "sms", code), http.StatusOK)
	wantHits(t, m.world, 1)
	wantStatus(t, b.answer(withdraw, id, "sms", code), http.StatusGone)
	wantHits(t, m.world, 1)
	// An answer to a challenge that has ended is not asked about, and a code that was
	// right needs no ending.
	m.wants(1, 2, 0)
	if got := m.account("budi").Failures["sms"]; got != nil {
		t.Errorf("after a right code the failures are %+v", got)
	}
}

func TestInvariantI3CopiesOfTheRightManagedCodeReleaseOnce(t *testing.T) {
	m := newManaged(t)
	m.enrolSMS("budi")
	b := m.browser("budi")
	id := challengeID(t, text(t, b.withdraw("100000")))
	code := m.lastCode()
	all(10, func(int) { b.clone().answer(withdraw, id, "sms", code) })
	wantHits(t, m.world, 1)
	wantStatus(t, b.answer(withdraw, id, "sms", code), http.StatusGone)
	wantHits(t, m.world, 1)
}

func TestInvariantI5ManyWrongManagedCodesAtOnceSpendFiveAttempts(t *testing.T) {
	m := newManaged(t)
	m.enrolSMS("budi")
	b := m.browser("budi")
	id := challengeID(t, text(t, b.withdraw("100000")))
	right := m.lastCode()
	all(20, func(int) { b.clone().answer(withdraw, id, "sms", wrongFor(right)) })
	if got := m.account("budi").Failures["sms"].InARow; got != account.AttemptsPerChallenge {
		t.Errorf("20 wrong codes counted %d failures, want 5", got)
	}
	if n := m.asked(vonagetest.VerifyCheck); n > account.AttemptsPerChallenge {
		t.Errorf("Vonage was asked about %d codes, want 5 at most", n)
	}
	wantStatus(t, b.answer(withdraw, id, "sms", right), http.StatusGone)
	wantHits(t, m.world, 0)
}

// R22, R30: the new code ends the one before, at Vonage as well.
func TestAResentManagedCodeEndsTheOneBefore(t *testing.T) {
	m := newManaged(t)
	m.enrolSMS("budi")
	b := m.browser("budi")
	id := challengeID(t, text(t, b.withdraw("100000")))
	old, first := m.lastCode(), m.started()[0].ID
	m.clock.add(30 * time.Second)
	wantStatus(t, b.act(withdraw, id, challengepages.ActionSend), http.StatusUnauthorized)
	m.wants(2, 0, 1)
	if m.running(first) {
		t.Error("the code before is still good at Vonage")
	}
	if old == m.lastCode() {
		t.Skip("the new code is the old one, which is one in a million")
	}
	wantStatus(t, b.answer(withdraw, id, "sms", old), http.StatusUnprocessableEntity)
	wantHits(t, m.world, 0)
	wantStatus(t, b.answer(withdraw, id, "sms", m.lastCode()), http.StatusOK)
	wantHits(t, m.world, 1)
}

func TestAManagedCodeThatIsOverIsSaidToBe(t *testing.T) {
	for name, end := range map[string]func(m managed){
		"expired here": func(m managed) { m.clock.add(5*time.Minute + time.Second) },
		"ended at the provider": func(m managed) {
			if !m.running(m.started()[0].ID) {
				t.Error("the code was over before")
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := newManaged(t)
			m.enrolSMS("budi")
			b := m.browser("budi")
			id := challengeID(t, text(t, b.withdraw("100000")))
			code := m.lastCode()
			end(m)
			m.clock.add(30 * time.Second)
			res := b.answer(withdraw, id, "sms", code)
			wantStatus(t, res, http.StatusUnprocessableEntity)
			says(t, text(t, res), saysExpired, `value="send"`)
			wantHits(t, m.world, 0)
			wantStatus(t, b.act(withdraw, id, challengepages.ActionSend), http.StatusUnauthorized)
			wantStatus(t, b.answer(withdraw, id, "sms", m.lastCode()), http.StatusOK)
			wantHits(t, m.world, 1)
		})
	}
}

// Vonage ends a verification after three wrong codes. The player has two attempts more,
// with a new code.
func TestTheProviderMayEndACodeBeforeTheAttemptsAreUsedUp(t *testing.T) {
	m := newManaged(t)
	m.enrolSMS("budi")
	b := m.browser("budi")
	id := challengeID(t, text(t, b.withdraw("100000")))
	wrong := wrongFor(m.lastCode())
	for range 2 {
		wantStatus(t, b.answer(withdraw, id, "sms", wrong), http.StatusUnprocessableEntity)
	}
	res := b.answer(withdraw, id, "sms", wrong)
	wantStatus(t, res, http.StatusUnprocessableEntity)
	says(t, text(t, res), saysExpired)
	m.clock.add(30 * time.Second)
	b.act(withdraw, id, challengepages.ActionSend)
	wantStatus(t, b.answer(withdraw, id, "sms", m.lastCode()), http.StatusOK)
	wantHits(t, m.world, 1)
}

// Nobody can say whether the code was right, so it was not; the attempt stays spent, or
// whoever can keep the provider from answering guesses for nothing.
func TestAProviderThatIsDownChecksNothing(t *testing.T) {
	for name, down := range map[string]func(m managed){
		"it refuses connections":  func(m managed) { m.vonage.Refuse() },
		"it breaks them":          func(m managed) { m.vonage.Behave(vonagetest.Always(vonagetest.Lost())) },
		"its answer is lost":      func(m managed) { m.vonage.Behave(vonagetest.Always(vonagetest.Dropped())) },
		"it answers with a page":  func(m managed) { m.vonage.Behave(vonagetest.Always(vonagetest.HTML(http.StatusOK))) },
		"it throttles":            func(m managed) { m.vonage.Behave(vonagetest.Always(vonagetest.Throttled())) },
		"it has an error":         func(m managed) { m.vonage.Behave(vonagetest.Always(vonagetest.InternalError())) },
		"somebody else says gone": func(m managed) { m.vonage.Behave(vonagetest.Always(vonagetest.HTML(http.StatusGone))) },
	} {
		t.Run(name, func(t *testing.T) {
			m := newManaged(t)
			m.enrolSMS("budi")
			b := m.browser("budi")
			id := challengeID(t, text(t, b.withdraw("100000")))
			code := m.lastCode()
			down(m)
			res := b.answer(withdraw, id, "sms", code)
			wantStatus(t, res, http.StatusServiceUnavailable)
			page := text(t, res)
			says(t, page, saysDown)
			wantHits(t, m.world, 0)
			if got := m.account("budi").Failures["sms"].InARow; got != 1 {
				t.Errorf("%d attempts were spent, want 1", got)
			}
			m.vonage.Behave(nil)
			m.vonage.Accept()
			if name == "its answer is lost" {
				return // the code is used up
			}
			action, body := againForm(t, page)
			wantStatus(t, b.do(b.request("POST", action, formType, body)), http.StatusOK)
			wantHits(t, m.world, 1)
		})
	}
}

// Whoever guesses while the provider is down is counted, and the player told of it.
func TestAttemptsAgainstAProviderThatIsDownCount(t *testing.T) {
	m := newManaged(t)
	m.enrolSMS("budi")
	b := m.browser("budi")
	for range account.ManyFailures {
		m.vonage.Accept()
		id := challengeID(t, text(t, b.withdraw("100000")))
		m.vonage.Refuse()
		wantStatus(t, b.answer(withdraw, id, "sms", "123456"), http.StatusServiceUnavailable)
		m.clock.add(time.Hour)
	}
	if got := m.account("budi").Failures["sms"].InARow; got != account.ManyFailures {
		t.Errorf("%d failures were counted, want %d", got, account.ManyFailures)
	}
	if !m.saw(audit.AccountNotNotified) {
		t.Error("nobody tried to tell the player")
	}
	wantHits(t, m.world, 0)
}

func TestAManagedCodeThatCouldNotBeStartedIsSaidToBe(t *testing.T) {
	for name, fail := range map[string]vonagetest.Behaviour{
		"it certainly was not": vonagetest.Throttled(),
		"nobody knows":         vonagetest.Dropped(),
		"a page of a proxy":    vonagetest.HTML(http.StatusOK),
	} {
		t.Run(name, func(t *testing.T) {
			m := newManaged(t)
			m.enrolSMS("budi")
			b := m.browser("budi")
			m.vonage.Next(fail)
			res := b.withdraw("100000")
			wantStatus(t, res, http.StatusUnauthorized)
			page := text(t, res)
			id := challengeID(t, page)
			says(t, page, saysNotSent)
			// What nobody here knows by name answers nothing.
			if started := m.started(); len(started) > 0 {
				wantStatus(t, b.answer(withdraw, id, "sms", m.lastCode()), http.StatusUnprocessableEntity)
			}
			m.clock.add(30 * time.Second)
			res = b.act(withdraw, id, challengepages.ActionSend)
			wantStatus(t, res, http.StatusUnauthorized)
			if strings.Contains(text(t, res), saysNotSent) {
				t.Error("the page still says that it was not sent")
			}
			wantStatus(t, b.answer(withdraw, id, "sms", m.lastCode()), http.StatusOK)
			wantHits(t, m.world, 1)
		})
	}
}

func TestAProviderThatHangsKeepsNobodyWaiting(t *testing.T) {
	m := newManaged(t)
	m.enrolSMS("budi")
	m.gate.SMS.Timeout = 20 * time.Millisecond
	hold := make(chan struct{})
	defer close(hold)
	b := m.browser("budi")
	m.vonage.Next(vonagetest.Behaviour{Hold: hold})
	res := b.withdraw("100000")
	wantStatus(t, res, http.StatusUnauthorized)
	page := text(t, res)
	says(t, page, saysNotSent)
	m.clock.add(30 * time.Second)
	m.gate.SMS.Timeout = courier.DefaultTimeout
	id := challengeID(t, page)
	b.act(withdraw, id, challengepages.ActionSend)
	code := m.lastCode()
	m.gate.SMS.Timeout = 20 * time.Millisecond
	m.vonage.Next(vonagetest.Behaviour{Hold: hold})
	wantStatus(t, b.answer(withdraw, id, "sms", wrongFor(code)), http.StatusServiceUnavailable)
	m.gate.SMS.Timeout = courier.DefaultTimeout
	wantStatus(t, b.answer(withdraw, id, "sms", code), http.StatusOK)
	wantHits(t, m.world, 1)
}

func TestACodeThatNobodyWaitsForIsEndedAtTheProvider(t *testing.T) {
	for name, end := range map[string]func(b *browser, id, recovery string){
		"cancelled":  func(b *browser, id, _ string) { b.act(withdraw, id, challengepages.ActionCancel) },
		"not me":     func(b *browser, id, _ string) { b.act(withdraw, id, challengepages.ActionNotMe) },
		"by the API": func(b *browser, id, _ string) { b.json("POST", "/.stepgate/challenges/"+id+"/cancel", "{}") },
		"other factor": func(b *browser, id, recovery string) {
			wantStatus(b.w.t, b.answer(withdraw, id, "recovery_key", recovery), http.StatusOK)
		},
		"other factor, by the API": func(b *browser, id, recovery string) {
			wantStatus(b.w.t, b.json("POST", "/.stepgate/challenges/"+id, answer("recovery_key", recovery)), http.StatusOK)
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := newManaged(t)
			recovery := m.enrolSMS("budi")
			b := m.browser("budi")
			id := challengeID(t, text(t, b.withdraw("100000")))
			end(b, id, recovery)
			m.wants(1, 0, 1)
			if m.running(m.started()[0].ID) {
				t.Error("the code is still good at Vonage")
			}
			// Again and again: it is not asked a second time, or a player with a session could
			// use up what Vonage lets all players ask.
			all(5, func(int) { b.clone().act(withdraw, id, challengepages.ActionCancel) })
			m.wants(1, 1, 1) // the check is this test's own
			wantHits(t, m.world, 0)
		})
	}
}

// Whether the code can be ended is the operator's worry, and changes no answer.
func TestACodeThatCannotBeEndedChangesNoAnswer(t *testing.T) {
	m := newManaged(t)
	m.enrolSMS("budi")
	b := m.browser("budi")
	id := challengeID(t, text(t, b.withdraw("100000")))
	code := m.lastCode()
	m.vonage.Next(vonagetest.Lost())
	wantStatus(t, b.act(withdraw, id, challengepages.ActionCancel), http.StatusOK)
	wantStatus(t, b.answer(withdraw, id, "sms", code), http.StatusGone)
	wantHits(t, m.world, 0)
}

// A player cancels while the provider looks at the right code.
func TestACancelledChallengeIsNotPassedByACodeUnderWay(t *testing.T) {
	m := newManaged(t)
	m.enrolSMS("budi")
	b := m.browser("budi")
	id := challengeID(t, text(t, b.withdraw("100000")))
	code := m.lastCode()
	held, release := m.holdNext(vonagetest.VerifyCheck)
	done := make(chan *http.Response, 1)
	other := b.clone()
	go func() { done <- other.answer(withdraw, id, "sms", code) }()
	<-held
	wantStatus(t, b.act(withdraw, id, challengepages.ActionCancel), http.StatusOK)
	close(release)
	wantStatus(t, <-done, http.StatusGone)
	wantHits(t, m.world, 0)
}

func TestAScriptDrivesAManagedCode(t *testing.T) {
	m := newManaged(t)
	m.enrolSMS("budi")
	b := m.script("budi")
	p := decode(t, b.json("POST", api, body(100000)))
	if p.Challenge.SentTo == "" || p.Challenge.SMS != "sent" {
		t.Errorf("challenge = %+v, want a code that was sent", p.Challenge)
	}
	code := m.lastCode()
	wrong := decode(t, b.json("POST", p.Challenge.URL, answer("sms", wrongFor(code))))
	if wrong.Status != 422 || wrong.Challenge.AttemptsLeft != 4 || wrong.Type != "urn:stepgate:problem:wrong-code" {
		t.Errorf("a wrong code = %+v", wrong)
	}
	m.vonage.Refuse()
	if down := decode(t, b.json("POST", p.Challenge.URL, answer("sms", code))); down.Status != 503 || down.Type != "urn:stepgate:problem:sms-unavailable" {
		t.Errorf("while Vonage is down = %+v", down)
	}
	m.vonage.Accept()
	m.clock.add(30 * time.Second)
	wantStatus(t, b.json("POST", p.Challenge.URL+"/send", "{}"), http.StatusAccepted)
	old, first := code, m.started()[0].ID
	if m.running(first) {
		t.Error("the code before is still good")
	}
	code = m.lastCode()
	if old != code {
		wantStatus(t, b.json("POST", p.Challenge.URL, answer("sms", old)), http.StatusUnprocessableEntity)
	}
	wantStatus(t, b.json("POST", p.Challenge.URL, answer("sms", code)), http.StatusOK)
	wantStatus(t, b.repeat(api, p.Challenge.ID, body(100000)), http.StatusOK)
	wantHits(t, m.world, 1)
}

func TestAScriptIsToldThatACodeIsOver(t *testing.T) {
	m := newManaged(t)
	m.enrolSMS("budi")
	b := m.script("budi")
	p := decode(t, b.json("POST", api, body(100000)))
	code := m.lastCode()
	m.running(m.started()[0].ID) // and with this no longer
	if over := decode(t, b.json("POST", p.Challenge.URL, answer("sms", code))); over.Status != 422 || over.Type != "urn:stepgate:problem:code-expired" {
		t.Errorf("a code that is over = %+v", over)
	}
}

// An operator who changes providers, or goes without, leaves challenges behind whose codes
// nobody can check any more.
func TestAManagedCodeOutlivesItsProviderAsAWrongOne(t *testing.T) {
	for name, change := range map[string]func(m managed){
		"to codes of our own": func(m managed) { m.gate.SMS = carried(m.t, m.phone, smsguard.Limits{}, m.clock.now) },
		"to another provider": func(m managed) { m.gate.SMS.VerifierName = "other" },
		"to none":             func(m managed) { m.gate.SMS = nil },
	} {
		t.Run(name, func(t *testing.T) {
			m := newManaged(t)
			m.enrolSMS("budi")
			b := m.browser("budi")
			id := challengeID(t, text(t, b.withdraw("100000")))
			code := m.lastCode()
			change(m)
			res := b.answer(withdraw, id, "sms", code)
			wantStatus(t, res, http.StatusUnprocessableEntity)
			says(t, text(t, res), saysExpired)
			wantStatus(t, b.act(withdraw, id, challengepages.ActionCancel), http.StatusOK)
			m.wants(1, 0, 0)
			wantHits(t, m.world, 0)
		})
	}
}

// An operator who takes SMS away leaves pages behind that still offer one.
func TestWhereNoSMSIsSentAnyMoreThePageSaysSo(t *testing.T) {
	w := newWorld(t)
	w.enrolSMS("budi")
	secret, _ := w.enrolTOTP("sari")
	b, other := w.browser("budi"), w.browser("sari")
	id := challengeID(t, text(t, b.withdraw("100000")))
	other.get("/account/security")
	setup := match(t, setupPattern, text(t, other.settle("/sms", "totp", w.totp(secret), challengepages.FieldPhone, secondNumber)))
	w.gate.SMS = nil
	w.clock.add(30 * time.Second)
	says(t, text(t, b.act(withdraw, id, challengepages.ActionSend)), saysNotSent)
	says(t, text(t, other.post(security+"/sms/send", challengepages.FieldSetup, setup)), saysNotSent)
}

// And the other way round: a code of our own is still one of our own.
func TestACodeOfOurOwnIsStillGoodWhereAProviderMakesTheNext(t *testing.T) {
	m := newManaged(t)
	verifier := m.gate.SMS
	m.gate.SMS = carried(t, m.phone, smsguard.Limits{}, m.clock.now)
	m.enrolSMS("budi")
	b := m.browser("budi")
	id := challengeID(t, text(t, b.withdraw("100000")))
	own := m.phone.last(t).Code
	m.gate.SMS = verifier
	m.clock.add(30 * time.Second)
	b.act(withdraw, id, challengepages.ActionSend)
	if own != m.lastCode() {
		wantStatus(t, b.answer(withdraw, id, "sms", own), http.StatusUnprocessableEntity)
	}
	wantStatus(t, b.answer(withdraw, id, "sms", m.lastCode()), http.StatusOK)
	wantHits(t, m.world, 1)
	m.clock.add(time.Minute)

	m.gate.SMS = carried(t, m.phone, smsguard.Limits{}, m.clock.now)
	id = challengeID(t, text(t, b.withdraw("200000")))
	own = m.phone.last(t).Code
	m.gate.SMS = verifier
	wantStatus(t, b.answer(withdraw, id, "sms", own), http.StatusOK)
	wantHits(t, m.world, 2)
}

// holdNext keeps back the answer to Vonage's next request of a kind until release is
// closed; held is closed when it is there.
func (m managed) holdNext(api vonagetest.API) (held, release chan struct{}) {
	held, release = make(chan struct{}), make(chan struct{})
	var once sync.Once
	m.vonage.Behave(func(r vonagetest.Request) (b vonagetest.Behaviour) {
		if r.API == api {
			once.Do(func() {
				b.Hold = release
				close(held)
			})
		}
		return b
	})
	return held, release
}

// A code whose start nobody waits for any more by the time that Vonage answers is ended.
func TestACodeThatIsStartedTooLateIsEnded(t *testing.T) {
	t.Run("the challenge was cancelled", func(t *testing.T) {
		m := newManaged(t)
		m.enrolSMS("budi")
		b := m.browser("budi")
		id := challengeID(t, text(t, b.withdraw("100000")))
		m.clock.add(30 * time.Second)
		held, release := m.holdNext(vonagetest.Verify)
		done := make(chan *http.Response, 1)
		other := b.clone()
		go func() { done <- other.act(withdraw, id, challengepages.ActionSend) }()
		<-held
		wantStatus(t, b.act(withdraw, id, challengepages.ActionCancel), http.StatusOK)
		close(release)
		wantStatus(t, <-done, http.StatusGone)
		m.wants(2, 0, 2) // the one that was replaced, and this one
		if m.running(m.started()[1].ID) {
			t.Error("the code is still good at Vonage")
		}
	})
	t.Run("another number took the place of the set-up", func(t *testing.T) {
		m := newManaged(t)
		secret, _ := m.enrolTOTP("sari")
		b := m.browser("sari")
		b.get("/account/security")
		held, release := m.holdNext(vonagetest.Verify)
		done := make(chan *http.Response, 1)
		id := challengeID(t, text(t, b.post(security+"/sms", challengepages.FieldPhone, "+6281200001111")))
		other, code := b.clone(), m.totp(secret)
		go func() { done <- other.answer(security+"/sms", id, "totp", code) }()
		<-held
		m.clock.add(30 * time.Second)
		setup := match(t, setupPattern, m.setUp(b, secret, secondNumber))
		close(release)
		<-done
		m.wants(2, 0, 1)
		if m.running(m.started()[0].ID) {
			t.Error("the code of the number that was given up is still good at Vonage")
		}
		wantStatus(t, b.confirmSMS(setup, m.lastCode()), http.StatusSeeOther)
		m.wantPhone("sari", secondNumber)
	})
}

// The player has the answer before Vonage is asked to end a code, which may take its time.
func TestNobodyWaitsForTheEndOfACode(t *testing.T) {
	for name, end := range map[string]func(b *browser, id, recovery string) *http.Request{
		"cancelled": func(b *browser, id, _ string) *http.Request {
			return b.request("POST", withdraw, formType, form(challengepages.FieldChallenge, id, challengepages.FieldAction, challengepages.ActionCancel))
		},
		"by the API": func(b *browser, id, _ string) *http.Request {
			return b.request("POST", "/.stepgate/challenges/"+id+"/cancel", "application/json", "{}")
		},
		"passed otherwise": func(b *browser, id, recovery string) *http.Request {
			return b.request("POST", "/.stepgate/challenges/"+id, "application/json", answer("recovery_key", recovery))
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := newManaged(t)
			recovery := m.enrolSMS("budi")
			b := m.browser("budi")
			id := challengeID(t, text(t, b.withdraw("100000")))
			rec := httptest.NewRecorder()
			answered := false
			m.vonage.Behave(func(vonagetest.Request) vonagetest.Behaviour {
				answered = rec.Flushed && rec.Body.Len() > 0
				return vonagetest.Behaviour{}
			})
			if err := m.gate.Serve(rec, end(b, id, recovery), next{m.world}); err != nil {
				t.Fatal(err)
			}
			m.wants(1, 0, 1)
			if !answered {
				t.Error("Vonage was asked before the player had an answer")
			}
		})
	}
}
