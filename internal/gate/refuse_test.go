package gate_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stepgate/stepgate/challengepages"
	"github.com/stepgate/stepgate/internal/audit"
)

func TestWhatNoRuleProtectsGoesOnUnchanged(t *testing.T) {
	w := newWorld(t)
	b := w.browser("budi")
	r := b.request("POST", "/wallet/deposit?x=%2f", formType, "amount=1&amount=2")
	before := r.Header.Clone()
	wantStatus(t, b.do(r), http.StatusOK)
	got := w.site.all()[0]
	if got.uri != "/wallet/deposit?x=%2f" || got.body != "amount=1&amount=2" {
		t.Errorf("the site got %s %q", got.uri, got.body)
	}
	for name := range before {
		if strings.Join(got.header[name], "|") != strings.Join(before[name], "|") {
			t.Errorf("header %s reached the site as %q, want %q (I12)", name, got.header[name], before[name])
		}
	}
}

func TestOwnCookiesAndHeadersNeverReachTheSite(t *testing.T) {
	w := newWorld(t)
	b := w.browser("")
	r := b.request("GET", "/", "", "")
	r.Header["Cookie"] = []string{"a=1; __Host-stepgate-grant=x;  b=2;stepgate-browser=y", "__Host-stepgate-language=id"}
	for _, name := range []string{"Step-Up-Subject", "Step-Up-Challenge", "step-up-subject", "Step_up_subject"} {
		r.Header[name] = []string{"budi"}
	}
	wantStatus(t, b.do(r), http.StatusOK)
	got := w.site.all()[0].header
	for name := range got {
		if strings.HasPrefix(strings.ToLower(strings.ReplaceAll(name, "_", "-")), "step-up") {
			t.Errorf("the site got %s", name)
		}
	}
	if cookies := strings.Join(got["Cookie"], "|"); strings.Contains(cookies, "stepgate") || !strings.Contains(cookies, "a=1;  b=2") {
		t.Errorf("the site got Cookie %q", cookies)
	}
}

func TestInvariantI11WhoIsNotLoggedInLearnsNothing(t *testing.T) {
	w := newWorld(t)
	w.enrolSMS("budi")
	p := decode(t, w.script("budi").json("POST", api, body(1)))
	known := text(t, w.script("").get(p.Challenge.URL))
	unknown := text(t, w.script("").get("/.stepgate/challenges/AAAAAAAAAAAAAAAAAAAAAA"))
	if known != unknown || strings.Contains(known, p.Challenge.ID) {
		t.Errorf("a challenge that exists answers %s, one that does not %s", known, unknown)
	}
	res := w.browser("").withdraw("1")
	wantStatus(t, res, http.StatusSeeOther)
	if got := res.Header.Get("Location"); got != "/login" {
		t.Errorf("Location = %q, want the login page", got)
	}
	// R70
	res = w.script("").json("POST", api, body(1))
	wantStatus(t, res, http.StatusUnauthorized)
	got := text(t, res)
	if header := res.Header.Get("WWW-Authenticate"); header != noSession || strings.Contains(got, "withdrawal") || strings.Contains(got, "totp") {
		t.Errorf("an anonymous caller learns of the rule: %s %s", header, got)
	}
	wantHits(t, w, 0)
}

// What a 401 says where nobody is logged in, and where a factor is missing.
const (
	noSession = `Step-Up error="login_required", error_description="Nobody is logged in"`
	noToken   = `Bearer error="invalid_token", error_description="Nobody is logged in"`
	noFactor  = `error="insufficient_user_authentication", error_description="A second factor is required"`
)

