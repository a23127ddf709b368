package challengepages

import (
	"encoding/xml"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// formOf is a form as the browser would send it: its fields in order, and what its
// buttons add.
type formOf struct {
	method, action string
	fields         []string
	buttons        []string
}

// forms reads the forms of a page, with the buttons that belong to them by their
// form attribute.
func forms(t *testing.T, page string) []*formOf {
	t.Helper()
	all, err := elements(page)
	if err != nil {
		t.Fatal(err)
	}
	var found []*formOf
	byID := map[string]*formOf{}
	name := func(e xml.StartElement) string { return attribute(e, "name") + "=" + attribute(e, "value") }
	for _, e := range all {
		switch e.Name.Local {
		case "form":
			f := &formOf{method: attribute(e, "method"), action: attribute(e, "action")}
			found = append(found, f)
			byID[attribute(e, "id")] = f
		case "input":
			if attribute(e, "name") == "" {
				continue // for the browser: a box that has to be ticked
			}
			last := found[len(found)-1]
			last.fields = append(last.fields, name(e))
		case "button":
			if attribute(e, "type") == "button" {
				continue // for the script
			}
			owner := found[len(found)-1]
			if id := attribute(e, "form"); id != "" {
				owner = byID[id]
			}
			owner.buttons = append(owner.buttons, name(e))
		}
	}
	return found
}

func TestChallengePostsWhatTheGateExpects(t *testing.T) {
	const id, action = "stepgate_challenge=k3vJ8w0mSx2bT5nQ", "/wallet/withdraw?from=main&step=2"
	got := forms(t, render(t, newRenderer(t), Indonesian, withdrawal()))
	want := []*formOf{
		{"post", action, []string{id, "stepgate_factor=sms", "stepgate_code="}, []string{"stepgate_action=answer"}},
		{"post", action, []string{id}, []string{"stepgate_action=send", "stepgate_action=cancel", "stepgate_action=not_me"}},
		{"post", action, []string{id, "stepgate_factor=totp"}, []string{"stepgate_action=use"}},
		{"post", action, []string{id, "stepgate_factor=recovery_key"}, []string{"stepgate_action=use"}},
		{"post", action, []string{id, "stepgate_action=language"}, []string{"stepgate_language=en"}},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(formOf{})); diff != "" {
		t.Errorf("forms differ (-want +got):\n%s", diff)
	}
	for name, constant := range map[string]string{
		FieldChallenge: "stepgate_challenge", FieldAction: "stepgate_action", FieldFactor: "stepgate_factor",
		FieldCode: "stepgate_code", FieldLanguage: "stepgate_language", FieldPhone: "stepgate_phone", FieldSetup: "stepgate_setup",
		ActionAnswer: "answer", ActionSend: "send", ActionUse: "use", ActionCancel: "cancel", ActionNotMe: "not_me",
		ActionLanguage: "language",
	} {
		if name != constant {
			t.Errorf("a field or action is now %q, and the templates still say %q", name, constant)
		}
	}
}

func TestEveryFormOfAChallengeBeginsWithTheMarker(t *testing.T) {
	r := newRenderer(t)
	for _, s := range challengeStates() {
		for _, f := range forms(t, render(t, r, English, s.page)) {
			if f.method != "post" || len(f.fields) == 0 || !strings.HasPrefix(f.fields[0], FieldChallenge+"=") {
				t.Errorf("%s: a form begins with %v", s.name, f.fields)
			}
		}
	}
}

func TestSettingsAndSetupsPostToTheirBase(t *testing.T) {
	r := newRenderer(t)
	for _, test := range []struct {
		page Page
		want []string
	}{
		{stateNamed(t, "settings-off"), []string{"/account/security/totp", "/account/security/sms stepgate_phone="}},
		{stateNamed(t, "settings-phone"), []string{"/account/security/totp",
			"/account/security/sms stepgate_phone=", "/account/security/sms stepgate_phone=0812 345"}},
		{stateNamed(t, "settings-usual"), []string{
			"/account/security/remove stepgate_enrolment=e1", "/account/security/remove stepgate_enrolment=e1",
			"/account/security/totp", "/account/security/sms stepgate_phone=", "/account/security/recovery-key",
			"/account/security/forget stepgate_device=d1", "/account/security/off"}},
		{stateNamed(t, "settings-frozen"), []string{"/account/security/lift"}},
		{stateNamed(t, "settings-stuck"), nil},
		{stateNamed(t, "totp-setup"), []string{"/account/security/totp/confirm stepgate_setup=s1 stepgate_code= stepgate_name="}},
		{stateNamed(t, "sms-setup"), []string{"/account/security/sms/confirm stepgate_setup=s2 stepgate_code=", "/account/security/sms/send stepgate_setup=s2"}},
		{stateNamed(t, "settings-totp-blocked"), []string{"/account/security/unlock", "/account/security/totp",
			"/account/security/sms stepgate_phone=", "/account/security/recovery-key", "/account/security/off"}},
		{stateNamed(t, "recovery-key-used"), []string{
			"/wallet/withdraw stepgate_challenge=k3vJ8w0mSx2bT5nQ stepgate_action=continue"}},
	} {
		var got []string
		for _, f := range forms(t, render(t, r, English, test.page)) {
			if f.method != "post" {
				t.Errorf("a form of %T has method %q", test.page, f.method)
			}
			got = append(got, strings.TrimSpace(f.action+" "+strings.Join(f.fields, " ")))
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("forms of %T differ (-want +got):\n%s", test.page, diff)
		}
	}
}

func stateNamed(t *testing.T, name string) Page {
	t.Helper()
	for _, s := range states() {
		if s.name == name {
			return s.page
		}
	}
	t.Fatalf("there is no state %q", name)
	return nil
}

// R1: the page shows what the player approves, before it asks for the code, and in
// an order that makes sense without the stylesheet too.
func TestChallengeReadsInOrder(t *testing.T) {
	c := withdrawal()
	c.Problem, c.AttemptsLeft = ProblemWrongCode, 4
	text := readable(render(t, newRenderer(t), Indonesian, c))
	at := 0
	for _, part := range []string{
		"Example", "Konfirmasi penarikan dana", "Rp2.500.000", "BCA", "1234567890", "Kode OTP", "+62\u00a0•••\u00a0••••\u00a07890",
		"Kode salah. Sisa 4 percobaan.", "Konfirmasi", "Jangan berikan kode ini", "14.10\u00a0WIB", "Kirim ulang kode", "14.00.28\u00a0WIB",
		"Gunakan aplikasi autentikator", "Gunakan kunci pemulihan", "Hubungi bantuan", "Batalkan", "Bukan saya", "English",
	} {
		i := strings.Index(text[at:], part)
		if i < 0 {
			t.Fatalf("%q does not follow in:\n%s", part, text[at:])
		}
		at += i + len(part)
	}
}

var tags = regexp.MustCompile(`<[^>]*>`)

func readable(page string) string {
	return tags.ReplaceAllString(withoutAssets(page[strings.Index(page, "<body"):]), "")
}

func TestProblemStandsAtItsFieldAndInTheTitle(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*Challenge)
		want   string
	}{
		{"wrong code", func(c *Challenge) { c.Problem, c.AttemptsLeft = ProblemWrongCode, 3 }, "Wrong code. 3 tries left."},
		{"last try", func(c *Challenge) { c.Problem, c.AttemptsLeft = ProblemWrongCode, 1 },
			"Wrong code. 1 try left. After another wrong code you have to start again."},
		{"wrong key", func(c *Challenge) { c.Problem, c.AttemptsLeft, c.Factor = ProblemWrongCode, 2, "recovery_key" }, "Wrong key. 2 tries left."},
		{"used", func(c *Challenge) { c.Problem = ProblemUsedCode }, "This code was already used. Ask for a new one."},
		{"empty", func(c *Challenge) { c.Problem = ProblemEmptyCode }, "Enter the code first."},
		{"expired", func(c *Challenge) { c.Problem = ProblemCodeExpired }, "This code is no longer valid. Ask for a new one."},
		{"resend failed", func(c *Challenge) { c.Problem = ProblemNotSent }, "The SMS could not be sent. Use another way below, or try again from <b>14:00:28\u00a0WIB</b>."},
		{"resend failed, wait over", func(c *Challenge) { c.Problem, c.ResendAt = ProblemNotSent, now },
			"The SMS could not be sent. Use another way below, or try again."},
		{"resend failed, the last", func(c *Challenge) { c.Problem, c.ResendAt = ProblemNotSent, time.Time{} },
			"No more SMS can be sent right now. Enter the last code you received, or use another way below."},
		{"resend failed, no other way", func(c *Challenge) { c.Problem, c.Others = ProblemNotSent, nil },
			"The SMS could not be sent. Try again from <b>14:00:28\u00a0WIB</b>. If that fails too, get help."},
		{"undelivered", func(c *Challenge) { c.Problem, c.ResendAt = ProblemUndelivered, now },
			"The mobile network reports that the SMS did not get through. Resend the code, or use another way below."},
		{"undelivered, the last", func(c *Challenge) { c.Problem, c.ResendAt = ProblemUndelivered, time.Time{} },
			"The mobile network reports that the SMS did not get through. Use another way below."},
		{"undelivered, no other way", func(c *Challenge) { c.Problem, c.Others = ProblemUndelivered, nil },
			"The mobile network reports that the SMS did not get through. Resend the code. If that fails too, get help."},
		{"too soon", func(c *Challenge) { c.Problem = ProblemSendLater }, "You can ask for a new code from <b>14:00:28\u00a0WIB</b>."},
		{"no more", func(c *Challenge) { c.Problem, c.ResendAt = ProblemSendLater, time.Time{} },
			"No more SMS can be sent right now. Enter the last code you received, or use another way below."},
		{"back-off", func(c *Challenge) { c.Problem, c.RetryAt = ProblemTryLater, now.Add(90*time.Second) },
			"Too many wrong codes. Try again from <b>14:01:30\u00a0WIB</b>."},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := withdrawal()
			test.change(&c)
			page := render(t, newRenderer(t), English, c)
			if want := `<p id="e" class="err" role="alert">` + test.want + "</p>\n<input id=\"c\""; !strings.Contains(strings.ReplaceAll(page, "\n\n", "\n"), want) {
				t.Errorf("page lacks %q", want)
			}
			for _, want := range []string{`aria-invalid="true"`, `aria-describedby="e d h"`, "<title>Check again: "} {
				if !strings.Contains(page, want) {
					t.Errorf("page lacks %q", want)
				}
			}
		})
	}
}

