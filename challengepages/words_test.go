package challengepages

import (
	"io/fs"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// builtInCatalogue gives the catalogue of a language that comes with the package.
func builtInCatalogue(t testing.TB, l Lang) *catalogue {
	t.Helper()
	all, err := builtIn()
	if err != nil {
		t.Fatal(err)
	}
	return all[l]
}

func TestBothLanguagesSayEverything(t *testing.T) {
	id, en := builtInCatalogue(t, Indonesian).messages, builtInCatalogue(t, English).messages
	if diff := cmp.Diff(slices.Sorted(maps.Keys(id)), slices.Sorted(maps.Keys(en))); diff != "" {
		t.Errorf("keys differ (-Indonesian +English):\n%s", diff)
	}
	for key := range id {
		if a, b := id[key].other.names(), en[key].other.names(); !slices.Equal(a, b) {
			t.Errorf("%s has the placeholders %v in Indonesian and %v in English", key, a, b)
		}
	}
}

func TestEveryMessageOfATemplateExistsAndIsPlain(t *testing.T) {
	use := regexp.MustCompile(`\.T "([^"]+)"`)
	names, err := fs.Glob(embedded, "templates/*.html")
	if err != nil {
		t.Fatal(err)
	}
	messages, found := builtInCatalogue(t, English).messages, 0
	for _, name := range names {
		text, err := embedded.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range use.FindAllStringSubmatch(string(text), -1) {
			found++
			if message, ok := messages[m[1]]; !ok || len(message.other.names()) > 0 {
				t.Errorf("%s uses %q, which is %q", name, m[1], message.text)
			}
		}
	}
	if found == 0 {
		t.Error("no template uses a message")
	}
}

func TestEveryKindHasItsWords(t *testing.T) {
	r := newRenderer(t)
	if len(outcomeKinds) != len(outcomeForms) {
		t.Errorf("%d outcomes are tested, and there are %d", len(outcomeKinds), len(outcomeForms))
	}
	pages := make([]Page, 0, 100)
	for _, kind := range outcomeKinds {
		pages = append(pages, Outcome{Kind: kind}, Outcome{Kind: kind, RetryAt: now, Link: "/"})
	}
	for _, n := range []Notice{NoticeTOTPBound, NoticeSMSBound, NoticeSwitchedOff, NoticeSetupExpired, NoticeSetupLost, NoticeRecoverySaved} {
		pages = append(pages, Settings{Notice: n})
	}
	for _, p := range []Problem{ProblemWrongCode, ProblemUsedCode, ProblemEmptyCode, ProblemCodeExpired, ProblemNotSent,
		ProblemUndelivered, ProblemSendLater, ProblemTryLater, ProblemPhone} {
		for _, factor := range []string{"totp", "sms", "recovery_key"} {
			pages = append(pages, Challenge{Factor: factor, Problem: p}, Challenge{Factor: factor, Problem: p, Sent: true})
		}
		pages = append(pages, Settings{Problem: p}, SMSSetup{Problem: p}, TOTPSetup{Problem: p, URI: "otpauth://totp/x"})
	}
	for _, rule := range []string{"withdrawal", "contact", "email", "phone", "payment_method", "password_reset", "new_device",
		"settings_totp", "settings_sms", "settings_off", "settings_recovery_key"} {
		if _, ok := builtInCatalogue(t, English).messages["rule."+rule]; !ok {
			t.Errorf("the rule %s has no sentence of its own", rule)
		}
		if _, ok := builtInCatalogue(t, English).messages["text.purpose."+rule]; !ok {
			t.Errorf("the rule %s has no words for the SMS", rule)
		}
	}
	for _, lang := range []Lang{Indonesian, English} {
		for _, p := range pages {
			if _, err := r.Render(lang, p); err != nil {
				t.Errorf("Render(%s, %+v): %v", lang, p, err)
			}
		}
	}
}

// A rule may have any name, also one that is part of a key.
func TestRuleWithoutWordsOfItsOwnGetsTheGeneralOnes(t *testing.T) {
	r := newRenderer(t)
	for _, rule := range []string{"", "profile", "held", "held.plain", "rule.settings_off", "<b>"} {
		page := render(t, r, English, Challenge{Factor: "totp", Rule: rule})
		if !strings.Contains(page, "<h1>Confirm it’s you</h1>\n<p class=\"lead\">This keeps your account safe.") {
			t.Errorf("rule %q has other words", rule)
		}
	}
}

// builtInTexts gives every text of every language that comes with the package, in
// each of its plural forms.
func builtInTexts(t testing.TB) []string {
	t.Helper()
	var texts []string
	for _, lang := range []Lang{Indonesian, English} {
		for _, m := range builtInCatalogue(t, lang).messages {
			for _, p := range m.all() {
				texts = append(texts, p.fill(nil))
			}
		}
	}
	return texts
}

// Mobile networks filter such words, and who looks over a shoulder need not read
// them.
func TestNoTextSaysWhatKindOfSiteItIs(t *testing.T) {
	forbidden := regexp.MustCompile(`(?i)casino|kasino|\b(bet|bets|betting|game|games|gambl|judi|taruhan|permainan|slot|togel|deposit|bonus)`)
	for _, text := range builtInTexts(t) {
		if m := forbidden.FindString(text); m != "" {
			t.Errorf("%q says %q", text, m)
		}
	}
}

// claimsArrival finds what says that an SMS has come to the phone. That it has not is
// no claim: "belum masuk", "did not get through".
var claimsArrival = regexp.MustCompile(`(?i)\bdeliver|\b(code|SMS|message) (has |have |was |is )?(been |now )?(arrived|received|reached|there|on your phone)|reached your|got through` +
	`|\b(tersampai|disampaikan|terantar|terkirim|(sudah|telah|berhasil) (dikirim|masuk|sampai|diterima|tiba)|(sampai|tiba|diterima|masuk) (ke|di) (HP|nomor|ponsel))`)

var deniesArrival = regexp.MustCompile(`(?i)\b(belum|tidak) (terkirim|sampai|masuk|diterima)( ke HP)?`)

// A receipt cannot be trusted: nobody here knows that an SMS has arrived.
func TestNoTextClaimsThatAnSMSWasDelivered(t *testing.T) {
	claim := func(text string) string { return claimsArrival.FindString(deniesArrival.ReplaceAllString(text, "")) }
	for _, text := range []string{
		"The code was delivered.", "Your SMS has arrived", "It reached your phone", "Kode sudah masuk.", "SMS telah terkirim ke +62",
		"Kode sampai di HP Anda", "Kode berhasil dikirim", "SMS terkirim",
	} {
		if claim(text) == "" {
			t.Fatalf("%q is not seen as a claim", text)
		}
	}
	for _, text := range builtInTexts(t) {
		if found := claim(text); found != "" {
			t.Errorf("%q claims %q", text, found)
		}
	}
}

// Where nothing was sent the page says so; where something was, or is not known,
// it does not.
func TestOutcomeSaysThatNothingWasSentExactlyWhereThatIsTrue(t *testing.T) {
	passed := []OutcomeKind{OutcomeAlreadyDone, OutcomeConfirmed, OutcomeNotFound, OutcomeFreezeDone, OutcomeLinkOver}
	for _, kind := range outcomeKinds {
		for _, end := range []string{".what", ".none"} {
			m, ok := builtInCatalogue(t, English).messages["outcome."+string(kind)+end]
			if !ok {
				continue
			}
			says := strings.Contains(strings.ToLower(m.text), "nothing") || strings.Contains(m.text, "did not send")
			if want := !slices.Contains(passed, kind); says != want {
				t.Errorf("%s%s says that nothing was sent: %v, want %v", kind, end, says, want)
			}
		}
	}
}