// RFC 9110 section 15.5.2 asks every 401 for a WWW-Authenticate, and browsers ask for a
// name and a password at schemes that they know: none of these is one.
func TestEvery401SaysWhatIsMissing(t *testing.T) {
	w, _ := newSharing(t)
	w.enrolTOTP("budi")
	w.gate.LoginPage = ""
	bearer := func(token string) *browser {
		app := w.script("")
		app.header.Set("Authorization", "Bearer "+token)
		return app
	}
	basic := w.script("")
	basic.header.Set("Authorization", "Basic YnVkaTpyYWhhc2lh")
	both := bearer("nobody")
	both.session = "visitor"
	page := w.browser("budi")
	id := challengeID(t, text(t, page.get("/statement")))
	for _, c := range []struct {
		name string
		res  *http.Response
		want string
	}{
		{"a visitor's page", w.browser("").get("/statement"), noSession},
		{"a visitor's script", w.script("").get("/statement"), noSession},
		{"a session that has ended", w.script("gone").get("/statement"), noSession},
		{"a name and a password that nobody asked for", basic.get("/statement"), noSession},
		{"a visitor's security page", w.browser("").get("/account/security"), noSession},
		{"a visitor's challenge", w.script("").get("/.stepgate/challenges/" + id), noSession},
		{"a token that has ended", bearer("gone").get("/statement"), noToken},
		{"a token beside a visitor's session", both.get("/statement"), noToken},
		{"a player's page", page.get("/statement"), "Step-Up " + noFactor},
		{"a player's page once more", page.post("/statement", challengepages.FieldChallenge, id, challengepages.FieldAction, challengepages.ActionSend), "Step-Up " + noFactor},
		{"a player's script", w.script("budi").get("/statement"), "Step-Up " + noFactor + `, acr_values="totp sms", max_age="300"`},
		{"a player's token", bearer("budi").get("/statement"), "Bearer " + noFactor + `, acr_values="totp sms", max_age="300"`},
	} {
		wantStatus(t, c.res, http.StatusUnauthorized)
		if got := c.res.Header.Values("WWW-Authenticate"); len(got) != 1 || got[0] != c.want {
			t.Errorf("%s: WWW-Authenticate = %q, want %q", c.name, got, c.want)
		}
	}
	// What is no 401 asks for nothing.
	for _, res := range []*http.Response{page.answer("/statement", id, "totp", "000000"), w.browser("budi").get("/"), page.get("/.stepgate/challenges/" + id)} {
		if got := res.Header.Get("WWW-Authenticate"); res.StatusCode == http.StatusUnauthorized || got != "" {
			t.Errorf("an answer with status %d has WWW-Authenticate %q", res.StatusCode, got)
		}
	}
	w.gate.LoginPage = "/login"
	if res := w.browser("").withdraw("1"); res.StatusCode != http.StatusSeeOther || res.Header.Get("WWW-Authenticate") != "" {
		t.Errorf("a visitor who is sent to the login page gets %d with WWW-Authenticate %q", res.StatusCode, res.Header.Get("WWW-Authenticate"))
	}
}

func TestACrossSiteFormOpensNoChallenge(t *testing.T) {
	w := newWorld(t)
	w.enrolSMS("budi")
	for name, header := range map[string]http.Header{
		"fetch metadata": {"Sec-Fetch-Site": {"cross-site"}},
		"a subdomain":    {"Sec-Fetch-Site": {"same-site"}, "Origin": {"https://evil.casino.example"}},
		"origin only":    {"Origin": {"https://evil.example"}},
		"null origin":    {"Origin": {"null"}},
	} {
		b := w.browser("budi")
		r := b.request("POST", withdraw, formType, "amount=1")
		r.Header.Del("Sec-Fetch-Site")
		for k, v := range header {
			r.Header[k] = v
		}
		if res := b.do(r); res.StatusCode != http.StatusForbidden {
			t.Errorf("%s: status = %d, want 403 (R41)", name, res.StatusCode)
		}
	}
	if w.phone.count() != 0 {
		t.Error("an SMS was sent")
	}
	wantHits(t, w, 0)
}

func TestALinkOnAnotherSiteSendsNoSMS(t *testing.T) {
	w := newWorld(t)
	w.enrolSMS("budi")
	b := w.browser("budi")
	r := b.request("GET", "/statement", "", "")
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	res := b.do(r)
	wantStatus(t, res, http.StatusUnauthorized)
	if w.phone.count() != 0 {
		t.Error("an SMS was sent")
	}
	// The player asks for it on the page.
	id := challengeID(t, text(t, res))
	b.post("/statement", challengepages.FieldChallenge, id, challengepages.FieldAction, challengepages.ActionSend)
	wantStatus(t, b.answer("/statement", id, "sms", w.phone.last(t).Code), http.StatusSeeOther)
}

func TestWhatCannotBeHeldIsRefusedClearly(t *testing.T) {
	w := newWorld(t)
	w.enrolSMS("budi")
	large := strings.Repeat("x", 1<<20+1)
	res := w.browser("budi").do(w.browser("budi").request("POST", withdraw, formType, "amount="+large))
	wantStatus(t, res, http.StatusRequestEntityTooLarge)
	res = w.script("budi").json("POST", api, `{"amount":"`+large+`"}`)
	wantStatus(t, res, http.StatusRequestEntityTooLarge)
	if got := decode(t, res).Type; got != "urn:stepgate:problem:cannot-hold" {
		t.Errorf("type = %q", got)
	}
	upgrade := w.script("budi").request("POST", "/account/email", "", "")
	upgrade.Header.Set("Upgrade", "websocket")
	upgrade.Header.Set("Connection", "Upgrade")
	wantStatus(t, w.script("budi").do(upgrade), http.StatusForbidden)
	wantHits(t, w, 0)
}