func TestCodeThatWasNotSentIsNotAskedFor(t *testing.T) {
	c := withdrawal()
	c.Sent = false
	page := render(t, newRenderer(t), English, c)
	if strings.Contains(page, FieldCode) || strings.Contains(page, "We sent") {
		t.Error("the page asks for a code, or says that one was sent")
	}
	if first := forms(t, page)[0]; !cmp.Equal(first.buttons, []string{"stepgate_action=send"}) {
		t.Errorf("the first form has the buttons %v", first.buttons)
	}
}

// I11: a limit, a budget, a stopped prefix and dead providers are one page, which is
// that of an SMS asked for too often.
func TestPageDoesNotTellWhyNoSMSCanBeSent(t *testing.T) {
	r := newRenderer(t)
	for _, lang := range []Lang{Indonesian, English} {
		for _, sent := range []bool{true, false} {
			c := withdrawal()
			c.Sent, c.ResendAt = sent, time.Time{}
			c.Problem = ProblemNotSent
			failed := render(t, r, lang, c)
			c.Problem = ProblemSendLater
			if refused := render(t, r, lang, c); failed != refused {
				t.Errorf("%s, sent %v: the pages differ (-failed +refused):\n%s", lang, sent, cmp.Diff(failed, refused))
			}
		}
	}
}

