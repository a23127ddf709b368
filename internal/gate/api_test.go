package gate_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stepgate/stepgate/internal/audit"
)

const api = "/api/v1/withdrawals"

func body(amount int) string { return fmt.Sprintf(`{"amount":%d,"account":"BCA 1234567890"}`, amount) }

func (b *browser) repeat(target, challenge, body string) *http.Response {
	r := b.request("POST", target, "application/json", body)
	r.Header.Set("Step-Up-Challenge", challenge)
	return b.do(r)
}

func answer(factor, code string) string { return fmt.Sprintf(`{"factor":%q,"code":%q}`, factor, code) }

func TestAScriptDrivesAChallengeOverJSON(t *testing.T) {
	w := newWorld(t)
	secret, _ := w.enrolTOTP("sari")
	b := w.script("sari")

	res := b.json("POST", api, body(2500000))
	wantStatus(t, res, http.StatusUnauthorized)
	// R68, R69: RFC 9470 section 3.
	const want = `Step-Up error="insufficient_user_authentication", error_description="A second factor is required", acr_values="totp sms", max_age="0"`
	if got := res.Header.Get("WWW-Authenticate"); got != want {
		t.Errorf("WWW-Authenticate = %s, want %s", got, want)
	}
	if got := res.Header.Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("Content-Type = %q", got)
	}
	p := decode(t, res)
	if p.Type != "urn:stepgate:problem:step-up-required" || p.Rule != "withdrawal" || !p.Challenge.SingleUse || p.Challenge.AttemptsLeft != 5 ||
		fmt.Sprint(p.Challenge.Factors) != "[totp recovery_key]" || p.Challenge.State != "pending" ||
		fmt.Sprint(p.Challenge.Details) != "[map[label:amount value:Rp2.500.000] map[label:to value:BCA 1234567890]]" {
		t.Errorf("problem = %+v", p)
	}

	wrong := decode(t, b.json("POST", p.Challenge.URL, answer("totp", "000000")))
	if wrong.Status != 422 || wrong.Challenge.AttemptsLeft != 4 {
		t.Errorf("a wrong code = %+v, want 422 and 4 attempts left", wrong)
	}
	res = b.json("POST", p.Challenge.URL, answer("totp", w.totp(secret)))
	wantStatus(t, res, http.StatusOK)
	if got := decode(t, res).Challenge.State; got != "passed" {
		t.Errorf("state = %q, want passed", got)
	}
	wantHits(t, w, 0)

	wantStatus(t, b.repeat(api, p.Challenge.ID, body(2500000)), http.StatusOK)
	wantHits(t, w, 1)
	if got := w.site.all()[0].header.Get("Step-Up-Challenge"); got != "" {
		t.Errorf("the site got Step-Up-Challenge %q", got)
	}
	wantStatus(t, b.repeat(api, p.Challenge.ID, body(2500000)), http.StatusUnauthorized)
	wantStatus(t, b.repeat(api, p.Challenge.ID, body(9900000)), http.StatusUnauthorized)
	wantHits(t, w, 1)
}

func TestInvariantI4ARepeatWithAnotherAmountVoidsTheApproval(t *testing.T) {
	w := newWorld(t)
	secret, _ := w.enrolTOTP("sari")
	b := w.script("sari")
	p := decode(t, b.json("POST", api, body(100000)))
	wantStatus(t, b.json("POST", p.Challenge.URL, answer("totp", w.totp(secret))), http.StatusOK)
	wantStatus(t, b.repeat(api, p.Challenge.ID, body(9900000)), http.StatusUnauthorized)
	wantStatus(t, b.repeat(api, p.Challenge.ID, body(100000)), http.StatusUnauthorized)
	wantHits(t, w, 0)
	if !w.saw(audit.ChallengeTampered) {
		t.Error("no event tells of the attempt (R11)")
	}
}

func TestInvariantI3FiftyRepeatsAtOnceUseAnApprovalOnce(t *testing.T) {
	w := newWorld(t)
	secret, _ := w.enrolTOTP("sari")
	b := w.script("sari")
	p := decode(t, b.json("POST", api, body(100000)))
	wantStatus(t, b.json("POST", p.Challenge.URL, answer("totp", w.totp(secret))), http.StatusOK)
	all(50, func(int) { b.clone().repeat(api, p.Challenge.ID, body(100000)) })
	wantHits(t, w, 1)
}

