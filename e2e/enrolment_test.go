package e2e

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"
)

// told waits for a message to the number that ends so, and returns its text: players
// are told after their browser has its answer.
func (d *demo) told(to, part string) string {
	d.t.Helper()
	limit := time.After(20 * time.Second)
	for tick := time.Tick(20 * time.Millisecond); ; {
		for _, m := range d.messages() {
			if strings.HasSuffix(m.To, to) && strings.Contains(m.Text, part) {
				return m.Text
			}
		}
		select {
		case <-tick:
		case <-limit:
			d.t.Fatalf("no message with %q to %s: %+v", part, to, d.messages())
		}
	}
}

// R27, R62: agus types no number. What he sees of the phone is masked, and the page
// then says what is on and what has happened.
func TestAPlayerTurnsSMSOnWithThePhoneThatTheSiteKnows(t *testing.T) {
	ways(t, func(t *testing.T, script bool, language string) {
		d := startDemo(t)
		b := d.tab(script, language)
		b.registers()
		if got := b.url(); got != "/account/security?notice=sms_bound" {
			t.Errorf("after the first factor the player is at %s", got)
		}
		b.open("/account/security")
		added := "SMS codes turned on"
		if language == "id" {
			added = "Kode SMS diaktifkan"
		}
		b.wantText("•••• 2333", added)
		if strings.Contains(b.html(), "8111222333") {
			t.Error("the whole number is on the page")
		}
		b.shot("first-sms-" + language)
	})
}

// I6, R61: nothing but the session spoke for dewi. She is told from when, and why.
func TestAHoldSaysFromWhenAndWhy(t *testing.T) {
	ways(t, func(t *testing.T, script bool, language string) {
		d := startDemo(t)
		b := d.tab(script, language)
		b.login("dewi")
		b.act("/totp")
		b.confirmAuthenticator()
		b.keepKey()
		security, refused := "Two-step verification has just been turned on.", "Two-step verification has just been turned on."
		if language == "id" {
			security, refused = "Verifikasi dua langkah baru saja diaktifkan.", "Verifikasi dua langkah di akun Anda baru diaktifkan."
		}
		b.open("/account/security")
		b.wantText(security)
		b.wantClock()
		b.shot("held-security-" + language)
		b.askWithdrawal("100000")
		b.wantText(refused)
		b.wantClock()
		b.shot("held-" + language)
		d.wantWithdrawals("dewi")
	})
}

var clock = regexp.MustCompile(`\b\d{2}[.:]\d{2} WIB\b`)

func (b *tab) wantClock() {
	b.t.Helper()
	if text := b.text(); !clock.MatchString(text) {
		b.t.Errorf("the page at %s names no time:\n%s", b.url(), text)
	}
}

// R27, R63: five authenticators are the most, and the page says so instead of offering
// a sixth. A set-up that was not begun on the page does not get there either.
func TestThereAreFiveAuthenticatorsAtMost(t *testing.T) {
	d := startDemo(t)
	p := d.patron("p001")
	p.hasApp()
	for range 4 {
		p.addsApp()
	}
	page := p.c.do("GET", "/account/security", "", nil, "Accept", "text/html").want(t, http.StatusOK)
	if n := strings.Count(page.body, `name="stepgate_enrolment"`); n != 5 {
		t.Errorf("the page has %d authenticators, want 5", n)
	}
	if strings.Contains(page.body, `action="`+securityPath+`/totp"`) {
		t.Error("the page offers a sixth")
	}
	id := p.asked(securityPath + "/totp")
	if a, err := p.shows(securityPath+"/totp", id, "totp", p.codes.next()); err == nil || a.status != http.StatusConflict {
		t.Errorf("a sixth set-up: %d (%v), want a refusal", a.status, err)
	}
}

// addsApp adds another authenticator, by a code of the one that was added last.
func (p *patron) addsApp() {
	p.d.t.Helper()
	id := p.asked(securityPath + "/totp")
	page, err := p.shows(securityPath+"/totp", id, "totp", p.codes.next())
	if err == nil {
		err = p.bindsApp(page)
	}
	if err != nil {
		p.d.t.Fatal(fmt.Errorf("adding an authenticator: %w", err))
	}
}

// R2, R18, R19, R62: switching off says what it means, wants a current factor, and is
// told to the phone that the site knows.
func TestSwitchingOffWarnsAndIsTold(t *testing.T) {
	ways(t, func(t *testing.T, script bool, language string) {
		d := startDemo(t)
		codes := &totpCodes{t: t, secret: d.sariSecret()}
		b := d.tab(script, language)
		b.login("sari")
		b.open("/account/security")
		b.unfold()
		warning := "Anyone who knows your password can then withdraw money"
		if language == "id" {
			warning = "Siapa pun yang tahu kata sandi Anda"
		}
		b.wantText(warning)
		b.shot("off-warning-" + language)
		b.act("/off")
		b.shot("off-challenge-" + language)
		b.code("000000")
		b.wantText(map[string]string{"en": "Wrong code.", "id": "Kode salah."}[language])
		b.open("/account/security")
		if !strings.Contains(b.html(), securityPath+"/off") {
			t.Fatalf("a wrong code has switched it off: the page %s", b.page())
		}
		b.act("/off")
		b.code(codes.next())
		if got := b.url(); got != "/account/security?notice=switched_off" {
			t.Errorf("after switching off the player is at %s", got)
		}
		b.shot("off-" + language)
		if text := d.told("8765432", "/.stepgate/n/"); !strings.Contains(text, "Kasino Melati") {
			t.Errorf("the notice does not name the site: %q", text)
		}
	})
}
