package challengepages

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"strings"
	"testing"
	"time"
)

// The moment at which all fixtures are rendered, and the zone of the site.
var (
	now     = time.Date(2026, 1, 3, 7, 0, 0, 0, time.UTC) // 14:00 in Jakarta
	jakarta = time.FixedZone("WIB", 7*60*60)
)

// longBrand and longAmount are the longest that there may be.
const (
	longBrand  = "Perusahaan Keuangan Nusantara Sejahtera"
	longAmount = "999999999999999.99"
)

// logoSVG is a small logo.
const logoSVG = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 60 24"><circle cx="12" cy="12" r="10" fill="#0b6e4f"/>` +
	`<path d="M30 4v16M30 4h14M30 12h10" stroke="#111" stroke-width="4" fill="none"/></svg>`

// newRenderer makes the renderer of an ordinary brand, changed by the given
// functions.
func newRenderer(t testing.TB, change ...func(*Brand)) *Renderer {
	t.Helper()
	b := Brand{
		Name: "Example", Color: "#0b6e4f", SupportURL: "https://casino.example/help",
		Location: jakarta,
	}
	for _, c := range change {
		c(&b)
	}
	r, err := New(b)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	return r
}

func withLongBrand(b *Brand) {
	b.Name, b.Logo = longBrand, []byte(logoSVG)
}

// state is a page in one of its states.
type state struct {
	name string
	page Page
	// golden tells that testdata holds the page.
	golden bool
}

// states are all pages in all states that look different.
func states() []state {
	all := challengeStates()
	all = append(all, settingsStates()...)
	all = append(all, setupStates()...)
	all = append(all, noticeStates()...)
	for _, kind := range outcomeKinds {
		o := Outcome{Kind: kind, Link: "/wallet"}
		switch kind {
		case OutcomeTryLater, OutcomeOnHold:
			o.RetryAt, o.Cause = now.Add(26*time.Hour), "factor_change"
		case OutcomeReported:
			o.Link = ""
		}
		all = append(all, state{"outcome-" + string(kind), o, kind == OutcomeExpired || kind == OutcomeOnHold})
	}
	all = append(all, state{"outcome-again", Outcome{
		Kind: OutcomeStoreDown, Link: "/wallet/withdraw?from=main", Again: []Field{{"amount", "2500000"}, {"account", "BCA 1234567890"}},
	}, false})
	return all
}

var outcomeKinds = []OutcomeKind{
	OutcomeExpired, OutcomeUsedUp, OutcomeCancelled, OutcomeReported, OutcomeReplaced, OutcomeAlreadyDone, OutcomeConfirmed,
	OutcomeTryLater, OutcomeCannotHold, OutcomeAmbiguous, OutcomeCrossSite, OutcomeLogin, OutcomeEnrol, OutcomeNoFactor,
	OutcomeFactorsDisabled, OutcomeOnHold, OutcomeFrozen, OutcomeFreezeDone, OutcomeLinkOver, OutcomeLoginFirst,
	OutcomeSupportFirst, OutcomeTooMany, OutcomeForeign, OutcomeSiteDown, OutcomeStoreDown, OutcomeNotFound, OutcomeInvalidForm,
}

// withdrawal is the challenge that the others are variations of.
func withdrawal() Challenge {
	return Challenge{
		ID:      "k3vJ8w0mSx2bT5nQ",
		Action:  "/wallet/withdraw?from=main&step=2",
		Rule:    "withdrawal",
		Details: []Detail{{"amount", "2500000"}, {"bank", "BCA"}, {"account", "1234567890"}},
		Factor:  "sms", Others: []string{"totp", "recovery_key"},
		Phone: "+62 ••• •••• 7890", Sent: true,
		ResendAt: now.Add(28 * time.Second), AttemptsLeft: 5,
		Expires: now.Add(10 * time.Minute), Held: true, Now: now,
	}
}

