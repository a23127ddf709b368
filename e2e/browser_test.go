package e2e

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// chromium returns a browser's path. Without one the test is skipped, or fails
// where CI has to have one.
func chromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("no Chromium: install it (Debian: apt-get install chromium)")
	}
	t.Skip("no Chromium: install it (Debian: apt-get install chromium)")
	return ""
}

// tab is one browser with one tab, as a player has it: a phone's screen, a
// language, with or without JavaScript.
type tab struct {
	t   *testing.T
	d   *demo
	ctx context.Context
}

func (d *demo) tab(script bool, language string) *tab {
	d.t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(chromium(d.t)), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-sync", true),
		chromedp.Flag("accept-lang", language), chromedp.Flag("lang", language),
		chromedp.WindowSize(390, 844))
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
	d.t.Cleanup(stop)
	ctx, end := chromedp.NewContext(allocator)
	d.t.Cleanup(end)
	// The browser lives as long as the context of its first action.
	if _, err := chromedp.Call(ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: !script}); err != nil {
		d.t.Fatalf("starting the browser: %v", err)
	}
	limited, cancel := context.WithTimeout(ctx, 2*time.Minute)
	d.t.Cleanup(cancel)
	b := &tab{d.t, d, limited}
	d.t.Cleanup(b.hideCookies)
	b.run(chromedp.EmulateViewport(390, 844))
	return b
}

func (b *tab) run(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, steps...); err != nil {
		b.t.Fatalf("%v\n%s", err, b.page())
	}
}

func (b *tab) open(path string) {
	b.t.Helper()
	b.run(chromedp.Navigate(b.d.url + path))
}

// fill types into the field of a name.
func (b *tab) fill(name, value string) {
	b.t.Helper()
	b.run(chromedp.SendKeys(chromedp.CSS(fmt.Sprintf(`input[name=%q]`, name)), value))
}

// press clicks the button or link and waits for the page that follows.
func (b *tab) press(selector string) {
	b.t.Helper()
	if _, err := chromedp.RunResponse(b.ctx, chromedp.Click(chromedp.CSS(selector))); err != nil {
		b.t.Fatalf("pressing %s: %v\n%s", selector, err, b.page())
	}
}

func (b *tab) url() string {
	u, err := chromedp.Run(b.ctx, chromedp.Location())
	if err != nil {
		return err.Error()
	}
	return strings.TrimPrefix(u, b.d.url)
}

// html returns the page as the browser has it.
func (b *tab) html() string {
	return b.read(chromedp.OuterHTML(chromedp.CSS("html")))
}

// read returns what an action reads off the page. A page that is just being replaced
// cannot be read, so it is read until it can.
func (b *tab) read(action chromedp.Action[string]) string {
	for {
		text, err := chromedp.Run(b.ctx, action)
		if err == nil {
			return text
		}
		if b.ctx.Err() != nil {
			return err.Error()
		}
	}
}

// page describes the page for a failure's text: what follows its style.
func (b *tab) page() string {
	_, body, _ := strings.Cut(b.html(), "<body")
	return "at " + b.url() + ":\n" + body[:min(len(body), 4000)]
}

// text returns what the player reads. A space is a space, whether a line may break
// there or not.
func (b *tab) text() string {
	b.t.Helper()
	return strings.ReplaceAll(b.read(chromedp.Text(chromedp.CSS("body"))), "\u00a0", " ")
}

func (b *tab) wantText(parts ...string) {
	b.t.Helper()
	text := b.text()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			b.t.Fatalf("the page at %s does not say %q:\n%s", b.url(), p, text)
		}
	}
}

// shot writes a picture of the page where STEPGATE_SHOTS=1 asks for it.
func (b *tab) shot(name string) {
	b.t.Helper()
	if os.Getenv("STEPGATE_SHOTS") != "1" {
		return
	}
	picture, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
	if err != nil {
		b.t.Fatal(err)
	}
	if err := os.MkdirAll("shots", 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join("shots", name+".png"), picture, 0o644); err != nil {
		b.t.Fatal(err)
	}
}

