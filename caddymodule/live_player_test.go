package caddymodule_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/stepgate/stepgate/challengepages"
	"github.com/stepgate/stepgate/examples/casino"
)

// player is a browser, or a script in one.
type player struct {
	g    *gateway
	http *http.Client
	// header goes with every request.
	header http.Header
}

// visitor returns a browser without a session.
func (g *gateway) visitor() *player {
	g.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		g.t.Fatal(err)
	}
	return &player{
		g: g,
		http: &http.Client{
			Jar:           jar,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, "tcp", g.address)
			}},
		},
		header: http.Header{
			"Accept": {"text/html,application/xhtml+xml"}, "Accept-Language": {"en"},
			"Sec-Fetch-Site": {"same-origin"}, "Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"document"},
		},
	}
}

// login returns a browser with a session of a player of the casino, which it got
// from the casino itself.
func (g *gateway) login(name string) *player {
	g.t.Helper()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.PostForm(g.site.server.URL+"/login", url.Values{"username": {name}, "password": {"rahasia"}})
	if err != nil {
		g.t.Fatal(err)
	}
	defer res.Body.Close()
	p := g.visitor()
	p.http.Jar.SetCookies(p.url(), res.Cookies())
	g.hideAnswer(res, "")
	if p.cookie(casino.SessionCookie) == "" {
		g.t.Fatalf("logging in as %s gave no session", name)
	}
	return p
}

// url returns where the player's browser thinks the site is.
func (p *player) url() *url.URL { return &url.URL{Scheme: "http", Host: "localhost"} }

// cookie returns the value of a cookie of the player.
func (p *player) cookie(name string) string {
	for _, c := range p.http.Jar.Cookies(p.url()) {
		if c.Name == name {
			return c.Value
		}
	}
	return ""
}

type answer struct {
	t      *testing.T
	status int
	header http.Header
	body   string
}

// want fails the test unless the answer has the status.
func (a answer) want(status int) answer {
	a.t.Helper()
	if a.status != status {
		a.t.Fatalf("status = %d, want %d; body:\n%s", a.status, status, a.body)
	}
	return a
}

var challengePattern = regexp.MustCompile(`name="?stepgate_challenge"? value="?([A-Za-z0-9_-]{22})`)

// challenge returns the id of the challenge that the page shows.
func (a answer) challenge() string {
	a.t.Helper()
	m := challengePattern.FindStringSubmatch(a.body)
	if m == nil {
		a.t.Fatalf("no challenge in the answer %d:\n%s", a.status, a.body)
	}
	return m[1]
}

// send sends one request. An error is one of the connection.
func (p *player) send(method, target, kind, body string, header ...string) (answer, error) {
	req, err := http.NewRequest(method, p.url().String()+target, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	req.Header = p.header.Clone()
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	p.g.hideRequest(req, body)
	res, err := p.http.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	p.g.hideAnswer(res, string(text))
	return answer{p.g.t, res.StatusCode, res.Header, string(text)}, err
}

func (p *player) do(method, target, kind, body string, header ...string) answer {
	p.g.t.Helper()
	a, err := p.send(method, target, kind, body, header...)
	if err != nil {
		p.g.t.Fatalf("%s %s: %v", method, target, err)
	}
	return a
}

func (p *player) get(target string, header ...string) answer {
	p.g.t.Helper()
	return p.do("GET", target, "", "", header...)
}

const formType = "application/x-www-form-urlencoded"

func (p *player) post(target string, pairs ...string) answer {
	p.g.t.Helper()
	return p.do("POST", target, formType, form(pairs...))
}

// form encodes pairs in their order: the marker of a page of ours comes first.
func form(pairs ...string) string {
	var parts []string
	for i := 0; i+1 < len(pairs); i += 2 {
		parts = append(parts, url.QueryEscape(pairs[i])+"="+url.QueryEscape(pairs[i+1]))
	}
	return strings.Join(parts, "&")
}

// solution is the form of a challenge page with a code in it.
func solution(challenge, factor, code string) []string {
	return []string{
		challengepages.FieldChallenge, challenge, challengepages.FieldAction, challengepages.ActionAnswer,
		challengepages.FieldFactor, factor, challengepages.FieldCode, code,
	}
}

// withdraw asks for a withdrawal and returns the challenge that it meets.
func (p *player) withdraw(amount string) string {
	p.g.t.Helper()
	return p.post("/wallet/withdraw", "amount", amount, "account", "BCA 1234567890").want(http.StatusUnauthorized).challenge()
}
