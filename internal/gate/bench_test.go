package gate_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stepgate/stepgate/challengepages"
	"github.com/stepgate/stepgate/identity"
	"github.com/stepgate/stepgate/internal/gate"
	"github.com/stepgate/stepgate/internal/seal"
	"github.com/stepgate/stepgate/policy"
	"github.com/stepgate/stepgate/store/bolt"
)

// What every request to the site pays, as an operator meets it: ten rules, the
// site's own session endpoint behind the identity cache, and a browser's header.

// hot is a gate with a player who holds a grant.
type hot struct {
	gate *gate.Gate
	// source is what the gate asks whose request it is.
	source identity.Source
	// ours are the player's cookies of the gate, as a Cookie header has them.
	ours string
}

const (
	siteCookies = "_theme=dark; _lang=en; casino_session=7f3c0b1e5d9a4c2f8e6b1a0d3c5e7f90"
	openPath    = "/games/slots/book-of-luck"
	guardedPath = "/account/statement"
)

// statement protects the guarded path, and everyRoute all of them.
var (
	statement = policy.Rule{
		Name: "statement", Paths: []string{guardedPath + "*"}, Methods: []string{"GET"}, MaxAge: 24 * time.Hour,
		Unenrolled: policy.UnenrolledRegisteredPhone,
	}
	everyRoute = policy.Rule{
		Kind: policy.NewDevice, Name: "new_device", Paths: []string{"/*"}, MaxAge: 24 * time.Hour,
		Unenrolled: policy.UnenrolledRegisteredPhone,
	}
)

// hotRules are ten, with the first.
func hotRules(first policy.Rule) []policy.Rule {
	rules := []policy.Rule{first}
	rules = append(rules, policy.Rule{
		Name: "rpc", Paths: []string{"/rpc"}, Methods: []string{"POST"},
		Conditions: []policy.Condition{{Place: policy.InJSON, Name: "method", Values: []string{"withdraw"}}},
	})
	for i := len(rules); i < 10; i++ {
		rules = append(rules, policy.Rule{
			Name:    fmt.Sprintf("rule_%d", i),
			Paths:   []string{fmt.Sprintf("/wallet/%d/withdraw*", i), fmt.Sprintf("/api/v1/%d/withdrawals", i)},
			Methods: []string{"POST"}, SingleUse: true,
		})
	}
	return rules
}

// newHot passes a challenge for its player, as a script does. The player is remembered
// for longer than any benchmark runs.
func newHot(tb testing.TB) *hot {
	tb.Helper()
	return newHotBy(tb, statement, identity.CacheOptions{TTL: 24 * time.Hour})
}

