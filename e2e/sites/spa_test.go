package sites

import (
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stepgate/stepgate/examples/spasite"
)

const (
	spaBudi = "+6281234567810"
	spaSari = "+6281234567811"
)

// startSPA runs the site of one page and a gateway in front of it.
func startSPA(t *testing.T) (*gateway, *spasite.Site) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	site := spasite.New(spasite.Options{Issuer: "http://" + listener.Addr().String()})
	server := &httptest.Server{Listener: listener, Config: &http.Server{Handler: site}}
	server.Start()
	t.Cleanup(server.Close)
	return start(t, "spasite", listener.Addr().String()), site
}

func spaLedger(site *spasite.Site, player string) []int64 {
	var amounts []int64
	for _, transfer := range site.Ledger(player) {
		amounts = append(amounts, transfer.Amount)
	}
	return amounts
}

// script is what runs in the site's page: it keeps its tokens and sends one along.
type script struct {
	*browser
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
}

func (s *script) call(method, path, body string, header ...string) answer {
	s.t.Helper()
	header = append(header, "Accept", "*/*", "Content-Type", "application/json", "Origin", s.base.String(), "Sec-Fetch-Mode", "cors", "Sec-Fetch-Site", "same-origin")
	if s.Access != "" {
		header = append(header, "Authorization", "Bearer "+s.Access)
	}
	return s.do(method, path, body, header...)
}

// take keeps the tokens of an answer.
func (s *script) take(a answer) {
	s.t.Helper()
	if err := json.Unmarshal([]byte(a.want(http.StatusOK).contents), s); err != nil {
		s.t.Fatal(err)
	}
}

func (g *gateway) script(player string) *script {
	g.t.Helper()
	s := &script{browser: g.browser()}
	s.take(s.call("POST", "/api/login", `{"username":"`+player+`","password":"rahasia"}`))
	return s
}

// renew takes the next token, as the page does after each 401.
func (s *script) renew() {
	s.t.Helper()
	s.take(s.call("POST", "/api/refresh", `{"refresh_token":"`+s.Refresh+`"}`))
}

// met is the challenge that an answer tells of.
type met struct {
	ID, URL string
}

func (a answer) met() met {
	a.t.Helper()
	var problem struct{ Challenge met }
	if err := json.Unmarshal([]byte(a.want(http.StatusUnauthorized).contents), &problem); err != nil || problem.Challenge.ID == "" {
		a.t.Fatalf("the answer tells of no challenge: %v\n%s", err, a.contents)
	}
	if got := a.header.Get("WWW-Authenticate"); !strings.HasPrefix(got, `Bearer error="insufficient_user_authentication"`) {
		a.t.Fatalf("WWW-Authenticate is %s", got)
	}
	return problem.Challenge
}

// solve is what a page has to do that is written for it.
func (s *script) solve(m met, code string) answer {
	s.t.Helper()
	return s.call("POST", m.URL, `{"factor":"sms","code":"`+code+`"}`)
}

const spaWithdrawal = `{"amount":2500000,"account":"BCA 1"}`

func TestSPAWithdrawalIsReleasedOnceAfterACode(t *testing.T) {
	g, site := startSPA(t)
	// The page, its script, the login and what nobody protects are the site's own.
	if page := g.browser().get("/").want(http.StatusOK); !strings.Contains(page.contents, "app.js") {
		t.Fatalf("the page is not the site's:\n%s", page.contents)
	}
	s := g.script("budi")
	s.call("GET", "/api/me", "").want(http.StatusOK)
	challenge := s.call("POST", "/api/withdrawals", spaWithdrawal).met()
	// The page takes the 401 for an expired token, renews it, and tries again, once: it is
	// one challenge and one SMS.
	s.renew()
	if again := s.call("POST", "/api/withdrawals", spaWithdrawal).met(); again != challenge {
		t.Errorf("the second try met %v, want %v", again, challenge)
	}
	code := g.code(spaBudi, 1)
	s.renew()
	s.solve(challenge, code).want(http.StatusOK)
	wantLedger(t, spaLedger(site, "budi"))
	s.renew()
	s.call("POST", "/api/withdrawals", `{"amount":9000000,"account":"BCA 666"}`, "Step-Up-Challenge", challenge.ID).want(http.StatusUnauthorized)
	wantLedger(t, spaLedger(site, "budi"))
}

func TestSPAWithdrawalIsRepeatedWithItsChallenge(t *testing.T) {
	g, site := startSPA(t)
	s := g.script("budi")
	challenge := s.call("POST", "/api/withdrawals", spaWithdrawal).met()
	s.solve(challenge, g.code(spaBudi, 1)).want(http.StatusOK)
	s.renew()
	s.call("POST", "/api/withdrawals", spaWithdrawal, "Step-Up-Challenge", challenge.ID).want(http.StatusCreated)
	wantLedger(t, spaLedger(site, "budi"), 2_500_000)
	s.call("POST", "/api/withdrawals", spaWithdrawal, "Step-Up-Challenge", challenge.ID).met()
	wantLedger(t, spaLedger(site, "budi"), 2_500_000)
}

// The page as it is shows a link to the challenge. A browser opens it without the token,
// so that nobody is there whose challenge it could show: it shows nothing, and no code
// goes out for it.
func TestSPALinkToTheChallengeShowsNothingWithoutTheToken(t *testing.T) {
	g, site := startSPA(t)
	s := g.script("budi")
	challenge := s.call("POST", "/api/withdrawals", spaWithdrawal).met()
	code := g.code(spaBudi, 1)
	page := s.get(challenge.URL)
	if page.status != http.StatusUnauthorized || strings.Contains(page.contents, "2500000") || strings.Contains(page.contents, "2.500.000") || strings.Contains(page.contents, challenge.ID) {
		t.Errorf("the link answers %d:\n%s", page.status, page.contents)
	}
	s.browser.solve(challenge.URL, challenge.ID, code)
	g.code(spaBudi, 1)
	wantLedger(t, spaLedger(site, "budi"))
}

// The attacks: the challenge of one player with the token of another, of another session,
// of another site, and with tokens that nobody signed.
func TestSPAChallengeIsNobodyElses(t *testing.T) {
	g, site := startSPA(t)
	s, sari, elsewhere := g.script("budi"), g.script("sari"), g.script("budi")
	challenge := s.call("POST", "/api/withdrawals", spaWithdrawal).met()
	code := g.code(spaBudi, 1)
	parts := strings.Split(s.Access, ".")
	for about, token := range map[string]string{
		"another player's": sari.Access, "another session's": elsewhere.Access, "none": "",
		"one without signature": parts[0] + "." + parts[1] + ".", "one with another's claims": parts[0] + "." + strings.Split(sari.Access, ".")[1] + "." + parts[2],
	} {
		thief := &script{browser: g.browser(), Access: token}
		if a := thief.solve(challenge, code); a.status != http.StatusForbidden && a.status != http.StatusUnauthorized {
			t.Errorf("with %s token the answer is %d:\n%s", about, a.status, a.contents)
		}
	}
	s.solve(challenge, code).want(http.StatusOK)
	for _, thief := range []*script{sari, elsewhere} {
		thief.call("POST", "/api/withdrawals", spaWithdrawal, "Step-Up-Challenge", challenge.ID).met()
	}
	wantLedger(t, spaLedger(site, "budi"))
	wantLedger(t, spaLedger(site, "sari"))
	s.call("POST", "/api/withdrawals", spaWithdrawal, "Step-Up-Challenge", challenge.ID).want(http.StatusCreated)
	g.code(spaSari, 1)
}
