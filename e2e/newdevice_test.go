package e2e

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"github.com/stepgate/stepgate/examples/casino"
)

// houseCaddyfile takes the folder, the port, the site's URL, and the SMS provider's.
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
			provider backup webhook {
				url %[4]s/send
				body form
				field to {to}
				field text {text}
			}
			mode report # all players are at one address here
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
			except path /assets/*
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

// house is a gateway whose players are known by their devices, and one Chromium in which
// each device is a browser context: it shares no cookie with another.
type house struct {
	*demo
	phones  *backup
	browser context.Context
	players int
}

func openHouse(t *testing.T) *house {
	t.Helper()
	site := casino.New(casino.Options{Crowd: demoCrowd})
	back := httptest.NewServer(site)
	t.Cleanup(back.Close)
	h := &house{demo: &demo{t: t, site: site, back: back, state: t.TempDir()}, phones: new(backup)}
	h.browser = h.tab(true, "en").ctx
	h.phones.server = httptest.NewServer(h.phones)
	t.Cleanup(h.phones.server.Close)
	_, port, err := net.SplitHostPort(freeAddress(t))
	if err != nil {
		t.Fatal(err)
	}
	h.url = "http://localhost:" + port
	file := filepath.Join(h.state, "Caddyfile")
	if err := os.WriteFile(file, fmt.Appendf(nil, houseCaddyfile, h.state, port, back.URL, h.phones.server.URL), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, "run", "--config", file, "--adapter", "caddyfile")
	cmd.Env = append(os.Environ(), "HOME="+h.state, "XDG_CONFIG_HOME=", "XDG_DATA_HOME=")
	h.launch(cmd, func(string) {})
	t.Cleanup(func() { h.stop(); h.checkPrinted() })
	h.awaitServing()
	return h
}

// checkPrinted fails the test if the gateway has printed a secret (invariant I8).
func (h *house) checkPrinted() {
	for _, m := range h.phones.messages() {
		h.secrets.AddNumber("a number", m.To)
		h.secrets.AddCode("a code", m.Code)
		h.secrets.Add("the text of an SMS", m.Text)
	}
	h.secrets.Check(h.t, "what the gateway prints", h.output())
}

// device is a browser without any cookie.
func (h *house) device(script bool, language string) *tab {
	h.t.Helper()
	ctx, end := chromedp.NewContext(h.browser, chromedp.WithNewBrowserContext())
	h.t.Cleanup(end)
	limited, cancel := context.WithTimeout(ctx, time.Minute)
	h.t.Cleanup(cancel)
	b := &tab{h.t, h.demo, limited}
	if _, err := chromedp.Call(b.ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: !script}); err != nil {
		h.t.Fatalf("opening a browser: %v", err)
	}
	h.t.Cleanup(b.hideCookies)
	b.claim(linuxChrome, language)
	return b
}

const (
	linuxChrome    = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
	androidFirefox = "Mozilla/5.0 (Android 14; Mobile; rv:140.0) Gecko/140.0 Firefox/140.0"
)

// claim makes it a browser of another kind, as its own requests say.
func (b *tab) claim(agent, language string) {
	b.t.Helper()
	if _, err := chromedp.Call(b.ctx, emulation.SetUserAgentOverride, emulation.SetUserAgentOverrideParams{UserAgent: agent, AcceptLanguage: language}); err != nil {
		b.t.Fatal(err)
	}
	b.run(chromedp.EmulateViewport(390, 844))
}

// narrow gives it the smallest screen there is.
func (b *tab) narrow() {
	b.t.Helper()
	b.run(chromedp.EmulateViewport(320, 640))
}

func (b *tab) wantNoSideways() {
	b.t.Helper()
	if wide, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool](`document.documentElement.scrollWidth > innerWidth`)); err != nil || wide {
		b.t.Errorf("the page at %s is wider than the screen (%v)", b.url(), err)
	}
}

// enrolled returns a player of a test's own who has SMS codes, and the phone. Its device
// is not the test's.
func (h *house) enrolled() (player, phone string) {
	h.t.Helper()
	h.players++
	player, phone = fmt.Sprintf("p%03d", h.players), fmt.Sprintf("+62812350%05d", h.players)
	c := h.login(player)
	prove := func(path string, page answer) answer {
		return c.form(path, "stepgate_challenge", page.want(h.t, http.StatusUnauthorized).challengeIn(h.t),
			"stepgate_action", "answer", "stepgate_factor", "sms", "stepgate_code", h.last(phone))
	}
	prove("/", c.do("GET", "/", "", nil, "Accept", "text/html")).want(h.t, http.StatusSeeOther)
	prove(securityPath+"/sms", c.form(securityPath+"/sms", "stepgate_phone", "")).want(h.t, http.StatusOK)
	return player, phone
}

// texts returns what went to a phone.
func (h *house) texts(phone string) []message {
	var all []message
	for _, m := range h.phones.messages() {
		if m.To == phone {
			all = append(all, m)
		}
	}
	return all
}

// last returns the newest code that went to a phone.
func (h *house) last(phone string) string {
	h.t.Helper()
	all := h.texts(phone)
	if len(all) == 0 {
		h.t.Fatalf("no SMS went to %s", phone)
	}
	return all[len(all)-1].Code
}

// oneSMS wants a step to send one code to a phone. Each costs money.
func (h *house) oneSMS(phone string, step func()) {
	h.t.Helper()
	before := len(h.texts(phone))
	step()
	if n := len(h.texts(phone)) - before; n != 1 {
		h.t.Fatalf("%d SMS were sent, want one", n)
	}
}

const trustBox = `input[name="stepgate_trust"]`

// confirm passes the challenge for new devices.
func (h *house) confirm(b *tab, phone string, trust bool) {
	b.t.Helper()
	b.wantNew()
	if trust {
		b.run(chromedp.Click(chromedp.CSS(trustBox)))
	}
	b.code(h.last(phone))
	b.wantKnown()
}

// isNew reports whether the page is the challenge for new devices.
func (b *tab) isNew() bool {
	text := b.text()
	return strings.Contains(text, "Confirm this new browser") || strings.Contains(text, "Konfirmasi browser baru ini")
}

func (b *tab) wantNew() {
	b.t.Helper()
	if !b.isNew() {
		b.t.Fatalf("the browser is not challenged as a new one %s", b.page())
	}
}

// wantKnown wants a page of the site, or of the player's own security.
func (b *tab) wantKnown() {
	b.t.Helper()
	if strings.Contains(b.html(), `name="stepgate_challenge"`) {
		b.t.Fatalf("there is a challenge %s", b.page())
	}
}

func (b *tab) logout() {
	b.t.Helper()
	b.open("/")
	b.press(`form[action="/logout"] button`)
	if got := b.url(); got != "/login" {
		b.t.Fatalf("after the logout the player is at %s", got)
	}
}

func TestNewDevices(t *testing.T) {
	chromium(t)
	h := openHouse(t)
	part := func(name string, test func(*house)) {
		t.Run(name, func(t *testing.T) {
			whole := h.t
			h.t = t
			defer func() { h.t = whole }()
			test(h)
		})
	}
	part("a new browser is asked once", func(h *house) { h.newBrowser(true, "en") })
	part("a new browser is asked once, in Indonesian and without JavaScript", func(h *house) { h.newBrowser(false, "id") })
	part("cleared cookies, a private window and another browser are new", (*house).clearedCookies)
	part("a browser that is revoked on another is new with its next click", func(h *house) { h.revoked(true, "en") })
	part("a browser is revoked in Indonesian and without JavaScript", func(h *house) { h.revoked(false, "id") })
	part("two players share a computer", (*house).sharedComputer)
	part("a page's scripts get the page's challenge", (*house).scripts)
	part("a player without a factor is asked on the site's phone", (*house).withoutFactor)
}

func (h *house) newBrowser(script bool, language string) {
	player, phone := h.enrolled()
	b := h.device(script, language)
	b.open("/") // visitors play on
	b.wantKnown()
	box := "Trust this browser for 30 days"
	if language == "id" {
		box = "Percayai browser ini selama 30 hari"
		b.narrow()
	}
	h.oneSMS(phone, func() {
		b.login(player)
		b.wantNew()
		if got := b.url(); got != "/" {
			h.t.Errorf("the challenge stands at %s, want the page that the login leads to", got)
		}
		b.wantText(box)
		b.wantNoSideways()
		b.shot("newdevice-" + language)
		b.open("/assets/logo.svg") // what the site's pages are made of
		if kind, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](`document.contentType`)); err != nil || kind != "image/svg+xml" {
			h.t.Errorf("a picture of the site is %q (%v)", kind, err)
		}
		b.open("/wallet")
	})
	h.confirm(b, phone, true)
	if got := b.url(); got != "/wallet" {
		h.t.Errorf("the player is led to %s, want the page that was asked for", got)
	}
	whole, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool](`document.styleSheets[0].cssRules.length > 0 && document.images[0].naturalWidth > 0`))
	if err != nil || !whole {
		h.t.Errorf("the page that was asked for lacks its style or its picture (%v)", err)
	}
	b.press(`a[href="/account"]`)
	b.wantKnown()
	h.oneSMS(phone, func() { b.askWithdrawal("100000") }) // trust is no factor
	if b.isNew() {
		h.t.Error("a known browser is called new")
	}
	b.wantText("Rp100")
	h.wantWithdrawals(player)
	b.logout()
	b.login(player)
	b.wantKnown()
}

func (h *house) clearedCookies() {
	player, phone := h.enrolled()
	b := h.device(true, "en")
	b.login(player)
	h.confirm(b, phone, true)
	for _, trust := range []bool{false, true} { // a private window, another browser
		other := h.device(true, "en")
		other.login(player)
		h.confirm(other, phone, trust)
		other.logout()
		other.login(player)
		if other.isNew() == trust {
			h.t.Errorf("trusted: %v, and new in the next session: %v", trust, !trust)
		}
	}
	if _, err := chromedp.Call(b.ctx, network.ClearBrowserCookies, cdp.Empty{}); err != nil {
		h.t.Fatal(err)
	}
	b.login(player)
	b.wantNew()
}

func (h *house) revoked(script bool, language string) {
	player, phone := h.enrolled()
	first, second := h.device(script, language), h.device(script, language)
	second.claim(androidFirefox, language)
	for _, b := range []*tab{first, second} {
		b.login(player)
		h.confirm(b, phone, true)
	}
	// The pass that the second one has is as good as trust, until now.
	second.press(`a[href="/wallet"]`)
	second.wantKnown()

	if language == "id" {
		first.narrow()
	}
	first.open("/account/security")
	if language == "id" {
		first.wantText("Chrome di Linux browser ini", "Firefox di Android", "IP 127.0.0.1", "masuk tanpa kode")
	} else {
		first.wantText("Chrome on Linux this browser", "Firefox on Android", "IP 127.0.0.1", "need no code to log in")
	}
	first.wantNoSideways()
	first.shot("newdevice-list-" + language)
	const forget = `form[action="` + securityPath + `/forget"]`
	first.press(`li:not(:has(.tag)) ` + forget + ` button`)
	first.wantText("Firefox") // what the code is for
	first.shot("newdevice-revoke-" + language)
	second.press(`a[href="/account"]`) // nothing is revoked without a code
	second.wantKnown()
	first.code(h.last(phone))
	first.open("/account/security")
	first.wantKnown()
	if n := strings.Count(first.html(), `name="stepgate_device"`); n != 1 {
		h.t.Errorf("%d browsers are listed after one was removed of two", n)
	}

	second.press(`a[href="/wallet"]`)
	second.wantNew()
	second.open("/account/security") // open, for players without a factor, but not about others
	if strings.Contains(second.text(), "127.0.0.1") {
		h.t.Errorf("a new browser is told from where the player comes %s", second.page())
	}
	first.open("/wallet")
	first.wantKnown()
}

func (h *house) sharedComputer() {
	type person struct{ name, phone string }
	var people [2]person
	b := h.device(true, "en")
	for i := range people {
		people[i].name, people[i].phone = h.enrolled()
	}
	for _, trust := range []bool{false, true} {
		for _, p := range people { // asked in each session until they tick the box
			b.login(p.name)
			h.confirm(b, p.phone, trust)
			b.logout()
		}
	}
	for _, p := range people {
		b.login(p.name)
		b.wantKnown()
		b.wantText("Main", "Keluar")
		b.logout()
	}
}

func (h *house) scripts() {
	player, phone := h.enrolled()
	b := h.device(true, "en")
	b.open("/login") // the page stays while its script logs in
	ask := func(script string) string {
		h.t.Helper()
		got, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](`(async () => { `+script+` })()`, chromedp.EvalAwaitPromise))
		if err != nil {
			h.t.Fatalf("%s: %v", script, err)
		}
		return got
	}
	const tell = `[r.status, j.rule, j.challenge.sms, j.challenge.id].join(' ')`
	var id string
	h.oneSMS(phone, func() {
		said := ask(fmt.Sprintf(`const r = await fetch('/login', {method: 'POST', body: new URLSearchParams({username: '%s', password: 'rahasia'})}), j = await r.json(); return %s`, player, tell))
		var ok bool
		if id, ok = strings.CutPrefix(said, "401 new_device sent "); !ok {
			h.t.Fatalf("the script that logs in gets %q", said)
		}
		if got := ask(`const r = await fetch('/api/me'), j = await r.json(); return ` + tell); got != said {
			h.t.Errorf("fetch gets %q, want %q", got, said)
		}
		got := ask(`return await new Promise(done => { const r = new XMLHttpRequest(); r.open('GET', '/api/me');
			r.onload = () => { const j = JSON.parse(r.responseText); done(` + tell + `) }; r.send() })`)
		if got != said {
			h.t.Errorf("XMLHttpRequest gets %q, want %q", got, said)
		}
	})
	// The script may answer for itself.
	if got := ask(fmt.Sprintf(`const r = await fetch('/.stepgate/challenges/%s', {method: 'POST', headers: {'Content-Type': 'application/json'},
		body: JSON.stringify({factor: 'sms', code: '%s'})}); return r.status + ' ' + (await fetch('/api/me')).status`, id, h.last(phone))); got != "200 200" {
		h.t.Errorf("the answer and what follows get %s", got)
	}
	b.open("/wallet")
	b.wantKnown()
}

// What the site's phone confirms is a session, not a browser: only a factor of the
// player's own can trust one.
func (h *house) withoutFactor() {
	const phone = "+628111222333"
	b := h.device(true, "en")
	b.login("agus")
	b.wantNew()
	if strings.Contains(b.html(), "stepgate_trust") {
		h.t.Error("a browser can be trusted by the site's phone alone")
	}
	h.confirm(b, phone, false)
	b.open("/account/security")
	b.unfold()
	b.press(`form[action="` + securityPath + `/sms"]:has(input[type="hidden"]) button`)
	b.code(h.last(phone))
	b.keepKey()
	b.open("/")
	b.wantKnown() // by the factor that was bound just now
	b.logout()
	b.login("agus")
	h.confirm(b, phone, true)
}
