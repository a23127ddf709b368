package caddymodule_test

import (
	"net/http"
	"sync"
	"testing"
)

const (
	budisPhone = "+6281234567890"
	budisLogin = "budi"
)

// I4: once, to the right route, with placeholders and credentials of the request
// that is released.
func TestInvariantI4AReleasedRequestTakesItsOwnRouteOnce(t *testing.T) {
	g := start(t, config{site: `
	header +X-Outer outer
	handle /wallet/* {
		reverse_proxy {SITE} {
			header_up X-Route wallet
			header_up X-Method {http.request.method}
			header_up X-Uri {http.request.uri}
			header_up X-Type {http.request.header.Content-Type}
			header_up X-Length {http.request.header.Content-Length}
		}
	}
	handle {
		reverse_proxy {SITE} {
			header_up X-Route other
		}
	}`})
	p := g.login(budisLogin)
	id := p.withdraw("2.500.000")
	// The answer goes to another URL than the one that is released.
	a := p.post("/.stepgate/challenges/"+id, solution(id, "sms", code(t, budisPhone))...).want(http.StatusSeeOther)
	if got := a.header.Get("Location"); got != "/wallet" {
		t.Errorf("Location = %q, want the site's own answer", got)
	}
	if got := a.header.Values("X-Outer"); len(got) != 1 {
		t.Errorf("X-Outer = %q, want it once", got)
	}
	hits := g.site.reached("/wallet/withdraw")
	if len(hits) != 1 {
		t.Fatalf("the site got %d withdrawals, want 1", len(hits))
	}
	body := "amount=2.500.000&account=BCA+1234567890"
	if hits[0].method != "POST" || hits[0].body != body {
		t.Errorf("the site got %s %q, want POST %q", hits[0].method, hits[0].body, body)
	}
	for name, want := range map[string]string{
		"X-Route": "wallet", "X-Method": "POST", "X-Uri": "/wallet/withdraw", "X-Type": formType, "X-Length": "39",
	} {
		if got := hits[0].header.Get(name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
	if got := hits[0].header.Get("Cookie"); got != "casino_session="+p.cookie("casino_session") {
		t.Errorf("the site got the cookies %q, want its session and nothing else", got)
	}
	if ledger := g.site.casino.Ledger(budisLogin); len(ledger) != 1 || ledger[0].Amount != 2_500_000 {
		t.Errorf("ledger = %+v, want one withdrawal of 2500000", ledger)
	}
}

// I3, I4: two submits of one code are one withdrawal.
func TestInvariantI4ParallelAnswersReleaseOneRequest(t *testing.T) {
	g := start(t, config{})
	for range 5 {
		p := g.login(budisLogin)
		before := len(g.site.reached("/wallet/withdraw"))
		id := p.withdraw("100.000")
		body := form(solution(id, "sms", code(t, budisPhone))...)
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				if _, err := p.send("POST", "/wallet/withdraw", formType, body); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n := len(g.site.reached("/wallet/withdraw")) - before; n != 1 {
			t.Fatalf("four equal answers made %d withdrawals, want 1", n)
		}
	}
}

// The site knows the request under another path than the client. Both count for
// the rules, and the one that the client used is held.
func TestARequestThatWasRewrittenIsReleasedAsTheClientSentIt(t *testing.T) {
	g := start(t, config{stepUp: "\n\trewrite /cashout /wallet/withdraw?from=cashout" + ordinaryStepUp, site: `
	reverse_proxy {SITE} {
		header_up X-Original {http.request.orig_uri}
	}`})
	p := g.login(budisLogin)
	id := p.post("/cashout", "amount", "100.000", "account", "BCA 1").want(http.StatusUnauthorized).challenge()
	p.post("/cashout", solution(id, "sms", code(t, budisPhone))...).want(http.StatusSeeOther)
	hits := g.site.reached("/wallet/withdraw?from=cashout")
	if len(hits) != 1 || hits[0].header.Get("X-Original") != "/cashout" {
		t.Fatalf("the site got %+v, want one withdrawal that was asked for as /cashout", hits)
	}
}

// The identity may come from an earlier handler. It is asked again for what is
// released, and what a client claims counts for nothing.
func TestInvariantI4AnEarlierHandlerSaysWhoseRequestIsReleased(t *testing.T) {
	g := start(t, config{format: withoutPhones, stepUp: `
	forward_auth {SITE} {
		uri /verify
	}
	step_up {
		identity placeholder {rp.header.Remote-User} {
			credential cookie casino_session
			phone {rp.header.Remote-Phone}
		}
		protect withdrawal {
			path /wallet/withdraw
			single_use
			unenrolled registered_phone
		}
	}`})
	body := form("amount", "100.000", "account", "BCA 1")
	claims := []string{"Remote-User", "u-1001", "Remote-Phone", "+628999999999", "X-Remote-User", "u-1001"}
	visitor := g.visitor()
	visitor.do("POST", "/wallet/withdraw", formType, body, claims...).want(http.StatusUnauthorized)
	visitor.do("POST", "/wallet/withdraw", formType, body, append(claims, "Cookie", "casino_session=none")...).want(http.StatusUnauthorized)
	p := g.login(budisLogin)
	id := p.do("POST", "/wallet/withdraw", formType, body, claims...).want(http.StatusUnauthorized).challenge()
	p.do("POST", "/wallet/withdraw", formType, form(solution(id, "sms", code(t, budisPhone))...), claims...).want(http.StatusSeeOther)
	if hits := g.site.reached("/wallet/withdraw"); len(hits) != 1 || hits[0].body != body {
		t.Errorf("the site got %+v, want the one withdrawal", hits)
	}
}