// newHotBy is newHot with another first rule, and with other options of what is
// remembered.
func newHotBy(tb testing.TB, first policy.Rule, remember identity.CacheOptions) *hot {
	tb.Helper()
	who := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"id":"17","username":"budi","phone":"+6281234567890"}`)
	}))
	tb.Cleanup(who.Close)
	source, err := identity.NewUpstream(identity.UpstreamConfig{
		URL: who.URL, Sessions: []identity.Session{{Kind: identity.Cookie, Name: "casino_session"}}, Subject: "id", Phone: "phone", Login: "username",
	})
	if err != nil {
		tb.Fatal(err)
	}
	s, err := bolt.Open(filepath.Join(tb.TempDir(), "stepgate.db"), bolt.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = s.Close() })
	ring, err := seal.NewRing(rand.Reader, time.Now())
	if err != nil {
		tb.Fatal(err)
	}
	back, err := gate.NewBackend(s, ring, rand.Reader, time.Now)
	if err != nil {
		tb.Fatal(err)
	}
	set, err := policy.Compile(hotRules(first))
	if err != nil {
		tb.Fatal(err)
	}
	pages, err := challengepages.New(challengepages.Brand{Name: "Example Casino"})
	if err != nil {
		tb.Fatal(err)
	}
	device := new(phone)
	h := &hot{source: identity.Cache(source, remember)}
	h.gate, err = gate.New(gate.Config{
		Policy: set, Identity: h.source, Pages: pages, SMS: carried(tb, device, nil, time.Now),
		Settings: "/account/security", SessionPass: 24 * time.Hour,
		Backend: func(context.Context) (*gate.Backend, error) { return back, nil },
	})
	if err != nil {
		tb.Fatal(err)
	}
	h.pass(tb, device)
	return h
}

// pass answers the challenge of the guarded path with the code that was sent to
// the player's phone, and keeps the cookies.
func (h *hot) pass(tb testing.TB, device *phone) {
	tb.Helper()
	opened := h.script(tb, "GET", guardedPath, "")
	if opened.StatusCode != http.StatusUnauthorized || device.count() != 1 {
		tb.Fatalf("the guarded path answers %d after %d SMS", opened.StatusCode, device.count())
	}
	h.keep(opened)
	var p problemJSON
	if err := json.NewDecoder(opened.Body).Decode(&p); err != nil {
		tb.Fatal(err)
	}
	passed := h.script(tb, "POST", p.Challenge.URL, answer("sms", device.sent[0].Code))
	if passed.StatusCode != http.StatusOK {
		tb.Fatalf("the right code is answered %d", passed.StatusCode)
	}
	h.keep(passed)
	// The first request after it may get a session pass.
	h.keep(h.script(tb, "GET", guardedPath, ""))
}

func (h *hot) keep(res *http.Response) {
	for _, c := range res.Cookies() {
		h.ours += "; " + c.Name + "=" + c.Value
	}
}

// script sends a request as a script of the site's page does.
func (h *hot) script(tb testing.TB, method, target, body string) *http.Response {
	tb.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.Host = "casino.example"
	r.Header = http.Header{
		"Accept": {"application/json"}, "Content-Type": {"application/json"},
		"Sec-Fetch-Site": {"same-origin"}, "Sec-Fetch-Mode": {"cors"}, "Cookie": {siteCookies + h.ours},
	}
	rec := httptest.NewRecorder()
	if err := h.gate.Serve(rec, r, new(counter)); err != nil {
		tb.Fatal(err)
	}
	return rec.Result()
}

// counter is a site that costs nothing, and counts.
type counter struct{ forwarded int }

func (c *counter) Forward(http.ResponseWriter, *http.Request) error { c.forwarded++; return nil }
func (c *counter) Release(http.ResponseWriter, *http.Request) error { return errDown }

// quiet is an answer that nobody reads.
type quiet struct{ header http.Header }

func (q *quiet) Header() http.Header       { return q.header }
func (*quiet) Write(p []byte) (int, error) { return len(p), nil }
func (*quiet) WriteHeader(int)             {}

// navigation is a browser's request for a page, which can be served again and
// again without an allocation of its own.
type navigation struct {
	request *http.Request
	cookies []string
	// received is the header's value in the request at hand.
	received []string
	answer   *quiet
	site     *counter
}

func newNavigation(target, cookies string) *navigation {
	r := httptest.NewRequest("GET", target, nil)
	r.Host = "casino.example"
	r.Header = http.Header{
		"Accept":                    {"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"},
		"Accept-Encoding":           {"gzip, deflate, br, zstd"},
		"Accept-Language":           {"en-GB,en;q=0.7,de;q=0.3"},
		"Referer":                   {"https://casino.example/"},
		"Sec-Ch-Ua":                 {`"Chromium";v="142", "Not_A Brand";v="99"`},
		"Sec-Ch-Ua-Mobile":          {"?0"},
		"Sec-Ch-Ua-Platform":        {`"Linux"`},
		"Sec-Fetch-Dest":            {"document"},
		"Sec-Fetch-Mode":            {"navigate"},
		"Sec-Fetch-Site":            {"same-origin"},
		"Sec-Fetch-User":            {"?1"},
		"Upgrade-Insecure-Requests": {"1"},
		"User-Agent":                {"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"},
	}
	return &navigation{request: r, cookies: []string{cookies}, received: make([]string, 1), answer: &quiet{http.Header{}}, site: new(counter)}
}

// serve sends the request as it was at first: the gate takes its cookies off.
func (n *navigation) serve(h *hot) error {
	// The gate takes its own cookies out of the request's header.
	copy(n.received, n.cookies)
	n.request.Header["Cookie"] = n.received
	return h.gate.Serve(n.answer, n.request, n.site)
}

// Nearly all requests to a site are to no rule's path. They go on with no allocation
// and no look-up (design.md section 2).
func TestAnUnprotectedRequestCostsNoAllocation(t *testing.T) {
	h := newHot(t)
	for name, cookies := range map[string]string{
		"of a visitor": "_theme=dark; _lang=en",
		"of a player":  siteCookies,
	} {
		n := newNavigation(openPath, cookies)
		allocs := testing.AllocsPerRun(100, func() {
			if err := n.serve(h); err != nil {
				t.Fatal(err)
			}
		})
		if allocs > 0 {
			t.Errorf("a request %s allocates %v times, want 0", name, allocs)
		}
		if n.site.forwarded != 101 {
			t.Errorf("%d requests %s reached the site, want 101", n.site.forwarded, name)
		}
	}
}

// What passes by a grant or a session pass is every request of some sites. More than this
// is something that nobody asked for, as a hash or a text that is not needed.
func TestAProtectedRequestCostsFewAllocations(t *testing.T) {
	for _, c := range []struct {
		name string
		rule policy.Rule
		most float64
	}{{"a grant", statement, 2}, {"a session pass", everyRoute, 4}} {
		h := newHotBy(t, c.rule, identity.CacheOptions{TTL: 24 * time.Hour})
		n := newNavigation(guardedPath, siteCookies+h.ours)
		allocs := testing.AllocsPerRun(100, func() {
			if err := n.serve(h); err != nil {
				t.Fatal(err)
			}
		})
		if raceDetector {
			c.most *= 2
		}
		if allocs > c.most || n.site.forwarded != 101 {
			t.Errorf("a request with %s allocates %v times, want %v; %d of 101 reached the site", c.name, allocs, c.most, n.site.forwarded)
		}
	}
}

func BenchmarkServe(b *testing.B) {
	h := newHot(b)
	for _, c := range []struct{ name, target, cookies string }{
		{"unprotected", openPath, siteCookies},
		{"unprotected_with_our_cookies", openPath, siteCookies + h.ours},
		{"protected_with_grant", guardedPath, siteCookies + h.ours},
	} {
		b.Run(c.name, func(b *testing.B) {
			n := newNavigation(c.target, c.cookies)
			sent := 0
			b.ReportAllocs()
			for b.Loop() {
				sent++
				if err := n.serve(h); err != nil {
					b.Fatal(err)
				}
			}
			if n.site.forwarded != sent {
				b.Fatalf("%d of %d requests reached the site", n.site.forwarded, sent)
			}
		})
	}
}

// BenchmarkProtected takes apart what a request costs that meets a rule and passes: to
// find out whose it is, from memory or, with the cache off, by asking a site that answers
// at once over the loopback; all of it, with a grant; and with a session pass, which every
// request of a known player has on a site with a rule for new devices.
func BenchmarkProtected(b *testing.B) {
	remembered, asked := newHot(b), newHotBy(b, statement, identity.CacheOptions{Off: true})
	known := newHotBy(b, everyRoute, identity.CacheOptions{TTL: 24 * time.Hour})
	for _, c := range []struct {
		name string
		hot  *hot
	}{{"identity=remembered", remembered}, {"identity=asked", asked}} {
		b.Run(c.name, func(b *testing.B) {
			n := newNavigation(guardedPath, siteCookies)
			b.ReportAllocs()
			for b.Loop() {
				copy(n.received, n.cookies)
				n.request.Header["Cookie"] = n.received
				credential, err := c.hot.source.Credential(n.request)
				if err != nil {
					b.Fatal(err)
				}
				if id, err := c.hot.source.Identify(b.Context(), n.request, credential); err != nil || id.Subject != "17" {
					b.Fatal(id.Subject, err)
				}
			}
		})
	}
	for _, c := range []struct {
		name string
		hot  *hot
	}{{"grant/identity=remembered", remembered}, {"grant/identity=asked", asked}, {"session_pass", known}} {
		b.Run(c.name, func(b *testing.B) {
			n := newNavigation(guardedPath, siteCookies+c.hot.ours)
			sent := 0
			b.ReportAllocs()
			for b.Loop() {
				sent++
				if err := n.serve(c.hot); err != nil {
					b.Fatal(err)
				}
			}
			if n.site.forwarded != sent || len(n.answer.header["Set-Cookie"]) > 0 {
				b.Fatalf("%d of %d requests reached the site, %d got a cookie", n.site.forwarded, sent, len(n.answer.header["Set-Cookie"]))
			}
		})
	}
}

// BenchmarkServeBody measures a request whose body a rule asks for, and which goes
// on: capturing it, reading it, deciding, and putting it back.
func BenchmarkServeBody(b *testing.B) {
	h := newHot(b)
	for _, size := range []int{1 << 10, 1 << 20} {
		b.Run(fmt.Sprintf("bytes=%d", size), func(b *testing.B) {
			call := playCall(size)
			b.SetBytes(int64(len(call)))
			b.ReportAllocs()
			for b.Loop() {
				r := httptest.NewRequest("POST", "/rpc", strings.NewReader(call))
				r.Header = http.Header{"Content-Type": {"application/json"}, "Cookie": {siteCookies}}
				site := new(counter)
				if err := h.gate.Serve(&quiet{http.Header{}}, r, site); err != nil || site.forwarded != 1 {
					b.Fatalf("forwarded %d times, %v", site.forwarded, err)
				}
			}
		})
	}
}

// playCall is a JSON call of a given length in bytes, of items as a game sends
// them.
func playCall(size int) string {
	const head, tail = `{"method":"play","items":[{}`, `]}`
	item := `,{"id":1234567,"name":"spin","bet":2500,"reels":"` + strings.Repeat("cherry lemon seven ", 20) + `"}`
	call := head + strings.Repeat(item, (size-len(head)-len(tail))/len(item))
	return call + strings.Repeat(" ", size-len(call)-len(tail)) + tail
}
