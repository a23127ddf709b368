package sites

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/stepgate/stepgate/examples/htmlsite"
)

const (
	htmlBudi = "+6281234567800"
	htmlSari = "+6281234567801"
)

// startHTML runs the site of pages and a gateway in front of it.
func startHTML(t *testing.T) (*gateway, *htmlsite.Site) {
	t.Helper()
	site := htmlsite.New()
	server := httptest.NewServer(site)
	t.Cleanup(server.Close)
	return start(t, "htmlsite", server.Listener.Addr().String()), site
}

func htmlLedger(site *htmlsite.Site, player string) []int64 {
	var amounts []int64
	for _, transfer := range site.Ledger(player) {
		amounts = append(amounts, transfer.Amount)
	}
	return amounts
}

var formToken = regexp.MustCompile(`name="token" value="([^"]+)"`)

// submit fills in a form of a page, with the token that stands in it.
func (b *browser) submit(page, path string, pairs ...string) answer {
	b.t.Helper()
	m := formToken.FindStringSubmatch(b.get(page).contents)
	if m == nil {
		b.t.Fatalf("%s has no form", page)
	}
	return b.post(path, append([]string{"token", m[1]}, pairs...)...)
}

func (b *browser) htmlLogin(player string) {
	b.t.Helper()
	b.submit("/login", "/login", "username", player, "password", "rahasia").want(http.StatusSeeOther, "/")
}

func TestHTMLWithdrawalIsReleasedOnceAfterACode(t *testing.T) {
	g, site := startHTML(t)
	b := g.browser()
	// A stranger has a session too.
	b.submit("/login", "/wallet/withdraw", "amount", "1000", "account", "BCA 1").want(http.StatusSeeOther, "/login")
	if b.cookie(htmlsite.SessionCookie) == "" {
		t.Fatal("a stranger has no session: the site is not the one that this test is about")
	}
	b.htmlLogin("budi")
	challenge := b.submit("/wallet", "/wallet/withdraw", "amount", "2500000", "account", "BCA 1").challenge()
	wantLedger(t, htmlLedger(site, "budi"))
	code := g.code(htmlBudi, 1)
	b.solve("/wallet/withdraw", challenge, code).want(http.StatusSeeOther, "/transfers")
	wantLedger(t, htmlLedger(site, "budi"), 2_500_000)
	b.solve("/wallet/withdraw", challenge, code)
	b.submit("/wallet", "/wallet/withdraw", "amount", "2500000", "account", "BCA 1").challenge()
	wantLedger(t, htmlLedger(site, "budi"), 2_500_000)
	if page := b.get("/transfers").want(http.StatusOK); !strings.Contains(page.contents, "Rp2500000 ke BCA 1") {
		t.Errorf("the transfer is not listed:\n%s", page.contents)
	}
}

// The attack: whoever uses the browser after budi finds his grant and his challenge
// there.
func TestHTMLGrantAndChallengeEndWithTheSession(t *testing.T) {
	g, site := startHTML(t)
	b := g.browser()
	b.htmlLogin("budi")
	contact := []string{"email", "budi@example.com", "phone", htmlBudi}
	granted := b.submit("/profile", "/profile/contact", contact...).challenge()
	b.solve("/profile/contact", granted, g.code(htmlBudi, 1)).want(http.StatusSeeOther, "/profile")
	b.submit("/profile", "/profile/contact", contact...).want(http.StatusSeeOther, "/profile")
	pending := b.submit("/wallet", "/wallet/withdraw", "amount", "1000", "account", "BCA 1").challenge()
	code := g.code(htmlBudi, 2)
	b.submit("/", "/logout").want(http.StatusSeeOther, "/login")

	b.htmlLogin("sari")
	b.submit("/profile", "/profile/contact", "email", "thief@example.com", "phone", "+6281200000000").challenge()
	b.solve("/wallet/withdraw", pending, code).want(http.StatusForbidden)
	hers := b.submit("/wallet", "/wallet/withdraw", "amount", "5000", "account", "BCA 2").challenge()
	b.submit("/", "/logout").want(http.StatusSeeOther, "/login")

	// budi himself comes back with another session, and begins anew.
	b.htmlLogin("budi")
	b.submit("/profile", "/profile/contact", contact...).challenge()
	b.solve("/wallet/withdraw", pending, code).want(http.StatusForbidden)
	b.solve("/wallet/withdraw", hers, code).want(http.StatusForbidden)
	wantLedger(t, htmlLedger(site, "budi"))
	wantLedger(t, htmlLedger(site, "sari"))
}

// The attack: the gateway reads on a page who is logged in, and players write on that
// page. budi calls himself what would make him sari, or his phone hers.
func TestHTMLNicknameDoesNotMakeAnotherPlayer(t *testing.T) {
	g, site := startHTML(t)
	b := g.browser()
	b.htmlLogin("budi")
	for _, nickname := range []string{
		`"><b id=me data-id=1>`,
		`</b></p></header></body><body data-player="18">`,
		`</title><body data-player=18>`,
		`<input name="phone" value="` + htmlSari + `">`,
		`"><input name="phone" value="` + htmlSari + `"><i id="`,
	} {
		b.submit("/profile", "/profile/nickname", "nickname", nickname).want(http.StatusSeeOther, "/profile")
		b.submit("/wallet", "/wallet/withdraw", "amount", "1000", "account", "BCA 1").challenge()
	}
	g.code(htmlBudi, 1)
	if n := len(g.sent(htmlSari)); n != 0 {
		t.Errorf("sari got %d SMS", n)
	}
	wantLedger(t, htmlLedger(site, "budi"))
}
