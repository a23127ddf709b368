package e2e

import (
	"fmt"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/stepgate/stepgate/examples/casino"
)

// houseCaddyfile takes the folder, the port, and the site's URL.
const houseCaddyfile = `{
	admin off
	persist_config off
	storage file_system %[1]s/storage
	storage_clean_interval off
	stepgate {
		store bolt %[1]s/stepgate.db
		brand "Kasino Melati" {
			color 0b6e4f
			languages id en
			time_zone Asia/Jakarta
		}
		sms {
			console
			limit number 1000 per 1h
			limit account 1000 per 1h
			limit address 1000 per 1h
			limit network 1000 per 1h
			limit block 1000 per 1h
		}
	}
}

http://localhost:%[2]s {
	bind 127.0.0.1
	step_up {
		identity upstream %[3]s/api/me {
			cookie casino_session
			subject json:id
			login json:username
			phone json:phone
		}
		settings /account/security
		login_page /login
		logout /logout
		new_device {
			except path /assets/* /favicon.ico
			unenrolled registered_phone
		}
		protect withdrawal {
			path /wallet/withdraw
			method POST
			single_use
			show amount {form.amount}
			unenrolled registered_phone
		}
	}
	reverse_proxy %[3]s
}
`

// house is a gateway whose players are known by their devices.
type house struct{ *demo }

func openHouse(t *testing.T) *house {
	t.Helper()
	site := casino.New(casino.Options{})
	back := httptest.NewServer(site)
	t.Cleanup(back.Close)
	dir := t.TempDir()
	h := &house{&demo{t: t, site: site, back: back, state: dir}}
	_, port, err := net.SplitHostPort(freeAddress(t))
	if err != nil {
		t.Fatal(err)
	}
	h.url = "http://localhost:" + port
	file := filepath.Join(dir, "Caddyfile")
	if err := os.WriteFile(file, fmt.Appendf(nil, houseCaddyfile, dir, port, back.URL), 0o600); err != nil {
		t.Fatal(err)
	}
	h.keepSecret()
	cmd := exec.Command(binary, "run", "--config", file, "--adapter", "caddyfile")
	cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_CONFIG_HOME=", "XDG_DATA_HOME=")
	h.launch(cmd, func(string) {})
	t.Cleanup(h.stop)
	h.awaitServing()
	return h
}

// printed returns the codes that the gateway has printed in the place of SMS.
func (h *house) printed() []string {
	var codes []string
	for line := range strings.Lines(h.output()) {
		if text, ok := strings.CutPrefix(line, "│ "); ok {
			if code := codeInText.FindString(text); code != "" {
				codes = append(codes, code)
			}
		}
	}
	return codes
}

func (h *house) lastCode() string {
	h.t.Helper()
	codes := h.printed()
	if len(codes) == 0 {
		h.t.Fatalf("no SMS was sent:\n%s", h.output())
	}
	return codes[len(codes)-1]
}

const newBrowser, newBrowserID = "Confirm this new browser", "Konfirmasi browser baru ini"

// challenged reports whether the page is the challenge for new devices.
func (b *tab) challenged() bool {
	text := b.text()
	return strings.Contains(text, newBrowser) || strings.Contains(text, newBrowserID)
}

func (b *tab) wantChallenged(want bool) {
	b.t.Helper()
	if got := b.challenged(); got != want {
		b.t.Fatalf("challenged: %v, want %v\n%s", got, want, b.page())
	}
}

// knows passes the challenge for new devices, and trusts the browser if asked to.
func (h *house) knows(b *tab, trust bool) {
	b.t.Helper()
	if trust {
		b.run(chromedp.Click(chromedp.CSS(`input[name="stepgate_trust"]`)))
	}
	b.code(h.lastCode())
}

// enrolled gives the player who is logged in, and known by the phone that the site has,
// SMS codes of their own: only a factor can trust a browser.
func (h *house) enrolled(b *tab) {
	b.t.Helper()
	b.open("/account/security")
	b.unfold()
	b.press(`form[action="` + securityPath + `/sms"]:has(input[type="hidden"]) button`)
	b.code(h.lastCode())
	b.keepKey()
}

