package e2e

import (
	"net/http"
	"strings"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// keepSecret begins with the numbers that the site knows. The rest is added as it comes
// up in messages, answers and pages.
func (d *demo) keepSecret() {
	for _, number := range []string{"+6281234567890", "+6281298765432", "+628111222333"} {
		d.secrets.AddNumber("a player's number", number)
	}
}

func (d *demo) hideCookies(cookies []*http.Cookie) {
	for _, c := range cookies {
		d.secrets.Add("the cookie "+c.Name, c.Value)
	}
}

// hideCookies makes the cookies secret that the browser has in the end.
func (b *tab) hideCookies() {
	got, err := chromedp.Call(b.ctx, network.GetCookies, network.GetCookiesParams{})
	if err != nil {
		return // the browser was closed by the test
	}
	for _, c := range got.Cookies {
		b.d.secrets.Add("the cookie "+c.Name, c.Value)
	}
}

// checkOutput fails the test if the process has printed a secret (invariant I8), but for
// the messages that the demo is there to show.
func (d *demo) checkOutput() {
	var rest strings.Builder
	for line := range strings.Lines(d.output()) {
		if !strings.HasPrefix(line, "┌─ SMS to ") && !strings.HasPrefix(line, "│ ") {
			rest.WriteString(line)
		}
	}
	d.secrets.Check(d.t, "what the demo prints", rest.String())
}
