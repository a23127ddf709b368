//go:build unix

package e2e

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"strings"
	"testing"
	"time"
)

// player is one who is logged in to the site, and whose requests may go through any
// gateway.
type player struct {
	t    *testing.T
	c    *cluster
	name string
	http *http.Client
}

// login logs a player in through the first gateway.
func (c *cluster) login(name string) *player {
	c.t.Helper()
	p := c.visitor(name)
	p.form(c.nodes[0], "/login", "username", name, "password", "rahasia").want(c.t, http.StatusSeeOther)
	return p
}

func (c *cluster) visitor(name string) *player {
	c.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		c.t.Fatal(err)
	}
	return &player{c.t, c, name, &http.Client{
		Jar: jar, Transport: c.http, Timeout: 15 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// try sends a request through a gateway. Its error is one of the connection.
func (p *player) try(n *node, method, path, kind string, body []byte, header ...string) (answer, error) {
	req, err := http.NewRequest(method, n.url()+path, bytes.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	// All gateways serve one host, as behind a balancer.
	req.Host = "localhost"
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := p.http.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(res.Body); err != nil {
		return answer{}, err
	}
	return answer{res.StatusCode, res.Header, b.String()}, nil
}

func (p *player) do(n *node, method, path, kind string, body []byte, header ...string) answer {
	p.t.Helper()
	a, err := p.try(n, method, path, kind, body, header...)
	if err != nil {
		p.t.Fatal(err)
	}
	return a
}

const formType = "application/x-www-form-urlencoded"

// form posts a form as a browser does.
func (p *player) form(n *node, path string, pairs ...string) answer {
	p.t.Helper()
	return p.do(n, "POST", path, formType, []byte(encode(pairs...)), "Accept", "text/html")
}

// withdrawal is the body of a withdrawal over JSON.
func withdrawal(amount int64) []byte {
	return fmt.Appendf(nil, `{"amount":%d,"account":"BCA 1234567890"}`, amount)
}

// withdraw asks for a withdrawal over JSON.
func (p *player) withdraw(n *node, amount int64, header ...string) answer {
	p.t.Helper()
	return p.do(n, "POST", withdrawals, "application/json", withdrawal(amount), header...)
}

// withdrawForm asks for a withdrawal with the site's form.
func (p *player) withdrawForm(n *node, amount int64) answer {
	p.t.Helper()
	return p.form(n, "/wallet/withdraw", "amount", fmt.Sprint(amount), "account", "BCA 1234567890")
}

// answer answers a challenge over JSON.
func (p *player) answer(n *node, url, code string) answer {
	p.t.Helper()
	return p.do(n, "POST", url, "application/json", fmt.Appendf(nil, `{"factor":"sms","code":%q}`, code))
}

// answerForm is the body of the challenge page's form.
func answerForm(id, code string) []byte {
	return []byte(encode("stepgate_challenge", id, "stepgate_action", "answer", "stepgate_factor", "sms", "stepgate_code", code))
}

// submit answers a challenge page that stands at path.
func (p *player) submit(n *node, path, id, code string) answer {
	p.t.Helper()
	return p.do(n, "POST", path, formType, answerForm(id, code), "Accept", "text/html")
}

// statement asks for the page that a grant opens, as a script does.
func (p *player) statement(n *node) answer {
	p.t.Helper()
	return p.do(n, "GET", "/wallet", "", nil, "Accept", "application/json")
}

// getGrant passes a challenge through a gateway, so that the statement is open.
func (p *player) getGrant(n *node) {
	p.t.Helper()
	ch := p.statement(n).want(p.t, http.StatusUnauthorized).problem(p.t).Challenge
	p.answer(n, ch.URL, p.c.code(p.t, ch.ID)).want(p.t, http.StatusOK)
}

const (
	enrolPath = "/.stepgate/security/sms"
	offPath   = "/.stepgate/security/off"
)

// enrol makes the phone that the site knows a factor of the player's.
func (p *player) enrol(n *node) {
	p.t.Helper()
	id := p.form(n, enrolPath).want(p.t, http.StatusUnauthorized).challengeIn(p.t)
	p.submit(n, enrolPath, id, p.c.code(p.t, id)).want(p.t, http.StatusOK)
}

// askOff begins to switch two-factor authentication off, and returns the challenge
// that this takes.
func (p *player) askOff(n *node) (id, code string) {
	p.t.Helper()
	id = p.form(n, offPath).want(p.t, http.StatusUnauthorized).challengeIn(p.t)
	return id, p.c.code(p.t, id)
}

func wantText(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("the text lacks %q:\n%s", part, text)
		}
	}
}