func TestAPlayerIsKnownByTheBrowserThatIsTrusted(t *testing.T) {
	ways(t, func(t *testing.T, script bool, language string) {
		h := openHouse(t)
		first := h.tab(script, language)
		first.open("/") // visitors play on
		first.wantChallenged(false)
		first.login("budi")
		first.wantChallenged(true)
		first.shot("newdevice-first-" + language)
		h.knows(first, false) // by the phone that the site knows: nothing is trusted by that
		first.wantChallenged(false)
		h.enrolled(first)

		// Known in this session, by the factor that was just bound. In the next one the box is
		// there.
		first.open("/")
		first.wantChallenged(false)
		first.press(`form[action="/logout"] button`)
		first.login("budi")
		first.wantChallenged(true)
		sent := len(h.printed())
		first.open("/wallet")
		first.wantChallenged(true)
		if n := len(h.printed()); n != sent {
			t.Errorf("%d more SMS for another page", n-sent)
		}
		first.shot("newdevice-trust-" + language)
		h.knows(first, true)
		if got := first.url(); got != "/wallet" {
			t.Errorf("the player is led to %s, want the page that was asked for", got)
		}
		// Known from now on, also in the next session; and no factor.
		first.press(`form[action="/logout"] button`)
		first.login("budi")
		first.wantChallenged(false)
		first.askWithdrawal("100000")
		first.wantText("Rp100")
		h.wantWithdrawals("budi")

		// A second browser, a private window and cleared cookies are new devices.
		second := h.tab(script, language)
		second.login("budi")
		second.wantChallenged(true)
		h.knows(second, true)
		second.wantChallenged(false)
		private := h.tab(script, language)
		private.login("budi")
		private.wantChallenged(true)

		// Revoked on the first one, the second is new with its next click.
		first.open("/account/security")
		first.unfold()
		first.wantText("Chrome", "127.0.0.1")
		first.shot("newdevice-devices-" + language)
		devices := first.deviceForms()
		if devices != 2 {
			t.Fatalf("%d browsers are listed, want two\n%s", devices, first.text())
		}
		first.press(`form[action="` + securityPath + `/forget"]:not(:has(*[data-here])) button`)
		first.code(h.lastCode())
		_, _ = first, second
		known := 0
		for _, b := range []*tab{first, second} {
			b.open("/wallet")
			if !b.challenged() {
				known++
			}
		}
		if known != 1 {
			t.Errorf("%d of the two browsers are known after one was revoked", known)
		}
	})
}

// deviceForms counts the trusted browsers on the security page.
func (b *tab) deviceForms() int {
	return strings.Count(b.html(), `name="stepgate_device"`)
}

// Two players share a computer: each has their own trust, and who does not tick the box
// leaves none.
func TestTwoPlayersShareAComputer(t *testing.T) {
	chromium(t)
	h := openHouse(t)
	b := h.tab(true, "en")
	for i, player := range []string{"budi", "sari"} {
		b.login(player)
		b.wantChallenged(true)
		h.knows(b, false)
		h.enrolled(b)
		b.open("/")
		b.press(`form[action="/logout"] button`)
		b.login(player)
		h.knows(b, i == 0)
		b.wantChallenged(false)
		b.open("/")
		b.press(`form[action="/logout"] button`)
	}
	b.login("budi")
	b.wantChallenged(false)
	b.open("/")
	b.press(`form[action="/logout"] button`)
	b.login("sari")
	b.wantChallenged(true)
}

// A script of a page gets the challenge of the page.
func TestAScriptOnANewDeviceGetsTheChallengeOfThePage(t *testing.T) {
	chromium(t)
	h := openHouse(t)
	b := h.tab(true, "en")
	b.login("budi")
	b.wantChallenged(true)
	sent := len(h.printed())
	b.open("/assets/") // no page of the casino's has a script that asks; this is its origin
	got := b.read(chromedp.Evaluate[string](`new Promise(done => fetch('/api/me').then(r => r.json().then(j => done(r.status + ' ' + j.rule + ' ' + j.challenge.sms))))`,
		chromedp.EvalAwaitPromise))
	if got != "401 new_device sent" {
		t.Errorf("fetch got %q", got)
	}
	if n := len(h.printed()); n != sent {
		t.Errorf("%d more SMS for a script", n-sent)
	}
}
