package challengepages

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
)

var formTargets = regexp.MustCompile(`<form method="post" action="/account/security/([a-z-]+)"`)

// offered lists what a security page offers to do, sorted, each once.
func offered(t *testing.T, s Settings) []string {
	t.Helper()
	var all []string
	for _, m := range formTargets.FindAllStringSubmatch(render(t, newRenderer(t), Indonesian, s), -1) {
		all = append(all, m[1])
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Whoever reported a change may not be the one who now has the phone: until the
// freeze is lifted nothing else can be changed (R27, R38).
func TestFrozenAccountIsOfferedLiftingOnly(t *testing.T) {
	full := security(withAll)
	full.Recovered, full.Enrolments[0].Disabled = now, true
	full.Frozen, full.Liftable = now, true
	if got, want := offered(t, full), []string{"lift"}; !slices.Equal(got, want) {
		t.Errorf("a frozen account is offered %v, want %v", got, want)
	}
	full.Liftable = false
	if got := offered(t, full); len(got) > 0 {
		t.Errorf("an account that only support can unfreeze is offered %v, want nothing", got)
	}
	page := render(t, newRenderer(t), English, full)
	if !strings.Contains(page, `class="go" href="/account/security/help"`) {
		t.Error("an account that only support can unfreeze is not led to help")
	}
}

// Any factor can be revoked by the player (R27), but the last one only by switching
// two-step verification off, which says what that means.
func TestOnlyAuthenticatorHasNoRemoveButton(t *testing.T) {
	if got := offered(t, security(withTOTP)); slices.Contains(got, "remove") || !slices.Contains(got, "off") {
		t.Errorf("with one authenticator the page offers %v, want off and no remove", got)
	}
	if got := offered(t, security(usual)); !slices.Contains(got, "remove") || !slices.Contains(got, "forget") {
		t.Errorf("with two authenticators and a trusted browser the page offers %v, want remove and forget among it", got)
	}
}

func TestFullAccountIsNotOfferedAnotherAuthenticator(t *testing.T) {
	if got := offered(t, security(withAll)); slices.Contains(got, "totp") {
		t.Errorf("with five authenticators the page offers %v, want no totp", got)
	}
}

func TestTypedNumberIsKept(t *testing.T) {
	page := render(t, newRenderer(t), English, security(func(s *Settings) { s.Problem, s.Typed = ProblemPhone, `0812 "345` }))
	for _, want := range []string{`value="0812 &#34;345"`, "<details open>", `aria-invalid="true" autofocus`} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
}

// R18 and R19: nothing that happens to a player's security is shown without words.
func TestEveryActivityHasWordsInEveryLanguage(t *testing.T) {
	for _, lang := range []Lang{Indonesian, English} {
		for _, kind := range Activities {
			if text := builtInCatalogue(t, lang).messages["activity."+string(kind)].text; text == "" {
				t.Errorf("%s has no words for the activity %q", lang, kind)
			}
		}
	}
}

func TestFirstActivitiesAreShownAndTheOthersFolded(t *testing.T) {
	page := render(t, newRenderer(t), English, security(func(s *Settings) { s.Activities = activities(Activities...) }))
	open, folded, ok := strings.Cut(page, "Show 14 more")
	if !ok {
		t.Fatal("the page does not say that there are 14 more")
	}
	if n := strings.Count(open, "<li>\n<p><b>"); n != recentActivities {
		t.Errorf("%d activities are shown at once, want %d", n, recentActivities)
	}
	if n := strings.Count(folded, "<li>\n<p><b>"); n != len(Activities)-recentActivities {
		t.Errorf("%d activities are folded, want %d", n, len(Activities)-recentActivities)
	}
}

// SMS is offered with a notice of its risk, next to the stronger app, and each
// switch says what ends by it (R3, R29, R56).
func TestSMSIsShownWithItsRiskAndWhatItReplaces(t *testing.T) {
	const risk, smsEnds, appEnds = "taken over by others", "SMS codes are not used any more", "all authenticators above are removed"
	r := newRenderer(t)
	for name, test := range map[string]struct {
		page Settings
		want []bool // risk, smsEnds, appEnds
	}{
		"off":    {security(nil), []bool{true, false, false}},
		"SMS":    {security(withSMS), []bool{true, true, false}},
		"TOTP":   {security(withTOTP), []bool{true, false, true}},
		"no SMS": {security(func(s *Settings) { s.NoSMS = true }), []bool{false, false, false}},
	} {
		page := render(t, r, English, test.page)
		got := []bool{strings.Contains(page, risk), strings.Contains(page, smsEnds), strings.Contains(page, appEnds)}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: risk, end of SMS, end of apps are told: %v, want %v", name, got, test.want)
		}
		if !slices.Contains(offered(t, test.page), "totp") {
			t.Errorf("%s: the stronger method is not offered", name)
		}
	}
}

// A cooling-off time and the link of a notice speak of moments on other days, which
// a player in another zone would get wrong.
func TestPlayersOwnTimeIsAddedOutsideTheSettingsToo(t *testing.T) {
	b := openBrowser(t, site(t, newRenderer(t)), time.Minute)
	call(t, b, emulation.SetTimezoneOverride, emulation.SetTimezoneOverrideParams{TimezoneID: "Asia/Jayapura"})
	for state, want := range map[string]string{
		"outcome-on_hold":   "4 Januari 2026, 16.00 WIB (18.00 waktu Anda)",
		"outcome-try_later": "16.00.00 WIB (18.00 waktu Anda)",
		"freeze":            "3 Januari 2026, 13.00 WIB (15.00 waktu Anda)",
	} {
		b.open(t, "/id/"+state)
		got := evaluate[string](t, b, `document.querySelector('.lead b').textContent`)
		if got = strings.ReplaceAll(got, "\u00a0", " "); got != want {
			t.Errorf("%s says %q, want %q", state, got, want)
		}
	}
}

func TestPlayersOwnTimeIsAddedWhereItDiffers(t *testing.T) {
	b := openBrowser(t, site(t, newRenderer(t)), time.Minute)
	for zone, want := range map[string]string{
		"Asia/Jakarta":  "Terakhir dipakai 3 Januari 2026, 13.00 WIB",
		"Asia/Makassar": "Terakhir dipakai 3 Januari 2026, 13.00 WIB (14.00 waktu Anda)",
		"Pacific/Niue":  "Terakhir dipakai 3 Januari 2026, 13.00 WIB (2 Jan, 19.00 waktu Anda)",
	} {
		call(t, b, emulation.SetTimezoneOverride, emulation.SetTimezoneOverrideParams{TimezoneID: zone})
		b.open(t, "/id/settings-totp")
		got := evaluate[string](t, b, `document.querySelector('.items').textContent`)
		if got = strings.ReplaceAll(got, "\u00a0", " "); !slices.Contains(strings.Split(got, "\n"), want) {
			t.Errorf("in %s the page says %q, want %q", zone, got, want)
		}
	}
}

// A lifted freeze can leave the recovery key alone. It guards every change (I6), so the
// page must not say that nothing but the password does.
func TestTheRecoveryKeyAloneIsNotOff(t *testing.T) {
	r := newRenderer(t)
	for lang, off := range map[Lang]string{English: "is off", Indonesian: "belum aktif"} {
		page := render(t, r, lang, stateNamed(t, "settings-key"))
		state := page[strings.Index(page, `class="state"`):]
		state = state[:strings.Index(state, "</div>")]
		if strings.Contains(state, off) || !strings.Contains(strings.ToLower(state), map[Lang]string{English: "recovery key", Indonesian: "kunci pemulihan"}[lang]) {
			t.Errorf("%s: the state is %s", lang, state)
		}
	}
}
