package gate_test

import (
	"net/http"
	"testing"
)

// under sends a request with another Host header than that of the site.
func (b *browser) under(host string, r *http.Request) *http.Response {
	b.w.t.Helper()
	r.Host = host
	return b.do(r)
}

// A step-up that was passed under a host that asks for less, or of which the attacker
// has the name, opens nothing under another one: not by the grant, not while the
// identity and what follows from it are remembered, and not by an approval (I9).
func TestAttackStepUpUnderAnotherHost(t *testing.T) {
	w, _ := newSharing(t)
	secret, _ := w.enrolTOTP("budi")
	b := w.browser("budi")
	b.stepUp(secret)
	foreign := []string{"other.example", "casino.example.evil.example", "www.casino.example", "casino.example.", "casino.example, other.example", "[::1]", ""}
	for _, host := range foreign {
		wantStatus(t, b.get("/statement"), http.StatusOK) // so that the right host is the one remembered
		thief := b.clone()
		r := thief.request("GET", "/statement", "", "")
		r.Header.Set("X-Forwarded-Host", "casino.example")
		r.Header.Set("Forwarded", "host=casino.example")
		r.Header.Set("X-Host", "casino.example")
		if res := thief.under(host, r); res.StatusCode != http.StatusUnauthorized {
			t.Errorf("a grant of casino.example under the host %q = %d, want 401", host, res.StatusCode)
		}
	}
	for _, host := range []string{"CASINO.example", "casino.example:443", "Casino.Example:9080"} {
		if res := b.under(host, b.request("GET", "/statement", "", "")); res.StatusCode != http.StatusOK {
			t.Errorf("a grant of casino.example under the host %q, which is the same, = %d, want 200", host, res.StatusCode)
		}
	}

	// The same of a challenge that was opened under one host, and of what it approves.
	before := len(w.site.all())
	script := w.script("budi")
	opened := decode(t, script.json("POST", api, body(5000))).Challenge
	for _, host := range foreign {
		thief := script.clone()
		r := thief.request("POST", opened.URL, "application/json", answer("totp", w.totp(secret)))
		if res := thief.under(host, r); res.StatusCode != http.StatusForbidden {
			t.Errorf("an answer under the host %q = %d, want 403", host, res.StatusCode)
		}
	}
	wantStatus(t, script.json("POST", opened.URL, answer("totp", w.totp(secret))), http.StatusOK)
	for _, host := range foreign {
		thief := script.clone()
		r := thief.request("POST", api, "application/json", body(5000))
		r.Header.Set("Step-Up-Challenge", opened.ID)
		if res := thief.under(host, r); res.StatusCode != http.StatusUnauthorized {
			t.Errorf("an approval under the host %q = %d, want 401", host, res.StatusCode)
		}
	}
	wantHits(t, w, before)
	wantStatus(t, script.repeat(api, opened.ID, body(5000)), http.StatusOK)
}
