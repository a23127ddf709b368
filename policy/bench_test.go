package policy

import (
	"fmt"
	"strings"
	"testing"
)

// benchmarkSet returns n rules of which one protects POST /wallet/withdraw and
// what begins so.
func benchmarkSet(tb testing.TB, n int) *Set {
	tb.Helper()
	rules := []Rule{{Name: "withdrawal", Paths: []string{"/wallet/withdraw*"}, Methods: []string{"POST"}}}
	for i := len(rules); i < n; i++ {
		rules = append(rules, Rule{
			Name:    fmt.Sprintf("rule_%d", i),
			Paths:   []string{fmt.Sprintf("/account/%d/settings*", i), fmt.Sprintf("/api/v1/%d/transfers", i)},
			Methods: []string{"POST", "PUT"},
		})
	}
	return mustCompile(tb, rules...)
}

// browserHeader is the header that a browser sends with a page.
func browserHeader() map[string][]string {
	h := map[string][]string{}
	for _, name := range []string{
		"Accept", "Accept-Encoding", "Accept-Language", "Cache-Control", "Cookie", "Priority", "Referer",
		"Sec-Ch-Ua", "Sec-Ch-Ua-Mobile", "Sec-Ch-Ua-Platform", "Sec-Fetch-Dest", "Sec-Fetch-Mode", "Sec-Fetch-Site",
		"Sec-Fetch-User", "Upgrade-Insecure-Requests", "User-Agent",
	} {
		h[name] = []string{"value"}
	}
	return h
}

// BenchmarkDecide measures what each request to the site pays.
func BenchmarkDecide(b *testing.B) {
	for _, n := range []int{10, 1000, 10000} {
		set := benchmarkSet(b, n)
		for _, c := range []struct{ name, method, path, query string }{
			{"unprotected", "GET", "/games/slots/book-of-luck", "lang=id"},
			{"asset", "GET", "/assets/app.3f9a1c.js", ""},
			{"neighbour", "GET", "/account/7/profile", ""},
			{"protected", "POST", "/wallet/withdraw", ""},
			{"encoded", "GET", "/games/tom%20jerry", ""},
		} {
			req := &Request{Method: c.method, Targets: [2]string{c.path, c.path}, RawQuery: c.query, Header: browserHeader()}
			b.Run(fmt.Sprintf("rules=%d/%s", n, c.name), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					set.Decide(req)
				}
			})
		}
	}
}

// BenchmarkDecideHostile measures the slowest paths known: what an attacker can
// make one request cost.
func BenchmarkDecideHostile(b *testing.B) {
	set := benchmarkSet(b, 1000)
	for name, path := range hostilePaths() {
		req := &Request{Method: "GET", Targets: [2]string{path}}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				set.Decide(req)
			}
		})
	}
}

// hostilePaths are 16 KiB long, the most that Caddy takes by default, and have
// more readings than are followed.
func hostilePaths() map[string]string {
	return map[string]string{
		"nested":  "/%" + strings.Repeat("25", 8000) + "41",
		"dots":    strings.Repeat("/a;b/..%2f%5c%252e.;x//", 700),
		"mixture": strings.Repeat("/%c0%af%2e%2e;+ %00%23\\.", 700),
		"short":   strings.Repeat("/a;b/..%2f%5c%252e.;x//%3b%00", 3),
	}
}
