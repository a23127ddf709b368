package policy

import (
	"slices"
	"strings"
	"testing"
)

// methodSet holds one rule for each kind of method.
func methodSet(tb testing.TB) *Set {
	tb.Helper()
	return mustCompile(tb,
		Rule{Name: "statement", Paths: []string{"/statement"}, Methods: []string{"GET"}},
		Rule{Name: "phone", Paths: []string{"/phone"}, Methods: []string{"PUT", "delete"}},
		Rule{Name: "withdrawal", Paths: []string{"/withdraw"}, Methods: []string{"post"}},
		Rule{Name: "vault", Paths: []string{"/vault"}},
	)
}

// What only reads may be asked about once for many requests, and followed from another
// site; what some site takes for something else may not (R41).
func TestARequestThatClaimsAMethodMayWrite(t *testing.T) {
	form := map[string][]string{"Content-Type": {"application/x-www-form-urlencoded"}}
	for _, c := range []struct {
		method, query string
		header        map[string][]string
		body, want    bool
	}{
		{method: "GET"}, {method: "HEAD"}, {method: "OPTIONS"}, {method: "TRACE"}, {method: "POST", want: true}, {method: "get", want: true}, {method: "CONNECT", want: true},
		{method: "GET", query: "a=b&method=POST"}, {method: "GET", query: "_method=get"}, {method: "GET", query: "_method=POST", want: true}, {method: "GET", query: "a;_METHOD=x", want: true},
		{method: "GET", query: "_method", want: true}, {method: "HEAD", query: "x-http-method-override=delete", want: true},
		{method: "GET", header: map[string][]string{"X-Http-Method": {"PUT"}}, want: true}, {method: "GET", header: map[string][]string{"X-Http-Method": {"HEAD"}}},
		{method: "GET", header: map[string][]string{"X-Original-Url": {"/a?_method=POST"}}, want: true},
		{method: "GET", header: form}, {method: "GET", header: form, body: true, want: true}, {method: "GET", body: true},
	} {
		req := &Request{Method: c.method, RawQuery: c.query, Header: c.header}
		if got := req.MayWrite(c.body); got != c.want {
			t.Errorf("%s ?%s %v, body %v: MayWrite = %v, want %v", c.method, c.query, c.header, c.body, got, c.want)
		}
	}
	plain := &Request{Method: "GET", RawQuery: "page=2&sort=name", Header: map[string][]string{"Accept": {"text/html"}}}
	if n := testing.AllocsPerRun(100, func() { plain.MayWrite(false) }); n != 0 {
		t.Errorf("an ordinary request allocates %v times, want none", n)
	}
}