func challengeStates() []state {
	with := func(change func(*Challenge)) Challenge {
		c := withdrawal()
		change(&c)
		return c
	}
	totp := func(c *Challenge) { c.Factor, c.Others, c.Sent = "totp", []string{"sms", "recovery_key"}, false }
	return []state{
		{"challenge-sms", withdrawal(), true},
		{"challenge-sms-wrong", with(func(c *Challenge) { c.Problem, c.AttemptsLeft = ProblemWrongCode, 4 }), true},
		{"challenge-sms-last", with(func(c *Challenge) { c.Problem, c.AttemptsLeft = ProblemWrongCode, 1 }), false},
		{"challenge-sms-unsent", with(func(c *Challenge) { c.Sent, c.ResendAt = false, time.Time{} }), true},
		{"challenge-sms-failed", with(func(c *Challenge) { c.Sent, c.Problem = false, ProblemNotSent }), true},
		{"challenge-sms-failed-only", with(func(c *Challenge) { c.Sent, c.Problem, c.Others = false, ProblemNotSent, nil }), false},
		{"challenge-sms-failed-again", with(func(c *Challenge) { c.Problem = ProblemNotSent }), false},
		{"challenge-sms-none", with(func(c *Challenge) { c.Sent, c.Problem, c.ResendAt = false, ProblemSendLater, time.Time{} }), false},
		{"challenge-sms-none-only", with(func(c *Challenge) {
			c.Sent, c.Problem, c.ResendAt, c.Others = false, ProblemNotSent, time.Time{}, nil
		}), false},
		{"challenge-sms-undelivered", with(func(c *Challenge) { c.Problem, c.ResendAt = ProblemUndelivered, now }), true},
		{"challenge-sms-undelivered-only", with(func(c *Challenge) {
			c.Problem, c.ResendAt, c.Others = ProblemUndelivered, now, nil
		}), false},
		{"challenge-sms-later", with(func(c *Challenge) { c.Problem = ProblemSendLater }), false},
		{"challenge-sms-expired", with(func(c *Challenge) { c.Problem, c.ResendAt = ProblemCodeExpired, now }), false},
		{"challenge-totp", with(totp), true},
		{"challenge-totp-used", with(func(c *Challenge) { totp(c); c.Problem = ProblemUsedCode }), false},
		{"challenge-totp-wait", with(func(c *Challenge) { totp(c); c.Problem, c.RetryAt = ProblemTryLater, now.Add(30*time.Second) }), false},
		{"challenge-key", with(func(c *Challenge) {
			c.Factor, c.Others, c.Problem = "recovery_key", []string{"totp", "sms"}, ProblemEmptyCode
		}), true},
		{"challenge-open", with(func(c *Challenge) {
			totp(c)
			c.Rule, c.Details, c.Held, c.Others = "profile", nil, false, nil
		}), true},
		{"challenge-trust", with(func(c *Challenge) { totp(c); c.Trust, c.Help = 30*24*time.Hour, "/.stepgate/security/help" }), true},
		{"challenge-off", with(func(c *Challenge) { totp(c); c.Rule, c.Details, c.Others = "settings_off", nil, nil }), false},
		{"challenge-long", with(func(c *Challenge) {
			totp(c)
			c.Details = []Detail{{"amount", longAmount}, {"to", strings.Repeat("9", 90)}, {"note", ""}}
		}), false},
		{"challenge-hostile", with(func(c *Challenge) {
			totp(c)
			c.Details = []Detail{
				{"amount", "2.500.000\u202e000.1"},
				{"to", "<script>alert(1)</script>\u2066\x00'\"&lt;\u2069\nBudi" + strings.Repeat("\u0301", 30)},
				{"<b>label", strings.Repeat("long ", 60)},
			}
		}), true},
	}
}

func setupStates() []state {
	totp := TOTPSetup{
		Base: "/account/security", SetupID: "s1", QRPNG: qrLike(), Key: "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP",
		URI:          "otpauth://totp/Example:sari?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=Example",
		AttemptsLeft: 5, Expires: now.Add(10 * time.Minute), Now: now, Back: "/account/security",
	}
	wrong := totp
	wrong.Problem, wrong.AttemptsLeft = ProblemWrongCode, 3
	sms := SMSSetup{
		Base: "/account/security", SetupID: "s2", Phone: "+62 ••• •••• 7890", Sent: true, AttemptsLeft: 5,
		Expires: now.Add(10 * time.Minute), Now: now, Back: "/account/security",
	}
	key := RecoveryKey{
		Key: "ABCD-EFGH-JKMN-PQRS-TVWX-YZ23-4567", Action: "/account/security",
	}
	key.Now = now
	used := key
	used.Used, used.Held, used.Action, used.Settings = true, true, "/wallet/withdraw", "/account/security"
	used.Hidden = []Hidden{{FieldChallenge, "k3vJ8w0mSx2bT5nQ"}, {FieldAction, ActionContinue}}
	wrong.Name, wrong.Replaces = "HP <b>\u202eSamsung", "sms"
	sms.ResendAt = now.Add(28 * time.Second)
	instead, unsent, undelivered := sms, sms, sms
	instead.Replaces = "totp"
	unsent.Sent, unsent.Problem = false, ProblemNotSent
	undelivered.Problem, undelivered.ResendAt = ProblemUndelivered, now
	return []state{
		{"totp-setup", totp, true},
		{"totp-setup-wrong", wrong, true},
		{"sms-setup", sms, true},
		{"sms-setup-instead", instead, false},
		{"sms-setup-unsent", unsent, true},
		{"sms-setup-undelivered", undelivered, true},
		{"recovery-key", key, true},
		{"recovery-key-used", used, true},
	}
}

func noticeStates() []state {
	return []state{
		{"help", Help{Back: "/wallet"}, true},
		{"freeze", Freeze{Action: "/.stepgate/n/Tm90aWNl", Kind: ActivitySMSChanged, At: now.Add(-time.Hour)}, true},
	}
}

// qrLike is a small picture that stands in for a QR code.
func qrLike() []byte {
	img := image.NewPaletted(image.Rect(0, 0, 29, 29), color.Palette{color.White, color.Black})
	for i := range img.Pix {
		if i*i*7%11 > 4 {
			img.Pix[i] = 1
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		panic(err)
	}
	return b.Bytes()
}