func TestABearerCallerNeedsNoCookies(t *testing.T) {
	w := newWorld(t)
	secret, _ := w.enrolTOTP("sari")
	app := w.script("")
	app.header = http.Header{"Authorization": {"Bearer sari"}}
	send := func(target, id, body string) *http.Response {
		app.jar = map[string]string{}
		return app.repeat(target, id, body)
	}
	res := send(api, "", body(100000))
	wantStatus(t, res, http.StatusUnauthorized)
	if got := res.Header.Get("WWW-Authenticate"); !strings.HasPrefix(got, "Bearer ") {
		t.Errorf("WWW-Authenticate = %q, want scheme Bearer", got)
	}
	p := decode(t, res)
	wantStatus(t, send(p.Challenge.URL, "", answer("totp", w.totp(secret))), http.StatusOK)
	thief := w.script("")
	thief.header = http.Header{"Authorization": {"Bearer sari.2"}}
	wantStatus(t, thief.repeat(api, p.Challenge.ID, body(100000)), http.StatusUnauthorized)
	wantStatus(t, send(api, p.Challenge.ID, body(100000)), http.StatusOK)
	wantHits(t, w, 1)
}

func TestAGrantOpensTheGroupOverJSON(t *testing.T) {
	w := newWorld(t)
	w.enrolSMS("budi")
	b := w.script("budi")
	p := decode(t, b.json("POST", "/account/email", `{"email":"x@example.com"}`))
	if p.Challenge.SentTo != "+62 ••• •••• 7890" {
		t.Errorf("sent_to = %q, want the masked number", p.Challenge.SentTo)
	}
	wantStatus(t, b.json("POST", p.Challenge.URL, answer("sms", w.phone.last(t).Code)), http.StatusOK)
	wantStatus(t, b.json("POST", "/account/email", `{"email":"x@example.com"}`), http.StatusOK)
	wantStatus(t, b.json("POST", "/account/phone", `{"phone":"1"}`), http.StatusOK)
	// A single-use rule is never opened by a grant.
	wantStatus(t, b.json("POST", api, body(100000)), http.StatusUnauthorized)
	wantHits(t, w, 2)
}

func TestTheSMSCodeIsSentAgainAfterItsWaitAndThreeTimesAtMost(t *testing.T) {
	w := newWorld(t)
	w.enrolSMS("budi")
	b := w.script("budi")
	p := decode(t, b.json("POST", api, body(100000)))
	first := w.phone.last(t).Code
	send := p.Challenge.URL + "/send"
	res := b.json("POST", send, "")
	wantStatus(t, res, http.StatusTooManyRequests)
	if got := res.Header.Get("Retry-After"); got != "30" {
		t.Errorf("Retry-After = %q, want 30", got)
	}
	w.clock.add(30 * time.Second)
	res = b.json("POST", send, "")
	wantStatus(t, res, http.StatusAccepted)
	if got := text(t, res); !strings.Contains(got, `"resend_after":60`) || !strings.Contains(got, "7890") {
		t.Errorf("answer = %s", got)
	}
	if again := w.phone.last(t).Code; again != first {
		t.Errorf("the code sent again is another one although the first has life left")
	}
	w.clock.add(60 * time.Second)
	wantStatus(t, b.json("POST", send, ""), http.StatusAccepted)
	w.clock.add(120 * time.Second)
	wantStatus(t, b.json("POST", send, ""), http.StatusTooManyRequests)
	if n := w.phone.count(); n != 3 {
		t.Errorf("%d SMS were sent, want 3", n)
	}
}

func TestTheStateOfAChallengeIsReadAndCancelledOverJSON(t *testing.T) {
	w := newWorld(t)
	w.enrolTOTP("sari")
	b := w.script("sari")
	p := decode(t, b.json("POST", api, body(100000)))
	if got := decode(t, b.get(p.Challenge.URL)).Challenge.State; got != "pending" {
		t.Errorf("state = %q", got)
	}
	wantStatus(t, w.script("sari").get(p.Challenge.URL), http.StatusForbidden)
	wantStatus(t, w.script("").get(p.Challenge.URL), http.StatusUnauthorized)
	if got := decode(t, b.json("POST", p.Challenge.URL+"/cancel", "")).Challenge.State; got != "cancelled" {
		t.Errorf("state = %q, want cancelled", got)
	}
	wantStatus(t, b.json("POST", p.Challenge.URL, answer("totp", "123456")), http.StatusGone)
	wantStatus(t, b.get("/.stepgate/challenges/nonsense"), http.StatusNotFound)
}

// R7: the client cannot choose a factor that the account has not.
func TestAFactorThatTheAccountHasNotIsRefused(t *testing.T) {
	w := newWorld(t)
	w.enrolTOTP("sari")
	b := w.script("sari")
	p := decode(t, b.json("POST", api, body(100000)))
	res := b.json("POST", p.Challenge.URL, answer("sms", "123456"))
	wantStatus(t, res, http.StatusUnprocessableEntity)
	if got := decode(t, res).Type; got != "urn:stepgate:problem:factor-not-accepted" {
		t.Errorf("type = %q", got)
	}
	wantStatus(t, b.json("POST", p.Challenge.URL+"/send", ""), http.StatusGone)
	if w.phone.count() != 0 {
		t.Error("an SMS was sent")
	}
}
