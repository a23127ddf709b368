package policy

import (
	"bytes"
	"math/rand/v2"
	"net/url"
	"path"
	"regexp"
	"strings"
	"testing"
)

// routers read a raw path as real upstreams do. They are written for this test,
// apart from the code under test, and each is as plain as what it stands for.
// One that does not answer a path returns "".
var routers = map[string]func(string) string{
	"literal": func(raw string) string { return raw },
	"net/http": func(raw string) string {
		p, err := url.PathUnescape(raw)
		if err != nil {
			return ""
		}
		return path.Clean("/" + p)
	},
	"cleans before it decodes": func(raw string) string {
		p, err := url.PathUnescape(path.Clean("/" + raw))
		if err != nil {
			return ""
		}
		return p
	},
	"nginx": func(raw string) string {
		raw, _, _ = strings.Cut(raw, "#")
		p, err := url.PathUnescape(raw)
		if err != nil || strings.Contains(p, "\x00") {
			return ""
		}
		return popDots(slashes.ReplaceAllString(p, "/"))
	},
	"servlet": func(raw string) string {
		p, err := url.PathUnescape(parameters.ReplaceAllString(raw, ""))
		if err != nil {
			return ""
		}
		return path.Clean("/" + p)
	},
	"servlet that decodes first": func(raw string) string {
		p, err := url.PathUnescape(raw)
		if err != nil {
			return ""
		}
		return path.Clean("/" + parameters.ReplaceAllString(p, ""))
	},
	"windows": func(raw string) string {
		p, err := url.PathUnescape(raw)
		if err != nil {
			return ""
		}
		p = path.Clean("/" + strings.ReplaceAll(p, `\`, "/"))
		return windowsTail.ReplaceAllString(p, "$1")
	},
	"URL parser": func(raw string) string {
		base := &url.URL{Scheme: "http", Host: "casino.example", Path: "/"}
		u, err := base.Parse(strings.ReplaceAll(strings.Trim(raw, " "), `\`, "/"))
		if err != nil {
			return ""
		}
		return u.Path
	},
	"C": func(raw string) string {
		p, err := url.PathUnescape(raw)
		if err != nil {
			return ""
		}
		p, _, _ = strings.Cut(p, "\x00")
		return path.Clean("/" + p)
	},
	"request line": func(raw string) string {
		p, err := url.PathUnescape(raw)
		if err != nil {
			return ""
		}
		return lineTail.ReplaceAllString(p, "")
	},
	"front controller": func(raw string) string {
		return frontScript.ReplaceAllString(raw, "/")
	},
	"formats": func(raw string) string {
		return format.ReplaceAllString(raw, "$1")
	},
	"form decoder": func(raw string) string {
		p, err := url.QueryUnescape(raw)
		if err != nil {
			return ""
		}
		return p
	},
	"upper case": strings.ToUpper,
	"lower case": strings.ToLower,
	"sloppy UTF-8": func(raw string) string {
		p, err := url.PathUnescape(raw)
		if err != nil {
			return ""
		}
		return string(bytes.ToValidUTF8([]byte(p), nil))
	},
}

var (
	slashes     = regexp.MustCompile("/+")
	parameters  = regexp.MustCompile(";[^/]*")
	windowsTail = regexp.MustCompile(`[. ]+(/|$)`)
	lineTail    = regexp.MustCompile(`(?s)[ \r\n?#].*`)
	frontScript = regexp.MustCompile(`^/(?:[^/;]+/)*?index\.php/`)
	format      = regexp.MustCompile(`([^/])\.[a-z]+$`)
)

// popDots resolves dot segments of a path without empty ones.
func popDots(p string) string {
	var kept []string
	for _, s := range strings.Split(p, "/") {
		switch {
		case s == ".." && len(kept) > 0:
			kept = kept[:len(kept)-1]
		case s != "." && s != ".." && s != "":
			kept = append(kept, s)
		}
	}
	return "/" + strings.Join(kept, "/")
}

// served names the rule of fuzzSet that protects what a router has arrived at.
func served(p string) string {
	p = strings.ToLower(p)
	switch {
	case strings.TrimSuffix(p, "/") == "/wallet/withdraw":
		return "withdrawal"
	case p == "/vault" || strings.HasPrefix(p, "/vault/"):
		return "vault"
	}
	return ""
}

func fuzzSet(tb testing.TB) *Set {
	return mustCompile(tb, Rule{Name: "withdrawal", Paths: []string{"/wallet/withdraw"}}, Rule{Name: "vault", Paths: []string{"/vault/*"}})
}

var plainPath = regexp.MustCompile(`^(/[a-z0-9_-]+)+$`)

// checkPathAgainstRouters asserts that the decision on a path is never weaker
// than what any router, or one router behind another, makes of it; and that a
// plain path is protected only if it says so itself.
func checkPathAgainstRouters(t *testing.T, set *Set, raw string) {
	d := decidePath(set, "GET", raw)
	seen := map[string]bool{"": true}
	for first, front := range routers {
		between := front(raw)
		if seen[between] {
			continue
		}
		seen[between] = true
		for second, back := range routers {
			if rule := served(back(between)); rule != "" && !protectedBy(d, rule) {
				t.Fatalf("Decide(%q) = %s, but %q before %q read it as %q of rule %q", raw, describe(d), first, second, back(between), rule)
			}
		}
	}
	last := path.Base(raw)
	if plainPath.MatchString(raw) && last != "index" {
		if got, want := Require(d.Rules).Name(), served(raw); got != want || d.Refuse != "" {
			t.Errorf("Decide(%q) = %s, want rule %q: I12", raw, describe(d), want)
		}
	}
}

// I1, I2: whatever the bytes, no reader that stands behind the gateway gets to a
// protected path by a spelling that the gateway lets through.
func FuzzDecide(f *testing.F) {
	for _, paths := range evasions {
		for _, p := range paths {
			f.Add(strings.ReplaceAll(p, "/admin", "/vault"))
		}
	}
	for _, p := range []string{"/wallet/withdrawals", "/wallet", "/assets/withdraw.css", "/x/../y", "/games/tom%20jerry"} {
		f.Add(p)
	}
	set := fuzzSet(f)
	f.Fuzz(func(t *testing.T, raw string) { checkPathAgainstRouters(t, set, raw) })
}

// spellingParts are what the random paths are put together from.
var spellingParts = []string{
	"/", "/", "/", "/", "/wallet/withdraw", "/vault", "wallet", "withdraw", "VAULT", "/vault/", "x", "..", ".", "/../", "/..", "/./", "//", ";", ";a=b", "..;",
	`\`, "%2f", "%2F", "%5c", "%252f", "%255c", "%2e", "%2e%2e", "%252e%252e", "%3b", "%253b", "%00", "%2500", "%20", "+", "%2b", "%3f", "?", "%23", "#", "%25",
	"%77", "%2577", "%57", ".json", "/index.php", "index.php/", "http:", "//evil", "%c0%af", "%ff", "%0a", "%", "%zz", "t", "w",
}

func TestInvariantI1RandomSpellingsAreNeverReadWeakerThanByARouter(t *testing.T) {
	set := fuzzSet(t)
	random := rand.New(rand.NewPCG(1, 2))
	for range 4000 {
		var raw string
		for range 1 + random.IntN(9) {
			raw += spellingParts[random.IntN(len(spellingParts))]
		}
		checkPathAgainstRouters(t, set, raw)
	}
}

// respellings each turn a path into another spelling of it, at a place that n
// picks. What they do can be undone by one reader.
var respellings = []func(p string, n int) string{
	func(p string, n int) string { // one escaped byte
		at := n % len(p)
		i := -1
		return encodeBytes(p, func(byte) bool { i++; return i == at })
	},
	func(p string, n int) string { return encodeBytes(p, func(c byte) bool { return c == '/' }) },
	func(p string, n int) string { return encodeBytes(p, func(byte) bool { return true }) },
	func(p string, n int) string { return insert(p, n, "/.") },
	func(p string, n int) string { return insert(p, n, "/x/..") },
	func(p string, n int) string { // dots for a reader that resolves before it decodes, so nothing may need decoding before
		if strings.Contains(p, "%") {
			return p
		}
		return insert(p, n, "/x%2fy/..")
	},
	func(p string, n int) string { return insert(p, n, ";p=1") },
	func(p string, n int) string { return insert(p, n, "/") },
	func(p string, n int) string { return strings.ReplaceAll(p, "/", `\`) },
	func(p string, n int) string { return strings.ToUpper(p) },
	func(p string, n int) string { return "/index.php" + p },
	func(p string, n int) string { return "//evil" + p },
	func(p string, n int) string { return "/.." + p },
	func(p string, n int) string { return below(p) + "%00.css" },
	func(p string, n int) string { return below(p) + "%20" },
	func(p string, n int) string { return below(p) + "%3fx=y" },
	func(p string, n int) string { return strings.ReplaceAll(below(p), "/", "%c0%af") },
}

// below encodes what is encoded once more, so that it outlasts the decoding that
// undoes a respelling.
func below(p string) string { return encodeBytes(p, func(byte) bool { return false }) }

// insert puts what before the slash, or the end, that n picks. A place behind a
// slash or before a dot segment is none: there the reader that undoes one
// insertion could not leave another for the next reader.
func insert(p string, n int, what string) string {
	places := []int{len(p)}
	for i := range len(p) {
		if p[i] == '/' && i > 0 && p[i-1] != '/' && !strings.HasPrefix(p[i:], "/.") {
			places = append(places, i)
		}
	}
	at := places[n%len(places)]
	return p[:at] + what + p[at:]
}

// I1: a protected path stays protected through any sequence of respellings, as
// many as an attacker likes to stack.
func FuzzRespellings(f *testing.F) {
	for i := range respellings {
		for j := range respellings {
			f.Add([]byte{byte(i), 1, byte(j), 2})
		}
	}
	f.Add([]byte{2, 0, 2, 0, 2, 0, 2, 0, 2, 0, 2, 0})
	f.Add([]byte{6, 1, 5, 0, 8, 0, 0, 3, 14, 0, 1, 0, 10, 0, 13, 0})
	set := fuzzSet(f)
	f.Fuzz(func(t *testing.T, choices []byte) {
		p := "/wallet/withdraw"
		for ; len(choices) > 1 && len(p) < 4096; choices = choices[2:] {
			p = respellings[int(choices[0])%len(respellings)](p, int(choices[1]))
		}
		if d := decidePath(set, "GET", p); !protectedBy(d, "withdrawal") {
			t.Errorf("Decide(%q) = %s, want rule withdrawal or a refusal", p, describe(d))
		}
	})
}