func (b *tab) login(player string) {
	b.t.Helper()
	b.open("/login")
	b.fill("username", player)
	b.fill("password", "rahasia")
	b.press(`form[action="/login"] button`)
}

// askWithdrawal fills in the site's own form.
func (b *tab) askWithdrawal(amount string) {
	b.t.Helper()
	b.open("/wallet")
	b.fill("amount", amount) // the account is filled in already
	b.press(`form[action="/wallet/withdraw"] button`)
}

// submit is the challenge page's primary button.
const submit = `button[name="stepgate_action"][value="answer"]`

func (b *tab) code(code string) {
	b.t.Helper()
	b.fill("stepgate_code", code)
	b.press(submit)
}

// ways runs a test with JavaScript in English and without it in Indonesian.
func ways(t *testing.T, test func(t *testing.T, script bool, language string)) {
	chromium(t)
	t.Run("with JavaScript", func(t *testing.T) { test(t, true, "en") })
	t.Run("without JavaScript", func(t *testing.T) { test(t, false, "id") })
}

func amountIn(language string) string {
	if language == "en" {
		return "Rp2,500,000"
	}
	return "Rp2.500.000"
}

func TestBudiWithdrawsWithAnSMSCode(t *testing.T) {
	ways(t, func(t *testing.T, script bool, language string) {
		d := startDemo(t)
		b := d.tab(script, language)
		b.login("budi")
		b.askWithdrawal("2500000")
		if got := b.url(); got != "/wallet/withdraw" {
			t.Errorf("the challenge stands at %s, want the request's own URL", got)
		}
		b.wantText(amountIn(language), "BCA 1234567890", "7890")
		b.shot("budi-challenge-" + language)
		d.wantWithdrawals("budi")

		wrong := "000000"
		if d.code() == wrong {
			wrong = "111111"
		}
		b.code(wrong)
		b.wantText(amountIn(language), "4")
		b.shot("budi-wrong-" + language)
		// As the phone shows it, with a space.
		b.code(d.code()[:3] + " " + d.code()[3:])
		if got := b.url(); got != "/wallet" {
			t.Errorf("after the code the player is at %s, want the wallet", got)
		}
		b.shot("budi-done-" + language)
		d.wantWithdrawals("budi", 2_500_000)
		// Back: the browser asks before it sends a form again, and the form that it
		// has is used up.
		_ = chromedp.Do(b.ctx, chromedp.NavigateBack())
		d.wantWithdrawals("budi", 2_500_000)
	})
}

func TestSariWithdrawsWithAnAuthenticatorAndSwitchesOff(t *testing.T) {
	ways(t, func(t *testing.T, script bool, language string) {
		d := startDemo(t)
		codes := &totpCodes{t: t, secret: d.sariSecret()}
		b := d.tab(script, language)
		b.login("sari")
		b.askWithdrawal("2500000")
		b.wantText(amountIn(language))
		b.shot("sari-challenge-" + language)
		b.code(codes.next())
		d.wantWithdrawals("sari", 2_500_000)
		if n := len(d.messages()); n != 0 {
			t.Errorf("%d SMS were sent to somebody with an authenticator", n)
		}

		b.open("/account/security")
		b.shot("sari-settings-" + language)
		b.run(chromedp.Click(chromedp.CSS(`details.off summary`)))
		b.press(`form[action="/.stepgate/security/off"] button`)
		b.shot("sari-off-" + language)
		b.code(codes.next())
		if got := b.url(); !strings.HasPrefix(got, "/account/security") {
			t.Errorf("after switching off the player is at %s", got)
		}
		b.shot("sari-off-done-" + language)
	})
}