func TestInvariantI1EveryMethodARequestMayBeReadAsCounts(t *testing.T) {
	set := methodSet(t)
	form := map[string][]string{"Content-Type": {"application/x-www-form-urlencoded"}}
	json := map[string][]string{"Content-Type": {"application/json"}}
	header := func(name, value string) map[string][]string {
		return map[string][]string{"Content-Type": {"application/json"}, name: {value}}
	}
	type kase struct {
		method, path, query string
		header              map[string][]string
		rule                string
		near                bool
	}
	cases := []kase{
		{"GET", "/statement", "", nil, "statement", false},
		{"get", "/statement", "", nil, "statement", false},
		{"HEAD", "/statement", "", nil, "statement", false},
		{"head", "/statement", "", nil, "statement", false},
		{"CONNECT", "/statement", "", nil, "statement", false}, // a WebSocket over HTTP/2 or HTTP/3
		{"POST", "/statement", "", json, "", true},
		{"OPTIONS", "/statement", "", nil, "", true},
		{"PUT", "/phone", "", nil, "phone", false},
		{"Put", "/phone", "", nil, "phone", false},
		{"DELETE", "/phone", "", nil, "phone", false},
		{"PATCH", "/phone", "", nil, "", true},
		{"GET", "/phone", "", nil, "", true},
		{"HEAD", "/phone", "", nil, "", true},
		{"POST", "/withdraw", "", json, "withdrawal", false},
		{"GET", "/withdraw", "", nil, "", true},
		{"FOO", "/withdraw", "", nil, "", true},
		{"FOO", "/vault", "", nil, "vault", false},
		{"CONNECT", "/vault", "", nil, "vault", false},
		{"GET", "/elsewhere", "_method=PUT", header("X-Http-Method", "PUT"), "", false},

		// A body that may name a method.
		{"POST", "/phone", "", json, "", true},
		{"PATCH", "/phone", "", form, "", true},

		// Headers.
		{"POST", "/phone", "", header("X-Http-Method-Override", "PUT"), "phone", false},
		{"POST", "/phone", "", header("X-Http-Method-Override", " delete "), "phone", false},
		{"POST", "/phone", "", header("X-Http-Method", "PUT"), "phone", false},
		{"GET", "/phone", "", header("X-Method-Override", "PUT"), "phone", false},
		{"GET", "/phone", "", header("X-Method-Override", "put, GET"), "phone", false},
		{"GET", "/phone", "_method=%2550UT", nil, "phone", false},
		{"GET", "/withdraw", "", header("X-Http-Method-Override", "POST"), "withdrawal", false},
		{"POST", "/withdraw", "", header("X-Http-Method-Override", "GET"), "withdrawal", false},
		{"POST", "/statement", "", header("X-Http-Method-Override", "HEAD"), "statement", false},
		{"POST", "/phone", "", header("X-Http-Method-Override", "PATCH"), "", true},

		// The query.
		{"GET", "/phone", "_method=PUT", nil, "phone", false},
		{"GET", "/phone", "a=b&_METHOD=delete", nil, "phone", false},
		{"GET", "/phone", "%5fmethod=%50UT", nil, "phone", false},
		{"GET", "/phone", "a;_method=PUT", nil, "phone", false},
		{"GET", "/phone", ".method=PUT", nil, "phone", false}, // PHP
		{"GET", "/phone", "X-HTTP-Method-Override=PUT", nil, "phone", false},
		{"GET", "/phone", "method=PUT", nil, "", true},
		{"GET", "/phone", "_method", nil, "", true},
		{"GET", "/phone", "a=_method=PUT&%zz=%zz", nil, "", true},
		{"POST", "/withdraw", "_method=GET", json, "withdrawal", false},
	}
	for _, c := range cases {
		d := set.Decide(&Request{Method: c.method, Targets: [2]string{c.path}, RawQuery: c.query, Header: c.header})
		if Require(d.Rules).Name() != c.rule || d.Near != c.near || d.Refuse != "" {
			t.Errorf("Decide(%s %s?%s %v) = %s, want rule %q, near %v", c.method, c.path, c.query, c.header, describe(d), c.rule, c.near)
		}
	}
}

func TestInvariantI1PathsThatDoNotStandInTheRequestLineCount(t *testing.T) {
	set := methodSet(t)
	for _, c := range []struct {
		name    string
		targets [2]string
		query   string
		header  map[string][]string
		rule    string
	}{
		{"path before a rewrite", [2]string{"/internal/7", "/vault"}, "", nil, "vault"},
		{"spelled path before a rewrite", [2]string{"/internal/7", "/x/..%2fvault"}, "", nil, "vault"},
		{"path after a rewrite", [2]string{"/vault", "/casino/vault"}, "", nil, "vault"},
		{"both", [2]string{"/vault", "/statement"}, "", nil, "statement+vault"},
		{"X-Original-URL", [2]string{"/x"}, "", map[string][]string{"X-Original-Url": {"/vault"}}, "vault"},
		{"X-Original-URL in a second value", [2]string{"/x"}, "", map[string][]string{"X-Original-Url": {"/y", "/Vault/"}}, "vault"},
		{"X-Rewrite-URL with a query", [2]string{"/x"}, "", map[string][]string{"X-Rewrite-Url": {"/vault?x=/../.."}}, "vault"},
		{"X-Forwarded-Uri", [2]string{"/x"}, "", map[string][]string{"X-Forwarded-Uri": {"/vault"}}, "vault"},
		{"whole URL in a header", [2]string{"/x"}, "", map[string][]string{"X-Original-Url": {"https://casino.example/vault#x"}}, "vault"},
		{"spelled path in a header", [2]string{"/x"}, "", map[string][]string{"X-Rewrite-Url": {"/%76ault;a=b"}}, "vault"},
		{"path without root in a header", [2]string{"/x"}, "", map[string][]string{"X-Rewrite-Url": {"vault"}}, "vault"},
		{"rule in the request line, other path in a header", [2]string{"/vault"}, "", map[string][]string{"X-Original-Url": {"/public"}}, "vault"},
		{"ordinary path in a header", [2]string{"/x"}, "", map[string][]string{"X-Forwarded-Uri": {"/casino/x?a=b"}}, ""},
		{"empty header", [2]string{"/x"}, "", map[string][]string{"X-Original-Url": {""}}, ""},

		{"ThinkPHP", [2]string{"/index.php"}, "s=/vault", nil, "vault"},
		{"ThinkPHP at the root", [2]string{"/"}, "s=vault", nil, "vault"},
		{"Yii", [2]string{"/index.php"}, "lang=id&r=vault", nil, "vault"},
		{"WordPress", [2]string{"/"}, "rest_route=/vault/", nil, "vault"},
		{"Phalcon", [2]string{"/public/index.php"}, "_url=%2Fvault", nil, "vault"},
		{"OpenCart", [2]string{"/INDEX.PHP/"}, "route=x%252f..%252fvault", nil, "vault"},
		{"script that is no index", [2]string{"/app.php"}, "q=vault", nil, "vault"},
		{"spelled script", [2]string{"/x/..%2findex%2ephp"}, "s=/vault", nil, "vault"},
		{"index without an ending", [2]string{"/shop/index"}, "s=/vault", nil, "vault"},
		{"parameter in capitals", [2]string{"/index.php"}, "S=/vault", nil, "vault"},
		{"path info", [2]string{"/index.php/x"}, "s=/vault", nil, "vault"},
		{"route with parameters", [2]string{"/index.php"}, "s=/x/..;/vault", nil, "vault"},
		{"script in a header", [2]string{"/x"}, "", map[string][]string{"X-Original-Url": {"/index.php?s=/vault"}}, "vault"},
		{"script before a rewrite", [2]string{"/x", "/index.php"}, "s=/vault", nil, "vault"},
		{"route to an ordinary page", [2]string{"/index.php"}, "s=/games", nil, ""},
		{"return address of the login page", [2]string{"/login"}, "url=/vault", nil, ""},
		{"spelled return address of the login page", [2]string{"/x/../login"}, "url=/vault", nil, ""},
		{"other parameter", [2]string{"/"}, "next=/vault", nil, ""},
	} {
		d := set.Decide(&Request{Method: "GET", Targets: c.targets, RawQuery: c.query, Header: c.header})
		if Require(d.Rules).Name() != c.rule || d.Refuse != "" {
			t.Errorf("%s: Decide = %s, want rule %q", c.name, describe(d), c.rule)
		}
	}
}