// While no SMS goes out there is another way, or support; never a button that does
// nothing.
func TestPlayerWithoutAnSMSIsShownAWay(t *testing.T) {
	r := newRenderer(t)
	for name, want := range map[string][]string{
		"challenge-sms-failed":           {"Use another way below", `value="send" data-wait="28"`, ">Use your authenticator app<"},
		"challenge-sms-failed-only":      {"If that fails too, get help.", `value="send" data-wait="28"`, "https://casino.example/help"},
		"challenge-sms-none":             {"Use another way below.", ">Use your authenticator app<", "https://casino.example/help"},
		"challenge-sms-none-only":        {"Get help from our support.", "https://casino.example/help"},
		"challenge-sms-undelivered":      {`<button class="quiet" name="stepgate_action" value="send">Resend the code</button>`, ">Use your authenticator app<"},
		"challenge-sms-undelivered-only": {`value="send">Resend the code</button>`, "https://casino.example/help"},
		"sms-setup-unsent":               {"go back and set up an authenticator app", `data-wait="28"`, `href="/account/security"`},
		"sms-setup-undelivered":          {"go back and check the number", ">Resend the code</button>", `href="/account/security"`},
	} {
		page := render(t, r, English, stateNamed(t, name))
		for _, part := range want {
			if !strings.Contains(page, part) {
				t.Errorf("%s lacks %q", name, part)
			}
		}
		if sends := strings.Count(page, `value="send"`); sends > 1 || strings.Contains(name, "none") && sends > 0 {
			t.Errorf("%s has %d buttons that send", name, sends)
		}
	}
}

func TestCountdownRunsFromTheGivenNow(t *testing.T) {
	c := withdrawal()
	page := render(t, newRenderer(t), English, c)
	for _, want := range []string{`data-left="600"`, `data-wait="28"`} {
		if !strings.Contains(page, want) {
			t.Errorf("page lacks %s", want)
		}
	}
	c.Now = time.Time{}
	if page = render(t, newRenderer(t), English, c); strings.Contains(page, "data-left=") || strings.Contains(page, "data-wait=") {
		t.Error("a page that does not know the time counts down")
	}
	c.Now = c.ResendAt
	if page = render(t, newRenderer(t), English, c); strings.Contains(page, "14:00:28") {
		t.Error("the wait for another SMS is over and still named")
	}
}

func TestLanguageCanBeSwitchedWhereThePageIsNotLost(t *testing.T) {
	r := newRenderer(t)
	const link = `<a href="?stepgate_language=id" lang="id" hreflang="id">Bahasa Indonesia</a>`
	for name, want := range map[string]bool{
		"settings-totp": true, "outcome-expired": true, "totp-setup": false, "sms-setup": false, "recovery-key": false,
	} {
		if got := strings.Contains(render(t, r, English, stateNamed(t, name)), link); got != want {
			t.Errorf("%s has the link: %v, want %v", name, got, want)
		}
	}
	alone := newRenderer(t, func(b *Brand) { b.Languages = []Lang{English} })
	for _, s := range states() {
		if strings.Contains(render(t, alone, English, s.page), FieldLanguage) {
			t.Errorf("%s offers another language, and there is none", s.name)
		}
	}
}
