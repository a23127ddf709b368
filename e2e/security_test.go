package e2e

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

const securityPath = "/.stepgate/security"

// act presses the button of a form of the security page, wherever it is folded away.
func (b *tab) act(action string) {
	b.t.Helper()
	b.open("/account/security")
	b.unfold()
	b.press(`form[action="` + securityPath + action + `"] button`)
}

// unfold opens what the page keeps folded.
func (b *tab) unfold() {
	b.t.Helper()
	b.run(chromedp.Evaluate[chromedp.Void](`document.querySelectorAll('details').forEach(d => d.open = true)`))
}

// newNumber asks for SMS codes to another number.
func (b *tab) newNumber(number string) {
	b.t.Helper()
	b.open("/account/security")
	b.unfold()
	b.run(chromedp.SendKeys(chromedp.CSS(`input[type="tel"]`), number))
	b.press(`form[action="` + securityPath + `/sms"]:has(input[type="tel"]) button`)
}

// confirmNumber enters the code that went to the number that is being set up.
func (b *tab) confirmNumber() {
	b.t.Helper()
	b.fill("stepgate_code", b.d.code())
	b.press(`form[action="` + securityPath + `/sms/confirm"] button`)
}

// useKey answers a challenge by the recovery key.
func (b *tab) useKey(key string) {
	b.t.Helper()
	b.press(`form:has(input[value="recovery_key"]) button`)
	b.code(key)
}

// registers gives agus SMS codes on the phone that the site knows, and returns his
// recovery key.
func (b *tab) registers() string {
	b.t.Helper()
	b.login("agus")
	b.open("/account/security")
	b.unfold()
	b.wantText("2333")
	b.press(`form[action="` + securityPath + `/sms"]:has(input[type="hidden"]) button`)
	b.wantText("2333")
	b.code(b.d.code())
	return b.keepKey()
}

// R3, R29: the current factor first, then the new one, and the old one ends.
func TestAPlayerSwitchesFromSMSToTheAppAndBack(t *testing.T) {
	ways(t, func(t *testing.T, script bool, language string) {
		d := startDemo(t)
		b := d.tab(script, language)
		b.registers()
		b.shot("security-sms-" + language)

		b.act("/totp")
		b.code(d.code())
		b.shot("security-totp-setup-" + language)
		codes := b.confirmAuthenticator()
		if got := b.url(); got != "/account/security?notice=totp_bound" {
			t.Errorf("after the switch the player is at %s", got)
		}
		b.shot("security-totp-" + language)
		sent := len(d.messages())
		b.askWithdrawal("100000")
		b.code(codes.next())
		d.wantWithdrawals("agus", 100_000)
		if n := len(d.messages()); n != sent {
			t.Errorf("%d messages were sent after SMS codes ended", n-sent)
		}

		b.newNumber("0811 1222 333")
		b.code(codes.next())
		b.confirmNumber()
		b.wantText("2333")
		b.askWithdrawal("200000")
		b.code(d.code())
		d.wantWithdrawals("agus", 100_000, 200_000)
	})
}

// R2, R19, R57, R62: the current factor, a code to the new number, a notice to the old
// one; and the way back for whoever did not do it, without a session.
func TestANewNumberIsToldToTheOldOneWhichCanFreezeTheAccount(t *testing.T) {
	ways(t, func(t *testing.T, script bool, language string) {
		d := startDemo(t)
		thief := d.tab(script, language)
		key := thief.registers()
		thief.newNumber("0812-0000-1111")
		thief.wantText("0812-0000-1111")
		thief.code(d.code())
		thief.shot("number-setup-" + language)
		thief.confirmNumber()
		thief.wantText("1111")
		thief.shot("number-done-" + language)

		link := regexp.MustCompile(`http://\S+`).FindString(d.told("2333", "/.stepgate/n/"))
		owner := d.tab(script, language)
		owner.open(strings.TrimPrefix(link, d.url))
		owner.shot("freeze-" + language)
		owner.press(`main form button`)
		owner.shot("freeze-done-" + language)

		frozen := "This account is frozen"
		if language == "id" {
			frozen = "Akun ini dibekukan"
		}
		thief.askWithdrawal("2500000")
		thief.wantText(frozen)
		thief.shot("frozen-" + language)
		owner.login("agus")
		owner.askWithdrawal("100000")
		owner.wantText(frozen)
		d.wantWithdrawals("agus")
		thief.open("/account/security")
		thief.shot("frozen-security-" + language)
		// The recovery key is older than the change. The number that was bound since goes.
		thief.act("/lift")
		thief.code(key)
		thief.keepKey()
		thief.shot("lifted-" + language)
		if page := thief.text(); strings.Contains(page, "•••• 1111") {
			t.Errorf("the number that the freeze was about is still there:\n%s", page)
		}
	})
}

// R27, R63: a second phone stands beside the first, under its name, and goes alone.
func TestASecondPhoneIsAddedAndTheFirstRemoved(t *testing.T) {
	d := startDemo(t)
	b := d.tab(true, "en")
	b.login("dewi")
	b.act("/totp")
	b.fill("stepgate_name", "Samsung")
	first := b.confirmAuthenticator()
	b.keepKey()
	b.act("/totp")
	b.code(first.next())
	b.fill("stepgate_name", "Tablet")
	second := b.confirmAuthenticator()
	b.wantText("Samsung", "Tablet")
	b.shot("second-phone")
	b.act("/remove") // the first in the list
	b.wantText("Samsung")
	b.shot("second-phone-remove")
	b.code(second.next())
	if page := b.text(); strings.Contains(page, "Samsung") || !strings.Contains(page, "Tablet") {
		t.Errorf("after removing the first phone:\n%s", page)
	}
}