// I1: a request that puts more controllers and actions together than are followed
// is refused, and costs no more than its bytes.
func TestInvariantI1AFloodOfPairsIsRefused(t *testing.T) {
	query := strings.Repeat("c=x&a=y&", 5000) + "c=vault&a=x"
	if d := methodSet(t).Decide(&Request{Method: "GET", Targets: [2]string{"/"}, RawQuery: query}); d.Refuse != RefusedAmbiguous {
		t.Errorf("Decide of 5001 controllers and actions = %s, want refused", describe(d))
	}
}

// A request that names more paths than can be followed must not be let through
// for it.
func TestInvariantI1AFloodOfPathsHidesNoRule(t *testing.T) {
	set := methodSet(t)
	weird := strings.Repeat("/a;b/..%2f%5c%252e.;x//%3b", 4)
	header := func(n int, paths ...string) map[string][]string {
		return map[string][]string{"X-Original-Url": append(slices.Repeat([]string{weird}, n), paths...)}
	}
	touching := weird + "/vault"
	for _, c := range []struct {
		name    string
		targets [2]string
		query   string
		header  map[string][]string
		refuse  string
	}{
		{"one weird path", [2]string{"/x"}, "", header(1), ""},
		{"many weird paths", [2]string{"/x"}, "", header(9), RefusedAmbiguous},
		{"a rule's path behind many", [2]string{"/x"}, "", header(9, "/x/..;/vault"), RefusedAmbiguous},
		{"a weird path that may touch a rule, then an ordinary one", [2]string{touching, "/x"}, "", nil, RefusedAmbiguous},
		{"a weird path, then a weird path that may touch a rule", [2]string{weird, touching}, "", nil, RefusedAmbiguous},
		{"a weird path that may touch a rule, then a weird path", [2]string{touching, weird}, "", nil, RefusedAmbiguous},
		{"a rule's path at the end of a query", [2]string{"/index.php"}, strings.Repeat("s="+weird+"&", 50) + "s=/vault", nil, RefusedAmbiguous},
		{"a broken path beside a rule's", [2]string{"/vault"}, "", map[string][]string{"X-Original-Url": {"/x%", "/x"}}, RefusedEncoding},
		{"a broken path beside an ordinary one", [2]string{"/x"}, "", map[string][]string{"X-Original-Url": {"/x%", "/x"}}, ""},
	} {
		d := set.Decide(&Request{Method: "GET", Targets: c.targets, RawQuery: c.query, Header: c.header})
		if d.Refuse != c.refuse {
			t.Errorf("%s: Decide = %s, want refuse %q", c.name, describe(d), c.refuse)
		}
	}
	// A front controller may hide behind a path that cannot be followed.
	d := set.Decide(&Request{Method: "GET", Targets: [2]string{weird}, RawQuery: "s=/vault"})
	if !protectedBy(d, "vault") {
		t.Errorf("route behind a weird path: Decide = %s, want rule vault", describe(d))
	}
}