func TestInvariantI1EverySpellingIsProtected(t *testing.T) {
	w := newWorld(t)
	w.enrolSMS("budi")
	b := w.script("budi")
	for _, target := range []string{
		"/wallet/withdraw", "/Wallet/Withdraw", "/wallet//withdraw", "/wallet/./withdraw", "/x/../wallet/withdraw", "/wallet/%77ithdraw",
		"/wallet/withdraw/", "/wallet;x=1/withdraw", "/x/..;/wallet/withdraw", "/wallet%2fwithdraw", "/wallet/%2577ithdraw",
		`/wallet%5cwithdraw`, "/api/v1/withdrawals.json",
	} {
		r := b.request("POST", target, "application/json", body(1))
		if res := b.do(r); res.StatusCode == http.StatusOK {
			t.Errorf("POST %s went through", target)
		}
	}
	override := b.request("GET", "/wallet/withdraw", "", "")
	override.Header.Set("X-HTTP-Method-Override", "POST")
	if res := b.do(override); res.StatusCode == http.StatusOK {
		t.Error("a method override went through")
	}
	wantHits(t, w, 0)
}

func TestInvariantI1OutagesRefuse(t *testing.T) {
	w := newWorld(t)
	w.enrolSMS("budi")
	b := w.browser("budi")
	w.down = errDown
	wantStatus(t, b.withdraw("1"), http.StatusServiceUnavailable)
	wantStatus(t, b.get("/"), http.StatusOK)
	w.down, w.source.err = nil, errDown
	res := b.withdraw("1")
	wantStatus(t, res, http.StatusServiceUnavailable)
	if res.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	w.source.err = nil
	if err := w.back.Store.Close(); err != nil {
		t.Fatal(err)
	}
	wantStatus(t, b.withdraw("1"), http.StatusServiceUnavailable)
	wantStatus(t, b.get("/.stepgate/security"), http.StatusServiceUnavailable)
	if hits := w.site.all(); len(hits) != 1 || hits[0].uri != "/" {
		t.Errorf("the site got %+v", hits)
	}
}

func TestAProviderThatFailsIsToldToThePlayer(t *testing.T) {
	w := newWorld(t)
	w.enrolSMS("budi")
	w.phone.err = errDown // an unknown outcome: it may have been sent
	b := w.browser("budi")
	wantStatus(t, b.withdraw("1"), http.StatusUnauthorized)
	if !w.saw(audit.ChallengeSendError) {
		t.Error("no event tells of the failure")
	}
}

func TestASessionThatIsThereTwiceIsRefused(t *testing.T) {
	w := newWorld(t)
	w.enrolSMS("budi")
	b := w.browser("budi")
	r := b.request("POST", withdraw, formType, "amount=1")
	r.AddCookie(&http.Cookie{Name: "session", Value: "sari"})
	wantStatus(t, b.do(r), http.StatusBadRequest)
	wantHits(t, w, 0)
}

func TestAnUnmeetableRequirementSaysWhatIsNeeded(t *testing.T) {
	w := newWorld(t)
	w.enrolSMS("budi")
	res := w.script("budi").json("POST", "/totp-only", "{}")
	wantStatus(t, res, http.StatusForbidden)
	if got := text(t, res); !strings.Contains(got, "totp") || !strings.Contains(got, "factor-required") {
		t.Errorf("the answer does not say what is needed (R71): %s", got)
	}
	wantHits(t, w, 0)
}

// The rule names PATCH; Laravel takes a POST for one whose JSON body says so.
func TestInvariantI1AMethodNamedInAJSONBodyCounts(t *testing.T) {
	w := newWorld(t)
	w.enrolSMS("budi")
	b := w.script("budi")
	for name, body := range map[string]string{
		"plain":        `{"_method":"PATCH"}`,
		"lower case":   `{"x":1,"_method":"patch"}`,
		"escaped name": `{"_\u006dethod":"PATCH"}`,
		"twice":        `{"_method":"POST","_method":"PATCH"}`,
		"too long":     `{"x":"` + strings.Repeat("x", 1<<20) + `","_method":"PATCH"}`,
	} {
		if res := b.json("POST", "/profile", body); res.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s: status = %d, want 401", name, res.StatusCode)
		}
	}
	wantHits(t, w, 0)
	for _, body := range []string{`{"x":"_method"}`, `{}`, `[1]`, `{"_method":"GET"}`} {
		wantStatus(t, b.json("POST", "/profile", body), http.StatusOK)
	}
	if hits := w.site.all(); len(hits) != 4 || hits[0].body != `{"x":"_method"}` {
		t.Errorf("the site got %+v", hits)
	}
}

func TestAFormThatIsTooLargeToHoldCanBeSentAgainUnderAGrant(t *testing.T) {
	w := newWorld(t)
	w.enrolSMS("budi")
	b := w.browser("budi")
	form := func() *http.Request {
		return b.request("POST", "/account/email", formType, "picture="+strings.Repeat("x", 1<<20))
	}
	res := b.do(form())
	wantStatus(t, res, http.StatusUnauthorized)
	res = b.answer("/account/email", challengeID(t, text(t, res)), "sms", w.phone.last(t).Code)
	wantStatus(t, res, http.StatusOK)
	wantHits(t, w, 0)
	wantStatus(t, b.do(form()), http.StatusOK)
	wantHits(t, w, 1)
}
