package gate_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stepgate/stepgate/challengepages"
	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/smsguard"
	"github.com/stepgate/stepgate/sms/vonage/vonagetest"
)

// setUp begins the set-up of a number for sari, who has an authenticator, and returns its
// page.
func (m managed) setUp(b *browser, secret []byte, number string) string {
	m.t.Helper()
	res := b.settle("/sms", "totp", m.totp(secret), challengepages.FieldPhone, number)
	m.clock.add(30 * time.Second)
	return text(m.t, res)
}

func (b *browser) confirmSMS(setup, code string) *http.Response {
	return b.post(security+"/sms/confirm", challengepages.FieldSetup, setup, challengepages.FieldCode, code)
}

// phones returns the numbers that a player's codes go to.
func (w *world) phonesOf(name string) []string {
	var numbers []string
	for _, e := range w.account(name).Enrolments {
		if e.Phone != "" {
			numbers = append(numbers, e.Phone.E164())
		}
	}
	return numbers
}

func (w *world) wantPhone(name, want string) {
	w.t.Helper()
	got := w.phonesOf(name)
	if want == "" && len(got) == 0 || len(got) == 1 && got[0] == want {
		return
	}
	w.t.Errorf("%s has the phones %v, want %q", name, got, want)
}

const secondNumber = "+6281200002222"

func TestAPhoneIsBoundByTheCodeThatTheProviderMade(t *testing.T) {
	m := newManaged(t)
	secret, _ := m.enrolTOTP("sari")
	b := m.browser("sari")
	b.get("/account/security")
	setup := match(t, setupPattern, m.setUp(b, secret, secondNumber))
	code := m.lastCode()
	res := b.confirmSMS(setup, wrongFor(code))
	wantStatus(t, res, http.StatusUnprocessableEntity)
	says(t, text(t, res), "4")
	m.wantPhone("sari", "")
	// A stranger with the session is in another browser.
	stranger := m.browser("sari")
	stranger.get("/account/security")
	wantStatus(t, stranger.confirmSMS(setup, code), http.StatusSeeOther)
	m.wantPhone("sari", "")
	m.wants(1, 1, 0)

	res = b.confirmSMS(setup, code)
	wantStatus(t, res, http.StatusSeeOther)
	if got := res.Header.Get("Location"); got != "/account/security?notice=sms_bound" {
		t.Errorf("Location = %q", got)
	}
	m.wantPhone("sari", secondNumber)
}

func TestAResentCodeOfASetUpEndsTheOneBefore(t *testing.T) {
	m := newManaged(t)
	secret, _ := m.enrolTOTP("sari")
	b := m.browser("sari")
	b.get("/account/security")
	setup := match(t, setupPattern, m.setUp(b, secret, secondNumber))
	old, first := m.lastCode(), m.started()[0].ID
	wantStatus(t, b.post(security+"/sms/send", challengepages.FieldSetup, setup), http.StatusOK)
	m.wants(2, 0, 1)
	if m.running(first) {
		t.Error("the code before is still good at Vonage")
	}
	if old != m.lastCode() {
		wantStatus(t, b.confirmSMS(setup, old), http.StatusUnprocessableEntity)
		m.wantPhone("sari", "")
	}
	wantStatus(t, b.confirmSMS(setup, m.lastCode()), http.StatusSeeOther)
	m.wantPhone("sari", secondNumber)
}

// The player mistyped, and begins anew with another number. The code that went to the
// first one binds neither.
func TestTheCodeOfANumberThatWasGivenUpBindsNone(t *testing.T) {
	m := newManaged(t)
	secret, _ := m.enrolTOTP("sari")
	b := m.browser("sari")
	b.get("/account/security")
	first := match(t, setupPattern, m.setUp(b, secret, "+6281200001111"))
	old := m.lastCode()
	second := match(t, setupPattern, m.setUp(b, secret, secondNumber))
	m.wants(2, 0, 1)
	if m.running(m.started()[0].ID) {
		t.Error("the code of the number that was given up is still good at Vonage")
	}
	wantStatus(t, b.confirmSMS(first, old), http.StatusSeeOther) // there is no such set-up
	if old != m.lastCode() {
		wantStatus(t, b.confirmSMS(second, old), http.StatusUnprocessableEntity)
	}
	m.wantPhone("sari", "")
	wantStatus(t, b.confirmSMS(second, m.lastCode()), http.StatusSeeOther)
	m.wantPhone("sari", secondNumber)
}

