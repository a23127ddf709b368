package caddymodule_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// raw sends bytes to the gateway and returns the status of the answer, 0 if there
// is none: net/http's client would tidy a request up.
func (g *gateway) raw(request string) int {
	g.t.Helper()
	conn, err := net.DialTimeout("tcp", g.address, 5*time.Second)
	if err != nil {
		g.t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		g.t.Fatal(err)
	}
	if _, err := io.WriteString(conn, request); err != nil {
		return 0
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, res.Body)
	return res.StatusCode
}

// spellings are request targets that some server takes for the withdrawal. Package
// policy has all of them; these go through Caddy's own parsers and handlers.
var spellings = []string{
	"/wallet/withdraw", "/wallet/withdraw/", "/WALLET/WITHDRAW", "//wallet/withdraw", "/wallet//withdraw", "/./wallet/withdraw",
	"/x/../wallet/withdraw", "/wallet/x/../withdraw", "/../wallet/withdraw", "/%77allet/withdraw", "/wallet%2fwithdraw", "/wallet%252fwithdraw",
	"/%2577allet/withdraw", "/x/%2e%2e/wallet/withdraw", "/x/..%2fwallet/withdraw", "/x/%252e%252e/wallet/withdraw", "/x%2f..%2fwallet%2fwithdraw",
	`/wallet\withdraw`, `/x\..\wallet\withdraw`, "/wallet%5cwithdraw", "/x/%5c../wallet/withdraw", "/wallet/withdraw;", "/wallet/withdraw;a=b",
	"/wallet;a=b/withdraw", "/x/..;/wallet/withdraw", "/;a=b/wallet/withdraw", "/x/..%3b/wallet/withdraw", "/wallet/withdraw.json", "/wallet/withdraw.",
	"/wallet/withdraw%20", "/wallet/withdraw+", "/wallet/withdraw%00", "/wallet/withdraw%00.css", "/wallet/withdraw%0a", "/wallet/withdraw%3fx",
	"/wallet/withdraw%23", "/wallet/withdraw%", "/wallet/with%zzdraw", "/wallet%c0%afwithdraw", "/wallet%ef%bc%8fwithdraw", "/wallet/with%e2%80%8bdraw",
	"/wallet/w%c4%b1thdraw", "/index.php/wallet/withdraw", "/wallet/withdraw?x=y", "/wallet/withdraw?", "/wallet/withdraw#x", "wallet/withdraw",
	"http://localhost/wallet/withdraw", "//localhost/wallet/withdraw", "/assets/..%2fwallet/withdraw", "/assets/%2e%2e;/wallet/withdraw.css",
	"/?s=/wallet/withdraw", "/index.php?r=wallet/withdraw", "/.stepgate/../wallet/withdraw", "/.stepgate/%2e%2e/wallet/withdraw",
	"/account/security/../../wallet/withdraw", "/API/v1/withdrawals", "/api/v1/withdrawals/", "/api//v1/withdrawals",
}

