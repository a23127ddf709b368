package routers

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// onPath makes a respelling of a change of the path.
func onPath(name string, change func(path string, random *rand.Rand) string) respelling {
	return respelling{name, func(r *request, random *rand.Rand) { r.path = change(r.path, random) }}
}

// letterRespellings spell single letters, and what only some paths have,
// differently.
func letterRespellings() []respelling {
	return []respelling{
		onPath("a letter escaped", func(p string, random *rand.Rand) string { return escapeAt(p, letter(p, random), "%%%02x") }),
		onPath("a letter escaped in capitals", func(p string, random *rand.Rand) string { return escapeAt(p, letter(p, random), "%%%02X") }),
		onPath("a letter escaped twice", func(p string, random *rand.Rand) string { return escapeAt(p, letter(p, random), "%%25%02x") }),
		onPath("a letter escaped many times", func(p string, random *rand.Rand) string {
			return escapeAt(p, letter(p, random), "%%"+strings.Repeat("25", 2+random.IntN(6))+"%02x")
		}),
		onPath("a letter as %u", func(p string, random *rand.Rand) string { return escapeAt(p, letter(p, random), "%%u%04x") }),
		onPath("a letter as &#", func(p string, random *rand.Rand) string { return escapeAt(p, letter(p, random), "&#x%x;") }),
		onPath("everything escaped", func(p string, _ *rand.Rand) string {
			var b strings.Builder
			for _, c := range []byte(p) {
				if c == '/' {
					b.WriteByte(c)
				} else {
					fmt.Fprintf(&b, "%%%02x", c)
				}
			}
			return b.String()
		}),
		onPath("the escapes escaped", func(p string, _ *rand.Rand) string { return strings.ReplaceAll(p, "%", "%25") }),
		onPath("a letter overlong in two bytes", func(p string, random *rand.Rand) string { return overlong(p, letter(p, random), 2) }),
		onPath("a letter overlong in three bytes", func(p string, random *rand.Rand) string { return overlong(p, letter(p, random), 3) }),
		onPath("a letter overlong in four bytes", func(p string, random *rand.Rand) string { return overlong(p, letter(p, random), 4) }),
		onPath("a letter full-width", func(p string, random *rand.Rand) string {
			return at(p, letter(p, random), func(c byte) string { return percent(string(rune(c-'!') + '！')) })
		}),
		onPath("a letter full-width and raw", func(p string, random *rand.Rand) string {
			return at(p, letter(p, random), func(c byte) string { return string(rune(c-'!') + '！') })
		}),
		onPath("all in capitals", func(p string, _ *rand.Rand) string { return strings.ToUpper(p) }),
		onPath("a letter in capitals", func(p string, random *rand.Rand) string {
			return at(p, letter(p, random), func(c byte) string { return strings.ToUpper(string(rune(c))) })
		}),
		onPath("a title", func(p string, _ *rand.Rand) string {
			return at(p, 1, func(c byte) string { return strings.ToUpper(string(rune(c))) })
		}),
		onPath("a long s", func(p string, _ *rand.Rand) string { return strings.Replace(p, "s", "%c5%bf", 1) }),
		onPath("an i without a dot", func(p string, _ *rand.Rand) string { return strings.Replace(p, "i", "%c4%b1", 1) }),
		onPath("an I with a dot", func(p string, _ *rand.Rand) string { return strings.Replace(p, "i", "%c4%b0", 1) }),
		onPath("an accent", func(p string, _ *rand.Rand) string { return strings.Replace(p, "a", "a%cc%81", 1) }),
		onPath("a segment of a blank", func(p string, random *rand.Rand) string { return before(p, random, "/%20") }),
		onPath("another id", func(p string, random *rand.Rand) string {
			return strings.Replace(p, "/7/", pick(random, "/%37/", "/7%2f8/", "/../", "/%2e%2e/", "/..;/", "/%20/", "//", "/a.b/", "/7;a=b/", "/7/8/", "/%00/"), 1)
		}),
		onPath("a dot behind the script", func(p string, _ *rand.Rand) string { return strings.Replace(p, ".php", ".php.", 1) }),
		onPath("the script's ending in capitals", func(p string, _ *rand.Rand) string { return strings.Replace(p, ".php", ".PHP", 1) }),
		onPath("a path behind the script", func(p string, _ *rand.Rand) string { return strings.Replace(p, ".php", ".php/7/x.css", 1) }),
	}
}