// The same, while the provider still looks at the code of the first number.
func TestACodeUnderWayBindsNoOtherNumber(t *testing.T) {
	m := newManaged(t)
	secret, _ := m.enrolTOTP("sari")
	b := m.browser("sari")
	b.get("/account/security")
	first := match(t, setupPattern, m.setUp(b, secret, "+6281200001111"))
	code := m.lastCode()
	held, release := m.holdNext(vonagetest.VerifyCheck)
	done := make(chan *http.Response, 1)
	other := b.clone()
	go func() { done <- other.confirmSMS(first, code) }()
	<-held
	second := match(t, setupPattern, m.setUp(b, secret, secondNumber))
	close(release)
	wantStatus(t, <-done, http.StatusSeeOther)
	m.wantPhone("sari", "")
	wantStatus(t, b.confirmSMS(second, m.lastCode()), http.StatusSeeOther)
	m.wantPhone("sari", secondNumber)
}

func TestASetUpTellsOfAProviderThatFails(t *testing.T) {
	m := newManaged(t)
	secret, _ := m.enrolTOTP("sari")
	b := m.browser("sari")
	b.get("/account/security")
	m.vonage.Next(vonagetest.Dropped())
	page := m.setUp(b, secret, secondNumber)
	says(t, page, saysNotSent)
	setup := match(t, setupPattern, page)
	wantStatus(t, b.confirmSMS(setup, m.lastCode()), http.StatusUnprocessableEntity)
	m.wantPhone("sari", "")
	wantStatus(t, b.post(security+"/sms/send", challengepages.FieldSetup, setup), http.StatusOK)

	code := m.lastCode()
	m.vonage.Refuse()
	res := b.confirmSMS(setup, code)
	wantStatus(t, res, http.StatusServiceUnavailable)
	m.vonage.Accept()
	m.wantPhone("sari", "")
	action, body := againForm(t, text(t, res))
	wantStatus(t, b.do(b.request("POST", action, formType, body)), http.StatusSeeOther)
	m.wantPhone("sari", secondNumber)
}

func TestASetUpWhoseCodeIsOverOffersAnother(t *testing.T) {
	for name, end := range map[string]func(m managed){
		"at the provider": func(m managed) { m.running(m.started()[0].ID) },
		"here":            func(m managed) { m.clock.add(5 * time.Minute) },
		"with its provider": func(m managed) {
			m.gate.SMS = carried(m.t, m.phone, smsguard.Limits{}, m.clock.now)
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := newManaged(t)
			secret, _ := m.enrolTOTP("sari")
			b := m.browser("sari")
			b.get("/account/security")
			setup := match(t, setupPattern, m.setUp(b, secret, secondNumber))
			code := m.lastCode()
			end(m)
			res := b.confirmSMS(setup, code)
			wantStatus(t, res, http.StatusUnprocessableEntity)
			says(t, text(t, res), saysExpired, security+"/sms/send")
			m.wantPhone("sari", "")
		})
	}
}

func TestInvariantI5ManyWrongCodesOfASetUpAskTheProviderFiveTimes(t *testing.T) {
	m := newManaged(t)
	secret, _ := m.enrolTOTP("sari")
	b := m.browser("sari")
	b.get("/account/security")
	setup := match(t, setupPattern, m.setUp(b, secret, secondNumber))
	code := m.lastCode()
	all(20, func(int) { b.clone().confirmSMS(setup, wrongFor(code)) })
	if n := m.asked(vonagetest.VerifyCheck); n > account.AttemptsPerChallenge {
		t.Errorf("Vonage was asked about %d codes, want 5 at most", n)
	}
	wantStatus(t, b.confirmSMS(setup, code), http.StatusSeeOther)
	m.wantPhone("sari", "")
}

func TestTheRegisteredPhoneIsProvedAndBoundByOneManagedCode(t *testing.T) {
	m := newManaged(t)
	b := m.browser("agus")
	b.get("/account/security")
	res := b.post(security+"/sms", challengepages.FieldPhone, "")
	wantStatus(t, res, http.StatusUnauthorized)
	id := challengeID(t, text(t, res))
	code := m.lastCode()
	wantStatus(t, b.answer(security+"/sms", id, "sms", wrongFor(code)), http.StatusUnprocessableEntity)
	m.wantPhone("agus", "")
	wantStatus(t, b.answer(security+"/sms", id, "sms", code), http.StatusOK)
	m.wantPhone("agus", "+628111222333")
	m.wants(1, 2, 0)
}
