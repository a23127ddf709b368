package sites

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// browser keeps cookies and follows no redirect by itself.
type browser struct {
	t    *testing.T
	base *url.URL
	http *http.Client
}

func (g *gateway) browser() *browser {
	g.t.Helper()
	base, err := url.Parse(g.url)
	if err != nil {
		g.t.Fatal(err)
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		g.t.Fatal(err)
	}
	return &browser{g.t, base, &http.Client{
		Jar:           jar,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// cookie returns the value of a cookie.
func (b *browser) cookie(name string) string {
	for _, c := range b.http.Jar.Cookies(b.base) {
		if c.Name == name {
			return c.Value
		}
	}
	return ""
}

func (b *browser) setCookie(name, value string) {
	b.http.Jar.SetCookies(b.base, []*http.Cookie{{Name: name, Value: value, Path: "/"}})
}

type answer struct {
	t        *testing.T
	status   int
	header   http.Header
	contents string
}

func (b *browser) do(method, path, body string, header ...string) answer {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), method, b.base.String()+path, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := b.http.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer res.Body.Close()
	var contents bytes.Buffer
	if _, err := contents.ReadFrom(res.Body); err != nil {
		b.t.Fatal(err)
	}
	return answer{b.t, res.StatusCode, res.Header, contents.String()}
}

func (b *browser) get(path string) answer {
	b.t.Helper()
	return b.do("GET", path, "", "Accept", "text/html")
}

// post sends a form as a page does.
func (b *browser) post(path string, pairs ...string) answer {
	b.t.Helper()
	var parts []string
	for i := 0; i < len(pairs); i += 2 {
		parts = append(parts, url.QueryEscape(pairs[i])+"="+url.QueryEscape(pairs[i+1]))
	}
	return b.do("POST", path, strings.Join(parts, "&"),
		"Accept", "text/html", "Content-Type", "application/x-www-form-urlencoded", "Origin", b.base.String())
}

// want fails the test unless the answer has the status and, for a redirect, leads
// there.
func (a answer) want(status int, to ...string) answer {
	a.t.Helper()
	if got := a.header.Get("Location"); a.status != status || len(to) > 0 && got != to[0] {
		a.t.Fatalf("answer is %d to %q, want %d to %q:\n%s", a.status, got, status, to, a.contents)
	}
	return a
}

var marker = regexp.MustCompile(`name="?stepgate_challenge"? value="?([A-Za-z0-9_-]{22})`)

// challenge returns the id of the challenge whose page this is.
func (a answer) challenge() string {
	a.t.Helper()
	a.want(http.StatusUnauthorized)
	m := marker.FindStringSubmatch(a.contents)
	if m == nil {
		a.t.Fatalf("the answer is no challenge page:\n%s", a.contents)
	}
	return m[1]
}

// solve types a code into the challenge page that stands at a path, and what more there is.
func (b *browser) solve(path, challenge, code string, more ...string) answer {
	b.t.Helper()
	// The challenge comes first, as on the page.
	answered := []string{"stepgate_challenge", challenge, "stepgate_action", "answer", "stepgate_factor", "sms", "stepgate_code", code}
	return b.post(path, append(answered, more...)...)
}

// wantLedger fails the test unless a site's ledger has just these amounts.
func wantLedger(t *testing.T, got []int64, want ...int64) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("the ledger has %v, want %v", got, want)
	}
}