// What a slash may be spelled as, and what may stand at the end of a segment, behind
// the path and before it.
var (
	slashes = []string{
		"%2f", "%2F", "%252f", `\`, "%5c", "%255c", "%c0%af", "%e0%80%af", "%u2215", "%e2%88%95", "%ef%bc%8f", ";/", "/;/", "/%2f", "%2f/",
	}
	inserted = []string{
		"/", "//", "/.", "/./", "/%2e", "/%252e", "/x/..", "/x/%2e%2e", "/x/%2e.", "/x/.%2e", "/x/%252e%252e", "/x%2f..", `/x/..\..`, "/x/..;", "/x/..;a=b",
		"/x/..%3b", "/x/..%00", "/x;/..", "/..", "/../..", `/x\..`, "/x/%c0%ae%c0%ae", "/x/%e0%80%ae%e0%80%ae", "/x/%uff0e%uff0e", "/x/.../..", "/x//..", "/x/y/../..",
		";", ";a=b", ";jsessionid=1", "%3ba=b", ";a=b;c=d", ";a=/x", ";/..", "%00", "%0a", "%0d", "%09", "%20", "+", "%a0", ".", "..", "%2e", "%e2%80%8b", "%c2%ad",
		"%ef%bb%bf", "%7f", "%08", "%ff", "%fe", "%", "%2", "%zz", "%u", "%u00zz", "%25", "::$DATA", "~", "*", "'", "\"", "|", "^", "{}", "<>", "`", "!", "$", ",", "(x)", "@",
	}
	endings = []string{
		"/", "//", "/.", "/./", "/x/..", "/x/../", "/%2e", "%2f", "%5c", `\`, ".", "..", "%2e", "%20", "%20%20", "+", "%09", "%0a", "%0d%0a", "%00", "%00.css", "%00/x.css", ";.css",
		";a=b.css", "/;.css", ".json", ".JSON", ".html", ".xml", ".css", ".action", ".do", ".php", ".php/x", ".json/", ".json;a=b", "%2ejson", ".json.html", "/index.php",
		"/index.html", "/index", "/index.php/x", "?", "%3f", "%3fx=y", "#", "%23", "%23x", "#x", "&a=b", "%26a=b", "%20HTTP/1.1", "/..;/", "%", "%25", "~", "/*", "/~", "/%20", ":x",
		"/withdraw/..", "/.json", ".%00json",
	}
	beginnings = []string{
		"/", "//", "///", "/.", "/./", "/%2e", "/..", "/../..", "/%2e%2e", "/..;", "/;", "/;a=b", "/x/..", "/x/..;", "/x/../..", `/\`, "/%5c", "/%2f", "/%20", "/+", "/index.php", "/index.PHP",
		"/index.php5", "/x.php", "/index.php/", "/index.php;", "/x/index.php", "/index.html", "/assets/..", "/assets/..;", "/assets/%2e%2e", "/assets/..%2f", `/assets/..\`,
		"/assets/%252e%252e", "/.stepgate/..", "/.stepgate/%2e%2e", "/.stepgate/..;", "/.stepgate/assets/../..", "/%00", "/\x01", "/en", "/~", "/http:/", "/public", "/./.",
		"/*", "/%e2%80%8b", "/localhost", "/http://localhost",
	}
)

// pathRespellings take the table of package policy step by step, and go beyond
// it.
func pathRespellings() []respelling {
	all := letterRespellings()
	for _, slash := range slashes {
		all = append(all,
			onPath("a slash as "+slash, func(p string, random *rand.Rand) string {
				i := slashAt(p, random)
				return p[:i] + slash + trimRoot(p[i:])
			}),
			onPath("all slashes as "+slash, func(p string, _ *rand.Rand) string { return "/" + strings.ReplaceAll(trimRoot(p), "/", slash) }))
	}
	for _, what := range inserted {
		all = append(all, onPath("with "+what+" at a segment's end", func(p string, random *rand.Rand) string { return before(p, random, what) }))
	}
	for _, what := range endings {
		all = append(all, onPath("with "+what+" behind", func(p string, _ *rand.Rand) string { return p + what }))
	}
	for _, what := range beginnings {
		all = append(all, onPath("with "+what+" before", func(p string, _ *rand.Rand) string { return what + p }))
	}
	return all
}

func trimRoot(p string) string { return strings.TrimPrefix(p, "/") }

// letter is the place of a letter of the path, or 0 if it has none.
func letter(p string, random *rand.Rand) int {
	var places []int
	for i := range len(p) {
		if c := p[i] | 0x20; 'a' <= c && c <= 'z' && (i < 1 || p[i-1] != '%') && (i < 2 || p[i-2] != '%') {
			places = append(places, i)
		}
	}
	if len(places) == 0 {
		return 0
	}
	return pick(random, places...)
}

// slashAt is the place of a slash behind the first, or the end.
func slashAt(p string, random *rand.Rand) int {
	places := []int{len(p)}
	for i := 1; i < len(p); i++ {
		if p[i] == '/' {
			places = append(places, i)
		}
	}
	return pick(random, places...)
}

// before puts what before a slash, or at the end.
func before(p string, random *rand.Rand, what string) string {
	i := slashAt(p, random)
	return p[:i] + what + p[i:]
}

func at(p string, i int, spell func(c byte) string) string {
	if i >= len(p) || p[i] == '/' {
		return p
	}
	return p[:i] + spell(p[i]) + p[i+1:]
}

func escapeAt(p string, i int, format string) string {
	return at(p, i, func(c byte) string { return fmt.Sprintf(format, c) })
}

// overlong spells a byte in more bytes of UTF-8 than it needs.
func overlong(p string, i, size int) string {
	return at(p, i, func(c byte) string {
		lead := map[int]string{2: "", 3: "\xe0", 4: "\xf0\x80"}[size]
		next := 0x80 | c>>6
		if size == 2 {
			next = 0xc0 | c>>6
		}
		return percent(lead + string([]byte{next, 0x80 | c&0x3f}))
	})
}

func percent(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		fmt.Fprintf(&b, "%%%02x", c)
	}
	return b.String()
}

// targetRespellings change what stands around the path.
func targetRespellings() []respelling {
	var all []respelling
	for _, what := range []string{
		"http://localhost", "https://localhost", "HTTP://LOCALHOST", "http://elsewhere.example", "http://player@localhost", "http://localhost:80", "http://[::1]", "http:", "http:/", "http:///",
		"http://", "//localhost", "///localhost", "ftp://localhost", "file://", "ws://localhost", "http://localhost/x/..", "http://localhost?", "http://localhost#", `http:\\localhost`,
		"x:", "*", "x", "http://localhost/assets/..;", "http://localhost%2f", "http://%6cocalhost", "/http:", "javascript:", "http://a/b@localhost", "http://localhost;a=b", "@", "@localhost", ":80",
	} {
		all = append(all, respelling{"the target behind " + what, func(r *request, _ *rand.Rand) { r.target = what }})
	}
	for _, what := range []string{
		"?", "?x=y", "?x=%zz", "?/../x", "?next=/wallet", "??", "?#", "?%00", "?x=y#z", "?;", "?&", "?=", "?x=\x01", "?a[]=b", "?x=y?z", "#", "#?x", "#/../../assets/x.css", "?.css", "?/.css", "?debug=1",
	} {
		all = append(all, respelling{"with the query " + what, func(r *request, _ *rand.Rand) { r.query += what }})
	}
	all = append(all,
		respelling{"without the root", func(r *request, _ *rand.Rand) { r.path = trimRoot(r.path) }},
		respelling{"the host gone", func(r *request, _ *rand.Rand) { r.host = nil }},
		respelling{"two hosts", func(r *request, _ *rand.Rand) { r.host = append(r.host, "Host: elsewhere.example") }},
		respelling{"another host", func(r *request, _ *rand.Rand) { r.host = []string{"Host: elsewhere.example"} }},
		respelling{"an empty host", func(r *request, _ *rand.Rand) { r.host = []string{"Host:"} }},
		respelling{"a host with a path", func(r *request, _ *rand.Rand) { r.host = []string{"Host: localhost" + r.path}; r.path = "/" }},
		respelling{"the path in the host", func(r *request, _ *rand.Rand) {
			r.host = []string{"Host: localhost/wallet"}
			r.path = strings.TrimPrefix(r.path, "/wallet")
		}},
	)
	return all
}