func TestRulesApplyInConfigurationOrder(t *testing.T) {
	set := mustCompile(t,
		Rule{Name: "reports", Paths: []string{"/wallet/withdraw.csv"}},
		Rule{Name: "wallet", Paths: []string{"/wallet/*"}},
		Rule{Name: "withdrawal", Paths: []string{"/wallet/withdraw"}, Methods: []string{"POST"}},
		Rule{Name: "all", Paths: []string{"/*", "/wallet/*"}, Methods: []string{"POST", "DELETE"}},
	)
	for _, c := range []struct {
		method, path, want string
		near               bool
	}{
		{"POST", "/wallet/withdraw", "wallet+withdrawal+all", false},
		{"DELETE", "/wallet/withdraw", "wallet+all", true},
		{"GET", "/wallet/withdraw", "wallet", true},
		{"POST", "/wallet/withdraw.csv", "reports+wallet+withdrawal+all", false},
		{"GET", "/wallet/withdraw.csv", "reports+wallet", true},
		{"POST", "/wallet%2fwithdraw.csv", "reports+wallet+withdrawal+all", false},
		{"POST", "/games", "all", false},
		{"GET", "/games", "", true},
		{"GET", "/wallet", "wallet", true},
	} {
		header := map[string][]string{"Content-Type": {"application/json"}}
		d := set.Decide(&Request{Method: c.method, Targets: [2]string{c.path}, Header: header})
		if Require(d.Rules).Name() != c.want || d.Near != c.near {
			t.Errorf("Decide(%s %s) = %s, want %q, near %v", c.method, c.path, describe(d), c.want, c.near)
		}
	}
}

// A caller that appends to a decision must not write into the next one.
func TestADecisionDoesNotShareItsSpareRoom(t *testing.T) {
	set := methodSet(t)
	for _, method := range []string{"GET", "POST", "BREW"} {
		for _, path := range []string{"/vault", "/withdraw", "/statement"} {
			if d := decidePath(set, method, path); cap(d.Rules) != len(d.Rules) {
				t.Errorf("Decide(%s %s).Rules has room for %d rules, want %d", method, path, cap(d.Rules), len(d.Rules))
			}
		}
	}
}

// What the policy costs every request to the site: nothing.
func TestPlainRequestsAllocateNothing(t *testing.T) {
	set := benchmarkSet(t, 100)
	for _, req := range []Request{
		{Method: "GET", Targets: [2]string{"/games/slots/book-of-luck", "/games/slots/book-of-luck"}, RawQuery: "lang=id", Header: browserHeader()},
		{Method: "GET", Targets: [2]string{"/"}, Header: browserHeader()},
		{Method: "GET", Targets: [2]string{"/Assets/app.3f9a1c.js", "/casino/Assets/app.3f9a1c.js"}, RawQuery: "v=1", Header: browserHeader()},
		{Method: "GET", Targets: [2]string{"/.well-known/security.txt"}},
		{Method: "GET", Targets: [2]string{"/" + strings.Repeat("long/", 2000)}},
		{Method: "POST", Targets: [2]string{"/games/spin"}, Header: map[string][]string{"X-Forwarded-Uri": {"/games/spin?x=y"}, "X-Http-Method-Override": {"PUT"}}},
		{Method: "POST", Targets: [2]string{"/wallet/withdraw"}, Header: browserHeader()},
		{Method: "GET", Targets: [2]string{"/wallet/withdraw"}, RawQuery: "lang=id", Header: map[string][]string{"Accept": {"*/*"}}},
		{Method: "HEAD", Targets: [2]string{"/account/7/settings/phone"}, Header: browserHeader()},
	} {
		if allocs := testing.AllocsPerRun(100, func() { set.Decide(&req) }); allocs > 0 {
			t.Errorf("Decide(%s %.40s) allocates %v times, want 0", req.Method, req.Targets[0], allocs)
		}
	}
}
