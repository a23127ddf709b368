package caddymodule_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp/caddyauth"
)

// placed returns a step_up that takes the player from a placeholder.
func placedStepUp(identity string) string {
	return `
	step_up {
		identity placeholder ` + identity + `
		protect withdrawal {
			path /wallet/withdraw
			single_use
			unenrolled registered_phone
		}
	}`
}

// withoutPhones is a log that leaves out what forward_auth, which is Caddy's own, logs of
// its answer at DEBUG.
const withoutPhones = `filter {
			fields {
				headers>Remote-Phone delete
				request>headers>Remote-Phone delete
			}
		}`

const (
	withdrawal = "amount=100.000&account=BCA+1"
	sarisID    = "u-1002"
)

// claims are headers by which a client says that it is sari, in all spellings in which a
// header can come.
var claims = []string{
	"Remote-User: " + sarisID, "remote-user: " + sarisID, "REMOTE-USER: " + sarisID, "Remote_User: " + sarisID, "Remote.User: " + sarisID, "X-Remote-User: " + sarisID,
	"Remote-User:\t" + sarisID + "\r\nRemote-User: " + sarisID, "X-User: " + sarisID, "X_User: " + sarisID, "Http.auth.user.id: " + sarisID, "Http-Auth-User-Id: " + sarisID,
	"Remote-User: " + sarisID + "\r\nConnection: Remote-User", "Remote-Phone: +628999999999\r\nRemote-User: " + sarisID,
}

// forwardAuth is the way in which most sites do it: what asks deletes the header, and
// sets it where the answer has one.
const forwardAuth = `
	forward_auth {SITE} {
		uri /verify
		copy_headers Remote-User Remote-Phone
	}`

const byHeader = `{http.request.header.Remote-User} {
			credential cookie casino_session
			phone {http.request.header.Remote-Phone}
			unsafe_header "forward_auth deletes and sets it"
		}`

// The trap of copy_headers: the answer about a visitor has no such header, and what the
// client wrote into it would stay. Caddy deletes it first (GHSA-7r4p-vjf4-gxv4); this
// holds Caddy to it.
func TestAttackIdentityHeaderThatTheAuthAnswerLacks(t *testing.T) {
	g := start(t, config{format: withoutPhones, stepUp: forwardAuth + placedStepUp(byHeader)})
	for _, claim := range claims {
		// A cookie that the site does not know: a visitor, who may look around.
		if status := g.raw("POST /wallet/withdraw HTTP/1.1\r\nHost: localhost\r\nCookie: casino_session=none\r\n" + claim +
			"\r\nContent-Type: " + formType + "\r\nContent-Length: " + strconv.Itoa(len(withdrawal)) + "\r\n\r\n" + withdrawal); status != http.StatusUnauthorized && status != http.StatusBadRequest {
			t.Errorf("a visitor with %q gets %d, want 401 or 400", claim, status)
		}
	}
	if opened := g.audited("request.challenged"); len(opened) > 0 {
		t.Errorf("a visitor's claim opened a challenge: %v", opened)
	}
	// A player's claim to be another one is that of the player.
	budi := g.login(budisLogin)
	id := budi.do("POST", "/wallet/withdraw", formType, withdrawal, "Remote-User", sarisID, "Remote-Phone", "+628999999999").want(http.StatusUnauthorized).challenge()
	budi.post("/wallet/withdraw", solution(id, "sms", code(t, budisPhone))...).want(http.StatusSeeOther)
	if hits := g.site.reached("/wallet/withdraw"); len(hits) != 1 || hits[0].header.Get("Remote-User") == sarisID {
		t.Errorf("the site got %+v, want one withdrawal of budi's", hits)
	}
}

// Where step_up stands before what finds out who it is, nobody is anybody: not by the
// right password, and not by what a client says that the placeholder is.
func TestAttackIdentityBeforeTheAuthHandlerRuns(t *testing.T) {
	hash, err := caddyauth.BcryptHash{}.Hash([]byte("rahasia"))
	if err != nil {
		t.Fatal(err)
	}
	basic := "\n\tbasic_auth {\n\t\tbudi " + string(hash) + "\n\t}"
	for name, route := range map[string]string{
		"basic_auth":   placedStepUp("{http.auth.user.id} {\n\t\t\tcredential cookie casino_session\n\t\t}") + basic,
		"forward_auth": placedStepUp("{rp.header.Remote-User} {\n\t\t\tcredential cookie casino_session\n\t\t}") + forwardAuth,
	} {
		t.Run(name, func(t *testing.T) {
			g := start(t, config{format: withoutPhones, stepUp: "\n\troute {" + route + "\n\treverse_proxy {SITE}\n\t}", site: "\n"})
			for _, p := range []*player{g.visitor(), g.login(budisLogin)} {
				for _, claim := range append(claims, "X-Nothing: x") {
					header, value, _ := strings.Cut(claim, ":")
					value, _, _ = strings.Cut(value, "\r")
					p.do("POST", "/wallet/withdraw", formType, withdrawal, "Authorization", "Basic YnVkaTpyYWhhc2lh", header, strings.TrimSpace(value)).want(http.StatusUnauthorized)
				}
			}
			if hits := g.site.reached("/wallet/withdraw"); len(hits) > 0 {
				t.Errorf("the site got %+v", hits)
			}
			if opened, nobody := g.audited("request.challenged"), g.audited("request.anonymous"); len(opened) > 0 || len(nobody) < len(claims) {
				t.Errorf("%d requests were anonymous, want all, and none challenged: %v", len(nobody), opened)
			}
		})
	}
}
