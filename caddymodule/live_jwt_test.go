package caddymodule_test

import (
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
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

// payOut asks for a withdrawal as an app does.
func (p *player) payOut(header ...string) answer {
	p.g.t.Helper()
	return p.do("POST", "/api/v1/withdrawals", "application/json", payout, header...)
}

// said reports whether a log has an entry in which these keys and values stand.
func (g *gateway) said(log string, pairs ...string) bool {
	g.t.Helper()
	return slices.ContainsFunc(g.log(log), func(entry map[string]any) bool {
		for i := 0; i < len(pairs); i += 2 {
			if entry[pairs[i]] != pairs[i+1] {
				return false
			}
		}
		return true
	})
}

// Without keys nobody is known and nobody is a visitor. What no rule is about goes on.
func TestAnIssuerThatIsDownAtStartClosesProtectedRoutesAlone(t *testing.T) {
	issuer := newTokens(t)
	issuer.down.Store(true)
	g := start(t, issuer.config("spasite"))
	issuer.g = g
	token, _ := issuer.login("/api/login", tokenLogin)
	app := issuer.app(token)
	app.payOut().want(http.StatusServiceUnavailable)
	issuer.app("").payOut().want(http.StatusUnauthorized)
	app.get("/").want(http.StatusOK)
	g.site.wantReached(t, 0)
	if !g.said("log.json", "error", "reading a token: asking for the issuer's keys: it answers with status 502") {
		t.Error("the log does not say why")
	}
	issuer.down.Store(false)
	if err := g.load(issuer.config("spasite")); err != nil {
		t.Fatal(err)
	}
	app.payOut().want(http.StatusUnauthorized).met()
}

func TestTokensOfAnIssuerAreSessions(t *testing.T) {
	issuer := newTokens(t)
	g := start(t, issuer.config("spasite"))
	issuer.g = g
	token, refresh := issuer.login("/api/login", tokenLogin)
	issuer.app(token[:len(token)-20]).payOut().want(http.StatusUnauthorized)
	id, url := issuer.app(token).payOut().want(http.StatusUnauthorized).met()
	// The token is renewed before the code is there; its session is the same.
	renewed, _ := issuer.login("/api/refresh", `{"refresh_token":"`+refresh+`"}`)
	another, _ := issuer.login("/api/login", tokenLogin)
	app, other := issuer.app(renewed), issuer.app(another)
	solution := `{"factor":"sms","code":"` + code(t, tokenPhone) + `"}`
	other.do("POST", url, "application/json", solution).want(http.StatusForbidden)
	issuer.app("").do("POST", url, "application/json", solution).want(http.StatusUnauthorized)
	app.do("POST", url, "application/json", solution).want(http.StatusOK)
	other.payOut("Step-Up-Challenge", id).want(http.StatusUnauthorized)
	g.site.wantReached(t, 0)
	app.payOut("Step-Up-Challenge", id)
	g.site.wantReached(t, 1)
	app.payOut("Step-Up-Challenge", id).want(http.StatusUnauthorized)
	g.site.wantReached(t, 1)

	// A rule may trust what the issuer says; others do not.
	if a := app.get("/password"); a.status == http.StatusUnauthorized || len(g.site.reached("/password")) != 1 {
		t.Errorf("the issuer's word opens nothing: %d", a.status)
	}
	if !g.said("audit.json", "event", "request.vouched", "rule", "password", "factor", "issuer") {
		t.Error("the audit log does not say that an issuer's word opened a rule")
	}
	app.get("/statement").want(http.StatusUnauthorized)
}

// Somebody sends a token that was stolen at another site of the same issuer.
func TestAttackTokenOfAnotherAudience(t *testing.T) {
	issuer := newTokens(t)
	g := start(t, issuer.config("another"))
	issuer.g = g
	issuer.site.Rotate() // and the keys of today
	token, _ := issuer.login("/api/login", tokenLogin)
	app := issuer.app(token)
	app.payOut().want(http.StatusServiceUnavailable)
	app.get("/password").want(http.StatusServiceUnavailable)
	app.get("/statement").want(http.StatusServiceUnavailable)
	if len(g.site.all()) != 0 {
		t.Errorf("the site got %v", g.site.all())
	}
	if !g.said("log.json", "error", "reading a token of the issuer's: its aud names no audience that is configured") {
		t.Error("the log does not say why")
	}
}

// wantReached fails the test unless so many withdrawals have reached the site.
func (s *site) wantReached(t *testing.T, want int) {
	t.Helper()
	if got := len(s.reached("/api/v1/withdrawals")); got != want {
		t.Fatalf("%d withdrawals have reached the site, want %d", got, want)
	}
}

// met returns the challenge that a script was told of.
func (a answer) met() (id, url string) {
	a.t.Helper()
	var problem struct {
		Challenge struct{ ID, URL string }
	}
	if err := json.Unmarshal([]byte(a.body), &problem); err != nil || problem.Challenge.ID == "" || !strings.HasPrefix(a.header.Get("WWW-Authenticate"), "Bearer ") {
		a.t.Fatalf("the answer tells of no challenge:\n%s", a.body)
	}
	return problem.Challenge.ID, problem.Challenge.URL
}
