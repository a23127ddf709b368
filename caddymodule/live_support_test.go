package caddymodule_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stepgate/stepgate/examples/casino"
)

// askPlayers asks the endpoint for support.
func (g *gateway) askPlayers(method, body string) (int, string) {
	g.t.Helper()
	return g.askAdmin(method, "/stepgate/players", body)
}

// askAdmin asks Caddy's admin API.
func (g *gateway) askAdmin(method, path, body string) (int, string) {
	g.t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(g.dir, "admin.sock"))
	}}}
	req, err := http.NewRequest(method, "http://localhost"+path, strings.NewReader(body))
	if err != nil {
		g.t.Fatal(err)
	}
	res, err := client.Do(req)
	if err != nil {
		g.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

func TestTheEndpointForSupportRefusesWhatItDoesNotUnderstand(t *testing.T) {
	g := start(t, config{})
	for _, c := range []struct {
		method, body string
		status       int
	}{
		{"GET", `{"subject":"x","do":"show"}`, 405},
		{"POST", `{"subject":"nobody","do":"show"}`, 404},
		{"POST", `{"subject":"nobody","do":"reset","by":"T-1"}`, 404},
		{"POST", `{"subject":"x","do":"reset"}`, 400},
		{"POST", `{"subject":"x","do":"reset","by":"a\nb"}`, 400},
		{"POST", `{"subject":"x","do":"reset","by":"` + strings.Repeat("a", 65) + `"}`, 400},
		{"POST", `{"subject":"x","do":"delete","by":"T-1"}`, 400},
		{"POST", `{"subject":"x","do":"show","more":1}`, 400},
		{"POST", `{"subject":"x","do":"show"} {}`, 400},
		{"POST", `{"do":"show"}`, 400},
		{"POST", `{"subject":"` + strings.Repeat("x", 5000) + `","do":"show"}`, 413},
	} {
		if status, text := g.askPlayers(c.method, c.body); status != c.status || !strings.Contains(text, `"error"`) {
			t.Errorf("%s %.60s = %d %s, want %d", c.method, c.body, status, text, c.status)
		}
	}
}

// R21, R65: a lost factor leads to support, never to the site alone; README says what
// support has to ask for before.
func TestSupportResetsAPlayerAndSeesNoSecret(t *testing.T) {
	g := start(t, config{})
	s := liveThrough(t, g)
	p := g.visitor()
	cookies := []*http.Cookie{{Name: casino.SessionCookie, Value: s["a session"]}, {Name: "stepgate-grant", Value: s["a grant"]}, {Name: "stepgate-browser", Value: s["a browser's secret"]}}
	p.http.Jar.SetCookies(p.url(), cookies)
	subject := strings.Trim(p.get("/api/me").body, "{}\n")
	_, subject, _ = strings.Cut(subject, `"id":`)
	subject, _, _ = strings.Cut(subject, ",")
	subject = strings.Trim(subject, `"`)
	for _, c := range []struct {
		do       string
		status   int
		enrolled bool
	}{{"show", 200, true}, {"unlock", 409, false}, {"lift", 409, false}, {"reset", 200, false}} {
		status, text := g.askPlayers("POST", `{"subject":"`+subject+`","do":"`+c.do+`","by":"T-1"}`)
		if found := s.in(text); status != c.status || len(found) > 0 {
			t.Fatalf("%s = %d %s with %v, want %d", c.do, status, text, found, c.status)
		}
		if enrolled := strings.Contains(text, `"factor":"totp"`); enrolled != c.enrolled {
			t.Errorf("%s: %s", c.do, text)
		}
	}
	p.get("/account/email").want(http.StatusUnauthorized) // the grant is worth nothing
	p.post("/.stepgate/security/totp").want(http.StatusUnauthorized)
	p.post("/.stepgate/security/totp", solution(p.post("/.stepgate/security/totp").challenge(), "sms", code(t, "+6281298765432"))...).want(http.StatusOK)
	told := 0
	for _, entry := range g.log("audit.json") {
		if entry["event"] == "account.supported" && entry["by"] == "T-1" && entry["level"] == "info" && entry["subject"] != subject {
			told++
		}
	}
	if told != 1 {
		t.Errorf("the audit log has %d changes by support, want 1", told)
	}
}
