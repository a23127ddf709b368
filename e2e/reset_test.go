package e2e

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// What the site and the challenge say, in the language that each speaks.
const (
	siteMails     = "Jika alamat itu terdaftar, kata sandi baru sudah kami kirim ke sana."
	siteLogin     = "Lupa kata sandi"
	useSMS        = `form:has(input[name="stepgate_factor"][value="sms"]) button[name="stepgate_action"][value="use"]`
	resetConfirms = "Confirm your password reset"
)

// askReset fills in the site's own form.
func (b *tab) askReset(email string) {
	b.t.Helper()
	b.open("/password/reset")
	b.wantText(siteLogin)
	b.fill("email", email)
	b.press(`form[action="/password/reset"] button`)
}

// byReset takes what differs from one challenge to the next out of a page.
var byReset = regexp.MustCompile(`[A-Za-z0-9_-]{22}|data-(left|wait)="?\d+"?|\d\d[.:]\d\d([.:]\d\d)?|\(\d+[^)]*\)`)

// A password is reset from a new browser after a code, and the site never sees the request
// of whoever has none. The pages for a name that nobody has are the same, and no SMS goes out.
func TestAPasswordIsResetFromANewBrowserAfterACode(t *testing.T) {
	ways(t, func(t *testing.T, script bool, language string) {
		d := startDemo(t)
		b := d.tab(script, language)
		b.askReset("budi@example.com")
		first := byReset.ReplaceAllString(b.html(), "")
		b.shot("reset-first-" + language)
		b.press(useSMS)
		second := byReset.ReplaceAllString(b.html(), "")
		b.shot("reset-sms-" + language)
		b.wantNoNumber("+6281234567890")

		stranger := d.tab(script, language)
		stranger.askReset("nobody@example.com")
		if got := byReset.ReplaceAllString(stranger.html(), ""); got != first {
			t.Errorf("a name that nobody has gets\n%s\nwhere budi gets\n%s", got, first)
		}
		stranger.press(useSMS)
		if got := byReset.ReplaceAllString(stranger.html(), ""); got != second {
			t.Errorf("a name that nobody has gets\n%s\nwhere budi gets\n%s", got, second)
		}
		d.awaitMessages(1)
		stranger.code("000000")
		if stranger.url() != "/password/reset" || stranger.says(siteMails) {
			t.Fatalf("a stranger got to the site:\n%s", stranger.page())
		}

		b.code(d.code())
		b.wantText(siteMails)
		if n := len(d.messages()); n != 1 {
			t.Errorf("%d SMS went out, want one", n)
		}
	})
}

// From a browser that the account trusts the reset goes through, logged in or not; for
// another account it does not.
func TestAPasswordIsResetFromATrustedBrowser(t *testing.T) {
	chromium(t)
	d := startDemo(t)
	b := d.tab(true, "en")
	b.login("budi")
	b.askWithdrawal("100000")
	b.run(chromedp.Click(chromedp.CSS(`input[name="stepgate_trust"]`)))
	b.code(d.code())
	b.open("/")
	b.press(`form[action="/logout"] button`)
	b.askReset("budi@example.com")
	b.wantText(siteMails)
	b.askReset("sari@example.com")
	b.wantText(resetConfirms)
}

// says reports whether the page has a text.
func (b *tab) says(text string) bool { return strings.Contains(b.text(), text) }

// awaitMessages waits for SMS that are sent beside an answer.
func (d *demo) awaitMessages(n int) {
	d.t.Helper()
	for range 500 {
		if len(d.messages()) >= n {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	d.t.Fatalf("%d SMS went out, want %d", len(d.messages()), n)
}