// I1, I2: none of the spellings of a protected path reaches the site, whatever the
// way in which the request says its method and its length.
func TestInvariantI1NoSpellingOfAProtectedPathReachesTheSite(t *testing.T) {
	g := start(t, config{})
	session := g.login(budisLogin).cookie("casino_session")
	const body = "amount=100.000&account=BCA+1"
	shapes := map[string]string{
		"a form":         "POST %s HTTP/1.1\r\nHost: localhost\r\nCookie: %s\r\nContent-Type: " + formType + "\r\nContent-Length: 28\r\nConnection: close\r\n\r\n" + body,
		"chunks":         "POST %s HTTP/1.1\r\nHost: localhost\r\nCookie: %s\r\nContent-Type: " + formType + "\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n1c\r\n" + body + "\r\n0\r\n\r\n",
		"an override":    "GET %s HTTP/1.1\r\nHost: localhost\r\nCookie: %s\r\nX-HTTP-Method-Override: POST\r\nConnection: close\r\n\r\n",
		"small letters":  "post %s HTTP/1.1\r\nHost: localhost\r\nCookie: %s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
		"an old version": "POST %s HTTP/1.0\r\nHost: localhost\r\nCookie: %s\r\nContent-Length: 0\r\n\r\n",
	}
	before := len(g.site.all())
	for shape, text := range shapes {
		for _, target := range spellings {
			status := g.raw(fmt.Sprintf(text, target, "casino_session="+session))
			if hits := g.site.all()[before:]; len(hits) > 0 {
				t.Fatalf("POST %s as %s = %d, and the site got %s %s", target, shape, status, hits[0].method, hits[0].uri)
			}
		}
	}
	// The same requests do reach the site where no rule stands in their way.
	for shape, text := range shapes {
		g.raw(fmt.Sprintf(text, "/control?"+strings.ReplaceAll(shape, " ", "-"), "casino_session="+session))
	}
	if hits := g.site.all()[before:]; len(hits) != len(shapes) {
		t.Fatalf("the site got %d of %d requests to an open path", len(hits), len(shapes))
	}
	before = len(g.site.all())
	for _, header := range []string{"X-Original-URL: /wallet/withdraw", "X-Rewrite-URL: /wallet/withdraw", "X-Forwarded-Uri: /wallet/withdraw"} {
		g.raw("POST / HTTP/1.1\r\nHost: localhost\r\nCookie: casino_session=" + session + "\r\n" + header + "\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
		if hits := g.site.all()[before:]; len(hits) > 0 {
			t.Fatalf("POST / with %s reached the site", header)
		}
	}
}

// I12: what no rule protects goes on as it is, odd spellings and all.
func TestInvariantI12OpenRequestsAreNotChanged(t *testing.T) {
	g := start(t, config{})
	for _, target := range []string{"/", "/assets/casino.css", "/x/../assets/%2e%2e/y;a=b?q=%zz", "//a//b/", "/%E2%82%AC?wallet=withdraw"} {
		if status := g.raw("GET " + target + " HTTP/1.1\r\nHost: localhost\r\nX-Mine: 1\r\nCookie: a=b; c=d;e=\"f\"\r\nConnection: close\r\n\r\n"); status == 0 {
			t.Fatalf("GET %s was not answered", target)
		}
		hits := g.site.reached(target)
		if len(hits) != 1 {
			t.Fatalf("GET %s reached the site %d times, want 1; it got %+v", target, len(hits), g.site.all())
		}
		if got := hits[0].header.Get("Cookie"); got != `a=b; c=d;e="f"` {
			t.Errorf("GET %s reached the site with the cookies %q", target, got)
		}
		for name := range hits[0].header {
			switch name {
			case "X-Mine", "Cookie", "User-Agent", "Accept-Encoding", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto":
			default:
				t.Errorf("GET %s reached the site with the header %s", target, name)
			}
		}
	}
}

// What a client sends under our names ends here, on every path, and opens nothing.
func TestOwnHeadersAndCookiesNeverReachTheSite(t *testing.T) {
	g := start(t, config{})
	p := g.login(budisLogin)
	cookies := "casino_session=" + p.cookie("casino_session") +
		"; stepgate-grant=forged; __Host-stepgate-grant=forged; stepgate-browser=forged; stepgate-language=en; __Host-stepgate-browser=forged"
	headers := []string{"Step-Up-Challenge", "step-up-subject", "STEP-UP-ROLE", "Step_Up_Subject", "Step-Up-"}
	for _, target := range []string{"/", "/wallet", "/account/email", "/.stepgate/security", "/account/security"} {
		request := "GET " + target + " HTTP/1.1\r\nHost: localhost\r\nCookie: " + cookies + "\r\n"
		for _, name := range headers {
			request += name + ": forged\r\n"
		}
		g.raw(request + "Connection: close\r\n\r\n")
	}
	for _, h := range g.site.all() {
		for name, values := range h.header {
			if strings.Contains(strings.Join(values, "\n"), "forged") || strings.Contains(strings.ToLower(name), "step") {
				t.Errorf("%s %s reached the site with %s: %q", h.method, h.uri, name, values)
			}
		}
	}
	if len(g.site.reached("/wallet")) != 1 {
		t.Errorf("an open page was asked for %d times, want 1", len(g.site.reached("/wallet")))
	}
	if n := len(g.site.reached("/account/email")) + len(g.site.reached("/account/security")); n != 0 {
		t.Errorf("forged headers and cookies opened a protected route or our own")
	}
}

// Error routes run without the gate. None of its refusals may start them, because
// they may lead to the site.
func TestInvariantI1RefusalsNeverRunTheErrorRoutes(t *testing.T) {
	g := start(t, config{store: "frail", site: `
	reverse_proxy {SITE}
	handle_errors {
		reverse_proxy {SITE}
	}`})
	p := g.login(budisLogin)
	before := len(g.site.all())
	refused := func(what string, status int) {
		t.Helper()
		if status < 400 && status != http.StatusSeeOther {
			t.Errorf("%s: status = %d", what, status)
		}
		if hits := g.site.all()[before:]; len(hits) > 0 {
			t.Fatalf("%s: the site got %s %s", what, hits[0].method, hits[0].uri)
		}
	}
	withdrawal := []string{"amount", "100.000", "account", "BCA 1"}
	refused("a challenge", p.post("/wallet/withdraw", withdrawal...).status)
	refused("a visitor", g.visitor().post("/wallet/withdraw", withdrawal...).status)
	refused("another site", p.do("POST", "/wallet/withdraw", formType, form(withdrawal...), "Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site").status)
	refused("an ambiguous path", g.raw("POST /wallet/withdraw%00 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"))
	refused("a large body", p.do("POST", "/wallet/withdraw", formType, strings.Repeat("x", 1<<20+1)).status)
	refused("an unknown page of ours", p.get("/.stepgate/nothing").status)
	storeDown.Store(true)
	refused("a store that is down", p.post("/wallet/withdraw", withdrawal...).status)
	storeDown.Store(false)
}

// I1: an outage of the store refuses, and only protected requests notice it.
func TestInvariantI1AStoreThatIsDownRefuses(t *testing.T) {
	g := start(t, config{store: "frail"})
	p := g.login(budisLogin)
	storeDown.Store(true)
	for _, send := range []func() answer{
		func() answer { return p.post("/wallet/withdraw", "amount", "1", "account", "BCA 1") },
		func() answer {
			return p.do("POST", "/api/v1/withdrawals", "application/json", `{"amount":1,"account":"BCA 1"}`, "Accept", "application/json")
		},
		func() answer { return p.get("/account/email") },
	} {
		a := send().want(http.StatusServiceUnavailable)
		if a.header.Get("Retry-After") == "" {
			t.Error("the answer does not say when to try again")
		}
	}
	p.get("/wallet").want(http.StatusOK)
	storeDown.Store(false)
	p.withdraw("100.000")
	if n := len(g.site.reached("/wallet/withdraw")); n != 0 {
		t.Errorf("the site got %d withdrawals, want none", n)
	}
}