func TestAgusIsAskedOnHisRegisteredPhoneAndSetsUpAnAuthenticator(t *testing.T) {
	ways(t, func(t *testing.T, script bool, language string) {
		d := startDemo(t)
		b := d.tab(script, language)
		b.login("agus")
		b.askWithdrawal("2500000")
		b.code(d.code())
		d.wantWithdrawals("agus", 2_500_000)

		b.open("/account/security")
		b.shot("agus-settings-" + language)
		b.press(`form[action="/.stepgate/security/totp"] button`)
		b.wantText("2333")
		b.code(d.code())
		b.shot("agus-totp-" + language)
		codes := b.confirmAuthenticator()
		b.shot("agus-recovery-" + language)
		b.keepKey()
		b.shot("agus-enrolled-" + language)

		b.askWithdrawal("100000")
		b.code(codes.next())
		d.wantWithdrawals("agus", 2_500_000, 100_000)
	})
}

func TestDewiSetsUpAnAuthenticatorAndWaits(t *testing.T) {
	ways(t, func(t *testing.T, script bool, language string) {
		d := startDemo(t)
		b := d.tab(script, language)
		b.login("dewi")
		b.askWithdrawal("2500000")
		b.shot("dewi-enrol-" + language)
		d.wantWithdrawals("dewi")
		b.press(`a[href="/account/security"]`)
		b.press(`form[action="/.stepgate/security/totp"] button`)
		b.confirmAuthenticator()
		b.keepKey()
		b.shot("dewi-enrolled-" + language)
		// I6: nothing but the session spoke for her, so her money stays for a while.
		b.askWithdrawal("2500000")
		b.shot("dewi-held-" + language)
		d.wantWithdrawals("dewi")
	})
}

var (
	keyText = regexp.MustCompile(`secret=([A-Z2-7]+)`)
	// recoveryKey is as the page shows it.
	recoveryKey = regexp.MustCompile(`<bdi>([A-Z2-7]{4}(?:-[A-Z2-7]{2,4}){6})</bdi>`)
	qrPicture   = regexp.MustCompile(`data:image/png;base64,([A-Za-z0-9+/=]+)`)
)

// confirmAuthenticator reads the key off the set-up page, as a player's
// authenticator does, and confirms it.
func (b *tab) confirmAuthenticator() *totpCodes {
	b.t.Helper()
	html := b.html()
	m := keyText.FindStringSubmatch(html)
	if m == nil {
		b.t.Fatalf("no key on the page at %s:\n%s", b.url(), html)
	}
	qr := qrPicture.FindStringSubmatch(html)
	if qr == nil {
		b.t.Fatal("no QR code on the page")
	}
	if _, err := base64.StdEncoding.DecodeString(qr[1]); err != nil {
		b.t.Errorf("the QR code does not decode: %v", err)
	}
	codes := &totpCodes{t: b.t, secret: m[1]}
	b.fill("stepgate_code", codes.next())
	b.press(`form[action="/.stepgate/security/totp/confirm"] button:not([formaction])`)
	return codes
}

// keepKey says that the recovery key on the page is saved, and returns it.
func (b *tab) keepKey() string {
	b.t.Helper()
	m := recoveryKey.FindStringSubmatch(b.html())
	if m == nil {
		b.t.Fatalf("no recovery key on the page %s", b.page())
	}
	b.run(chromedp.Click(chromedp.CSS(`input[type="checkbox"][required]`)))
	b.press(`main form button.go`)
	b.d.secrets.Add("a recovery key", m[1])
	return m[1]
}

func TestANavigationByAStrangerMeetsTheLoginPage(t *testing.T) {
	d := startDemo(t)
	a := d.client().form("/wallet/withdraw", "amount", "1", "account", "x")
	if a.status != http.StatusSeeOther || a.header.Get("Location") != "/login" {
		t.Errorf("answer %d to %q, want the login page", a.status, a.header.Get("Location"))
	}
	d.wantWithdrawals("budi")
}
