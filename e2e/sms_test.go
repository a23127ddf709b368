package e2e

import (
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/stepgate/stepgate/sms/vonage/vonagetest"
)

// said is what a page says to a player, in both languages.
type said struct{ late, wait, undelivered, resend, notSent, support, key string }

var says = map[string]said{
	"id": {
		late: "Kode belum masuk?", wait: "Tunggu sebentar", undelivered: "Menurut operator, SMS tadi tidak masuk ke HP Anda.", resend: "Kirim ulang kode",
		notSent: "SMS belum bisa dikirim.", support: "Hubungi bantuan", key: "Gunakan kunci pemulihan",
	},
	"en": {
		late: "No code yet?", wait: "Wait a little", undelivered: "The mobile network reports that the SMS did not get through.", resend: "Resend the code",
		notSent: "The SMS could not be sent.", support: "Get help", key: "Use your recovery key",
	},
}

const resend = `button[name="stepgate_action"][value="send"]`

// enabled reports whether the button for another SMS can be pressed.
func (b *tab) enabled(selector string) bool {
	b.t.Helper()
	ok, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool](`!!document.querySelector('`+selector+`') && !document.querySelector('`+selector+`').disabled`))
	if err != nil {
		b.t.Fatalf("%v\n%s", err, b.page())
	}
	return ok
}

// wantNoNumber wants a page that shows no more of a number than its last digits.
func (b *tab) wantNoNumber(e164 string) {
	b.t.Helper()
	html := b.html()
	for _, written := range []string{e164[1:], "0" + e164[3:], e164[3:]} {
		if strings.Contains(html, written) {
			b.t.Errorf("the page at %s shows the number in full", b.url())
		}
	}
}

// A code that does not come: the player sees which phone it went to and what to do, can
// ask for another one once the network has given up, and gets it another way.
func TestACodeThatDoesNotComeIsSentAnotherWay(t *testing.T) {
	ways(t, func(t *testing.T, script bool, language string) {
		s, says := openShop(t), says[language]
		b := s.tab(script, language)
		b.login("budi")
		b.askWithdrawal("2500000")
		b.wantText(amountIn(language), "+62 ••• •••• 7890", says.late, says.resend)
		b.wantNoNumber("+6281234567890")
		if script == b.enabled(resend) {
			t.Errorf("another SMS can be asked for at once: %v", !script)
		}
		if script {
			b.wantText(" s") // the seconds to go
		}
		b.shot("sms-sent-" + language)
		b.run(chromedp.Click(chromedp.CSS(`.ways details summary`)))
		b.wantText(says.wait)
		b.shot("sms-late-" + language)

		first := s.texted()
		if strings.Contains(first.Text, "@"+shopHost) {
			t.Errorf("an SMS to Indonesia names the site: %q", first.Text)
		}
		failed := vonagetest.Report{Status: "rejected", Code: "1320"}
		if status, err := s.vonage.Report(t.Context(), s.vonage.Outbox()[0], failed); err != nil || status != http.StatusOK {
			t.Fatalf("the receipt is answered %d, %v", status, err)
		}
		b.reload()
		b.wantText(says.undelivered, says.resend)
		if !b.enabled(resend) {
			t.Error("after a receipt that it failed another SMS cannot be asked for at once")
		}
		b.shot("sms-undelivered-" + language)
		b.press(resend)
		again := s.backup.messages()
		if len(again) != 1 || again[0].Code != first.Code || len(s.vonage.Outbox()) != 1 {
			t.Fatalf("Vonage sent %d and the backup %d messages, want one each with the same code", len(s.vonage.Outbox()), len(again))
		}
		b.shot("sms-resent-" + language)
		s.wantWithdrawals("budi")
		b.code(again[0].Code)
		s.wantWithdrawals("budi", 2_500_000)
	})
}

// I11: the page offers what is left, and does not say what is broken.
func TestWithAllProvidersDownThePageOffersAnotherWay(t *testing.T) {
	ways(t, func(t *testing.T, script bool, language string) {
		s, says := openShop(t), says[language]
		s.vonage.Refuse()
		s.backup.down.Store(true)
		b := s.tab(script, language)
		b.login("agus")
		b.askWithdrawal("2500000")
		b.wantText(says.notSent, says.support, "+62 ••• •••• 2333")
		b.wantNoWhy()
		b.shot("sms-down-" + language)

		if script {
			return // what follows has no script of its own
		}
		// Who has a recovery key has another way.
		s.vonage.Accept()
		b.open("/account/security")
		b.unfold()
		b.press(`form[action="` + securityPath + `/sms"]:has(input[type="hidden"]) button`)
		b.code(s.texted().Code)
		key := b.keepKey()
		s.vonage.Refuse()
		b.askWithdrawal("2500000")
		b.wantText(says.notSent, says.key)
		b.wantNoWhy()
		b.shot("sms-down-other-" + language)
		b.useKey(key)
		b.keepKey()
		s.wantWithdrawals("agus", 2_500_000)
	})
}

// wantNoWhy wants a page that names no provider, budget or limit.
func (b *tab) wantNoWhy() {
	b.t.Helper()
	text := strings.ToLower(b.text())
	for _, why := range []string{"vonage", "backup", "provider", "budget", "limit", "anggaran", "batas"} {
		if strings.Contains(text, why) {
			b.t.Errorf("the page says %q:\n%s", why, text)
		}
	}
}

// A code for a number abroad is bound to the site: a browser fills it in nowhere else.
func TestACodeForANumberAbroadNamesTheSite(t *testing.T) {
	s := openShop(t)
	b := s.tab(true, "en")
	b.login("dewi")
	if a := s.login("dewi").form("/account/phone", "phone", "+6591234567"); a.status != http.StatusSeeOther {
		t.Fatalf("changing the number at the site: %d", a.status)
	}
	b.askWithdrawal("2500000")
	b.wantText("+65 ••• •••• 4567")
	b.wantNoNumber("+6591234567")
	b.shot("sms-abroad")
	m := s.texted()
	if lines := strings.Split(m.Text, "\n"); m.To != "+6591234567" || lines[len(lines)-1] != "@"+shopHost+" #"+m.Code || lines[len(lines)-2] != "" {
		t.Errorf("the SMS says %q, want the site in its last line", m.Text)
	}
	b.code(m.Code)
	s.wantWithdrawals("dewi", 2_500_000)
}

// reload loads the page again, as a player does who waits.
func (b *tab) reload() {
	b.t.Helper()
	if _, err := chromedp.RunResponse(b.ctx, chromedp.Reload()); err != nil {
		b.t.Fatalf("%v\n%s", err, b.page())
	}
}
