package caddymodule_test

import (
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stepgate/stepgate/examples/spasite"
)

// tokens is an issuer of tokens that can be down.
type tokens struct {
	t      *testing.T
	g      *gateway
	site   *spasite.Site
	server *httptest.Server
	down   atomic.Bool
}

func newTokens(t *testing.T) *tokens {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	i := &tokens{t: t, site: spasite.New(spasite.Options{Issuer: "http://" + ln.Addr().String()})}
	i.server = &httptest.Server{Listener: ln, Config: &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if i.down.Load() {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		i.site.ServeHTTP(w, r)
	})}}
	i.server.Start()
	t.Cleanup(i.server.Close)
	return i
}

// config is a gateway that takes the issuer's tokens for an audience.
func (i *tokens) config(audience string) config {
	return config{log: true, stepUp: `
	step_up {
		identity jwt {
			bearer
			jwks     ` + i.server.URL + `/.well-known/jwks.json
			issuer   ` + i.server.URL + `
			audience ` + audience + `
			login    preferred_username
			phone    phone_number
			bind     claim sid
		}
		protect withdrawal {
			path /api/v1/withdrawals
			method POST
			single_use
			show amount {json.amount}
			unenrolled registered_phone
		}
		protect statement {
			path /statement
			unenrolled registered_phone
		}
		protect password {
			path /password
			trust acr pwd
			unenrolled registered_phone
		}
	}`}
}

// login returns the access token of a new session, and the refresh token with it.
func (i *tokens) login(path, body string) (access, refresh string) {
	i.t.Helper()
	r := httptest.NewRequest("POST", path, strings.NewReader(body))
	w := httptest.NewRecorder()
	i.site.ServeHTTP(w, r)
	var got struct {
		Access  string `json:"access_token"`
		Refresh string `json:"refresh_token"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || got.Access == "" {
		i.t.Fatalf("logging in: %d, %v", w.Code, err)
	}
	i.g.secrets.Add("a token", got.Access)
	for _, part := range strings.Split(got.Access, ".")[1:] {
		i.g.secrets.Add("a part of a token", part)
	}
	return got.Access, got.Refresh
}

// app returns a script that sends a token and has no cookies.
func (i *tokens) app(token string) *player {
	p := i.g.visitor()
	p.header = http.Header{"Accept": {"application/json"}}
	if token != "" {
		p.header.Set("Authorization", "Bearer "+token)
	}
	return p
}

const (
	tokenLogin = `{"username":"budi","password":"rahasia"}`
	tokenPhone = "+6281234567810"
	payout     = `{"amount":2500000,"account":"BCA 1234567890"}`
)

func TestTokensOfAnIssuerAreSessions(t *testing.T) {
	issuer := newTokens(t)
	issuer.down.Store(true)
	g := start(t, issuer.config("spasite"))
	issuer.g = g
	withdraw := func(p *player, header ...string) answer {
		t.Helper()
		return p.do("POST", "/api/v1/withdrawals", "application/json", payout, header...)
	}
	token, refresh := issuer.login("/api/login", tokenLogin)
	app := issuer.app(token)

	// Without keys nobody is known and nobody is a visitor; what no rule is about goes on.
	withdraw(app).want(http.StatusServiceUnavailable)
	withdraw(issuer.app("")).want(http.StatusUnauthorized)
	app.get("/").want(http.StatusOK)
	g.site.wantReached(t, 0)

	issuer.down.Store(false)
	if err := g.load(issuer.config("spasite")); err != nil {
		t.Fatal(err)
	}
	withdraw(issuer.app(token[:len(token)-20])).want(http.StatusUnauthorized)
	met := withdraw(app).want(http.StatusUnauthorized)
	var problem struct {
		Challenge struct{ ID, URL string }
	}
	if err := json.Unmarshal([]byte(met.body), &problem); err != nil || problem.Challenge.ID == "" || !strings.HasPrefix(met.header.Get("WWW-Authenticate"), "Bearer ") {
		t.Fatalf("the challenge is %s, %v", met.body, err)
	}
	// The token is renewed before the code is there; its session is the same.
	renewed, _ := issuer.login("/api/refresh", `{"refresh_token":"`+refresh+`"}`)
	app = issuer.app(renewed)
	other, _ := issuer.login("/api/login", tokenLogin)
	answer := `{"factor":"sms","code":"` + code(t, tokenPhone) + `"}`
	issuer.app(other).do("POST", problem.Challenge.URL, "application/json", answer).want(http.StatusForbidden)
	issuer.app("").do("POST", problem.Challenge.URL, "application/json", answer).want(http.StatusUnauthorized)
	app.do("POST", problem.Challenge.URL, "application/json", answer).want(http.StatusOK)
	withdraw(issuer.app(other), "Step-Up-Challenge", problem.Challenge.ID).want(http.StatusUnauthorized)
	g.site.wantReached(t, 0)
	withdraw(app, "Step-Up-Challenge", problem.Challenge.ID)
	g.site.wantReached(t, 1)
	withdraw(app, "Step-Up-Challenge", problem.Challenge.ID).want(http.StatusUnauthorized)
	g.site.wantReached(t, 1)

	// A rule may trust what the issuer says; others do not.
	if a := app.get("/password"); a.status == http.StatusUnauthorized || len(g.site.reached("/password")) != 1 {
		t.Errorf("the issuer's word opens nothing: %d", a.status)
	}
	app.get("/statement").want(http.StatusUnauthorized)

	// New keys, as after a reload; and the same tokens at a site that they are not for.
	issuer.site.Rotate()
	if err := g.load(issuer.config("spasite")); err != nil {
		t.Fatal(err)
	}
	rotated, _ := issuer.login("/api/login", tokenLogin)
	withdraw(issuer.app(rotated)).want(http.StatusUnauthorized).wantChallenge()
	if err := g.load(issuer.config("another")); err != nil {
		t.Fatal(err)
	}
	withdraw(issuer.app(rotated)).want(http.StatusServiceUnavailable)
	issuer.app(rotated).get("/password").want(http.StatusServiceUnavailable)
	g.site.wantReached(t, 1)

	said := map[string]bool{}
	for _, entry := range g.log("log.json") {
		if text, ok := entry["error"].(string); ok {
			said[text] = true
		}
	}
	for _, want := range []string{
		"reading a token: asking for the issuer's keys: it answers with status 502", "reading a token of the issuer's: its aud names no audience that is configured",
	} {
		if !said[want] {
			t.Errorf("the log does not say %q but %v", want, said)
		}
	}
	vouched := false
	for _, entry := range g.log("audit.json") {
		vouched = vouched || entry["event"] == "request.vouched" && entry["rule"] == "password" && entry["factor"] == "issuer"
	}
	if !vouched {
		t.Error("the audit log does not say that an issuer's word opened a rule")
	}
}

// wantReached fails the test unless so many withdrawals have reached the site.
func (s *site) wantReached(t *testing.T, want int) {
	t.Helper()
	if got := len(s.reached("/api/v1/withdrawals")); got != want {
		t.Fatalf("%d withdrawals have reached the site, want %d", got, want)
	}
}

// wantChallenge fails the test unless a script was told of a challenge.
func (a answer) wantChallenge() {
	a.t.Helper()
	if !strings.Contains(a.body, `"challenge":{"id"`) {
		a.t.Fatalf("the answer is no challenge:\n%s", a.body)
	}
}
