package caddymodule_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stepgate/stepgate/examples/casino"
)

const newDeviceStepUp = `
	step_up {
		identity upstream {SITE}/api/me {
			cookie  casino_session
			subject json:id
			phone   json:phone
		}
		login_page /login
		logout /logout
		new_device {
			except path /assets/*
			unenrolled registered_phone
		}
		protect contact {
			path /account/email
			unenrolled registered_phone
		}
	}`

// A player on a new device meets the challenge on every page, once; a logout ends what the
// session had, also for a copy of its cookies.
func TestANewDeviceIsChallengedThroughCaddy(t *testing.T) {
	g := start(t, config{stepUp: newDeviceStepUp})
	g.visitor().get("/").want(http.StatusOK)
	p := g.login(budisLogin)
	p.get("/wallet").want(http.StatusUnauthorized)
	p.get("/api/me", "Sec-Fetch-Mode", "cors", "Accept", "application/json").want(http.StatusUnauthorized)
	p.get("/assets/casino.css")
	id := p.get("/wallet").want(http.StatusUnauthorized).challenge()
	p.post("/wallet", solution(id, "sms", code(t, budisPhone))...).want(http.StatusSeeOther)
	p.get("/wallet").want(http.StatusOK)
	if p.cookie("stepgate-pass") == "" {
		t.Error("there is no pass")
	}
	p.get("/wallet").want(http.StatusOK)
	for _, hit := range g.site.reached("/wallet") {
		if got := hit.header.Get("Cookie"); got != casino.SessionCookie+"="+p.cookie(casino.SessionCookie) {
			t.Errorf("the site got the cookies %q, want its session and nothing else", got)
		}
	}
	p.post("/account/email", "email", "budi@example.com").want(http.StatusUnauthorized)

	session := p.cookie(casino.SessionCookie)
	p.post("/logout").want(http.StatusSeeOther)
	for _, c := range p.http.Jar.Cookies(p.url()) {
		if strings.HasSuffix(c.Name, "-pass") || strings.HasSuffix(c.Name, "-grant") {
			t.Errorf("the browser keeps %s", c.Name)
		}
	}
	if p.cookie(casino.SessionCookie) == session {
		t.Error("the site's own answer to the logout is lost")
	}
	g.login(budisLogin).get("/wallet").want(http.StatusUnauthorized)
}