// R59, R61: the key opens one request, and then a new phone takes the place of the lost
// one.
func TestALostPhoneIsReplacedWithTheRecoveryKey(t *testing.T) {
	ways(t, func(t *testing.T, script bool, language string) {
		d := startDemo(t)
		b := d.tab(script, language)
		b.login("agus")
		b.act("/totp")
		b.code(d.code())
		lost := b.confirmAuthenticator()
		key := b.keepKey()

		b.askWithdrawal("100000")
		b.useKey(key)
		b.shot("recovery-used-" + language)
		d.wantWithdrawals("agus")
		next := b.keepKey()
		d.wantWithdrawals("agus", 100_000)
		b.open("/account/security")
		b.shot("recovery-advice-" + language)

		b.act("/totp")
		b.useKey(next)
		b.keepKey()
		b.shot("recovery-setup-" + language)
		codes := b.confirmAuthenticator()
		b.askWithdrawal("200000")
		b.code(lost.next())
		d.wantWithdrawals("agus", 100_000)
		b.code(codes.next())
		d.wantWithdrawals("agus", 100_000, 200_000)
	})
}

func TestALostPhoneWithoutAKeyLeadsToWhatSupportNeeds(t *testing.T) {
	ways(t, func(t *testing.T, script bool, language string) {
		d := startDemo(t)
		b := d.tab(script, language)
		b.login("sari")
		b.askWithdrawal("100000")
		if !strings.Contains(b.html(), `href="`+securityPath+`/help"`) {
			t.Fatal("the challenge page does not lead to help")
		}
		b.open(securityPath + "/help")
		want := "identity card"
		if language == "id" {
			want = "KTP"
		}
		b.wantText(want)
		b.shot("help-" + language)
	})
}

// R2: a stolen session reads the page and changes nothing.
func TestAThiefWithTheSessionAloneChangesNothing(t *testing.T) {
	d := startDemo(t)
	thief := d.login("budi")
	thief.do("GET", "/account/security", "", nil).want(t, http.StatusOK)
	for _, action := range []string{"/totp", "/sms", "/remove", "/off", "/recovery-key", "/forget", "/unlock", "/lift"} {
		thief.form(securityPath+action, "stepgate_phone", "0812 0000 1111").want(t, http.StatusUnauthorized)
	}
	for _, m := range d.messages() {
		if !strings.HasSuffix(m.To, "7890") {
			t.Errorf("a message went to %s", m.To)
		}
	}
	b := d.tab(true, "en")
	b.login("budi")
	b.open("/account/security")
	b.wantText("7890")
	b.askWithdrawal("100000")
	b.code(d.code())
	d.wantWithdrawals("budi", 100_000)
}

// steal gives a browser the session of another one, and nothing else of it.
func (b *tab) steal(from *tab) {
	b.t.Helper()
	all, err := chromedp.Call(from.ctx, network.GetCookies, network.GetCookiesParams{})
	if err != nil {
		b.t.Fatal(err)
	}
	for _, c := range all.Cookies {
		if c.Name != "casino_session" {
			continue
		}
		if _, err := chromedp.Call(b.ctx, network.SetCookie, network.SetCookieParams{Name: c.Name, Value: c.Value, URL: b.d.url}); err != nil {
			b.t.Fatal(err)
		}
		return
	}
	b.t.Fatal("there is no session to steal")
}

// R2: the same with the owner's very session, in a browser of the thief's own. What the
// page offers meets a challenge for the owner's phone, each time.
func TestAThiefWithTheStolenCookieMeetsAChallengeEverywhere(t *testing.T) {
	ways(t, func(t *testing.T, script bool, language string) {
		d := startDemo(t)
		owner, thief := d.tab(script, language), d.tab(script, language)
		owner.login("budi")
		owner.open("/account/security")
		thief.steal(owner)
		for name, try := range map[string]func(){
			"totp":         func() { thief.act("/totp") },
			"sms":          func() { thief.newNumber("0812 0000 1111") },
			"recovery-key": func() { thief.act("/recovery-key") },
			"off":          func() { thief.act("/off") },
			"withdrawal":   func() { thief.askWithdrawal("2500000") },
		} {
			try()
			if !strings.Contains(thief.html(), `name="stepgate_challenge"`) {
				t.Errorf("%s met no challenge %s", name, thief.page())
			}
			thief.wantText("•••• 7890")
			thief.shot("thief-" + name + "-" + language)
		}
		for _, m := range d.messages() {
			if !strings.HasSuffix(m.To, "7890") {
				t.Errorf("a message went to %s", m.To)
			}
		}
		d.wantWithdrawals("budi")
		owner.open("/account/security")
		owner.wantText("•••• 7890")
		owner.askWithdrawal("100000")
		owner.code(d.code())
		d.wantWithdrawals("budi", 100_000)
	})
}

// R38: the player trusts a browser, sees it, and ends that.
func TestABrowserIsTrustedSeenAndForgotten(t *testing.T) {
	d := startDemo(t)
	b := d.tab(true, "en")
	b.login("budi")
	b.askWithdrawal("100000")
	b.run(chromedp.Click(chromedp.CSS(`input[name="stepgate_trust"]`)))
	b.code(d.code())
	d.wantWithdrawals("budi", 100_000)
	b.open("/account/security")
	b.wantText("this browser")
	b.shot("trusted")
	b.act("/forget")
	b.code(d.code())
	b.open("/account/security")
	b.unfold()
	if strings.Contains(b.html(), securityPath+"/forget") {
		t.Error("the browser is still trusted")
	}
}
