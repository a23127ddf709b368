package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// client is what curl is: it keeps cookies, follows nothing, and claims to be no
// browser unless told to.
type client struct {
	d    *demo
	http *http.Client
}

func (d *demo) client() *client {
	jar, err := cookiejar.New(nil)
	if err != nil {
		d.t.Fatal(err)
	}
	return &client{d, &http.Client{
		Jar:           jar,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// login returns a client with a session at the site.
func (d *demo) login(player string) *client {
	d.t.Helper()
	c := d.client()
	res := c.form("/login", "username", player, "password", "rahasia")
	if res.status != http.StatusSeeOther {
		d.t.Fatalf("logging in as %s: %d", player, res.status)
	}
	return c
}

type answer struct {
	status int
	header http.Header
	body   string
}

func (c *client) do(method, path, kind string, body []byte, header ...string) answer {
	c.d.t.Helper()
	a, err := c.try(method, path, kind, body, header...)
	if err != nil {
		c.d.t.Fatal(err)
	}
	return a
}

func (c *client) try(method, path, kind string, body []byte, header ...string) (answer, error) {
	req, err := http.NewRequest(method, c.d.url+path, bytes.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := c.http.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	c.d.hideCookies(res.Cookies())
	var b bytes.Buffer
	if _, err := b.ReadFrom(res.Body); err != nil {
		return answer{}, err
	}
	return answer{res.StatusCode, res.Header, b.String()}, nil
}

// form posts a form as a browser does that follows nothing.
func (c *client) form(path string, pairs ...string) answer {
	c.d.t.Helper()
	return c.do("POST", path, "application/x-www-form-urlencoded", []byte(encode(pairs...)), "Accept", "text/html")
}

func encode(pairs ...string) string {
	var parts []string
	for i := 0; i+1 < len(pairs); i += 2 {
		parts = append(parts, url.QueryEscape(pairs[i])+"="+url.QueryEscape(pairs[i+1]))
	}
	return strings.Join(parts, "&")
}

const withdrawals = "/api/v1/withdrawals"

// withdraw asks for a withdrawal over JSON.
func (c *client) withdraw(amount int64, header ...string) answer {
	c.d.t.Helper()
	body := fmt.Sprintf(`{"amount":%d,"account":"BCA 1234567890"}`, amount)
	return c.do("POST", withdrawals, "application/json", []byte(body), header...)
}

type problem struct {
	Type      string `json:"type"`
	Rule      string `json:"rule"`
	Challenge struct {
		ID           string              `json:"id"`
		URL          string              `json:"url"`
		State        string              `json:"state"`
		Factors      []string            `json:"factors"`
		AttemptsLeft int                 `json:"attempts_left"`
		SingleUse    bool                `json:"single_use"`
		Details      []map[string]string `json:"details"`
	} `json:"challenge"`
}

func (a answer) problem(t *testing.T) problem {
	t.Helper()
	var p problem
	if err := json.Unmarshal([]byte(a.body), &p); err != nil {
		t.Fatalf("answer %d is no JSON: %v\n%s", a.status, err, a.body)
	}
	return p
}

func (a answer) want(t *testing.T, status int) answer {
	t.Helper()
	if a.status != status {
		t.Fatalf("status %d, want %d:\n%s", a.status, status, a.body)
	}
	return a
}

// answer answers a challenge over JSON.
func (c *client) answer(url, factor, code string) answer {
	c.d.t.Helper()
	return c.do("POST", url, "application/json", fmt.Appendf(nil, `{"factor":%q,"code":%q}`, factor, code))
}

var marker = regexp.MustCompile(`name="?stepgate_challenge"? value="?([A-Za-z0-9_-]{22})`)

// challengeIn returns the id of the challenge whose page this is.
func (a answer) challengeIn(t *testing.T) string {
	t.Helper()
	m := marker.FindStringSubmatch(a.body)
	if m == nil {
		t.Fatalf("answer %d is no challenge page:\n%s", a.status, a.body)
	}
	return m[1]
}

func TestTheSameWithdrawalOverJSON(t *testing.T) {
	d := startDemo(t)
	c := d.login("budi")

	a := c.withdraw(2_500_000).want(t, http.StatusUnauthorized)
	if got := a.header.Get("WWW-Authenticate"); !strings.HasPrefix(got, `Step-Up error="insufficient_user_authentication"`) {
		t.Errorf("WWW-Authenticate = %q", got)
	}
	p := a.problem(t)
	if p.Type != "urn:stepgate:problem:step-up-required" || p.Rule != "withdrawal" || !p.Challenge.SingleUse ||
		p.Challenge.AttemptsLeft != 5 || p.Challenge.State != "pending" ||
		fmt.Sprint(p.Challenge.Details) != "[map[label:amount value:Rp2.500.000] map[label:to value:BCA 1234567890]]" {
		t.Errorf("problem = %+v", p)
	}
	c.answer(p.Challenge.URL, "sms", "000000").want(t, http.StatusUnprocessableEntity)
	c.answer(p.Challenge.URL, "sms", d.code()).want(t, http.StatusOK)
	d.wantWithdrawals("budi")
	repeat := []string{"Step-Up-Challenge", p.Challenge.ID}
	if a := c.withdraw(2_500_000, repeat...); a.status/100 != 2 {
		t.Fatalf("the approved repeat: %d %s", a.status, a.body)
	}
	d.wantWithdrawals("budi", 2_500_000)
	c.withdraw(2_500_000, repeat...).want(t, http.StatusUnauthorized)
	c.withdraw(9_900_000, repeat...).want(t, http.StatusUnauthorized)
	d.wantWithdrawals("budi", 2_500_000)
}

func TestAnotherAmountIsNotWhatWasApproved(t *testing.T) {
	d := startDemo(t)
	c := d.login("sari")
	codes := &totpCodes{t: t, secret: d.sariSecret()}
	p := c.withdraw(100_000).want(t, http.StatusUnauthorized).problem(t)
	c.answer(p.Challenge.URL, "totp", codes.next()).want(t, http.StatusOK)
	c.withdraw(9_900_000, "Step-Up-Challenge", p.Challenge.ID).want(t, http.StatusUnauthorized)
	d.wantWithdrawals("sari")
}

// The same through the built binary, Caddy and all, as the invariants say it of
// the gate alone.
func TestInvariantI3AndI5UnderTwoHundredAnswersAtOnce(t *testing.T) {
	d := startDemo(t)
	c := d.login("budi")
	id := c.form("/wallet/withdraw", "amount", "2500000", "account", "BCA 1234567890").want(t, http.StatusUnauthorized).challengeIn(t)
	right := d.code()
	wrong := "000000"
	if right == wrong {
		wrong = "111111"
	}
	post := func(id, code string) func() {
		return func() {
			_, _ = c.try("POST", "/wallet/withdraw", "application/x-www-form-urlencoded",
				[]byte(encode("stepgate_challenge", id, "stepgate_action", "answer", "stepgate_factor", "sms", "stepgate_code", code)), "Accept", "text/html")
		}
	}
	atOnce(50, post(id, right))
	d.wantWithdrawals("budi", 2_500_000)

	p := c.withdraw(100_000).want(t, http.StatusUnauthorized).problem(t)
	right = d.code()
	atOnce(200, func() {
		_, _ = c.try("POST", p.Challenge.URL, "application/json", fmt.Appendf(nil, `{"factor":"sms","code":%q}`, wrong))
	})
	a := c.answer(p.Challenge.URL, "sms", right).want(t, http.StatusGone)
	if got := a.problem(t).Challenge.State; got != "used_up" {
		t.Errorf("state = %q, want used_up", got)
	}
	d.wantWithdrawals("budi", 2_500_000)
}
