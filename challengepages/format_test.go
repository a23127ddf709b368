package challengepages

import (
	"html"
	"strings"
	"testing"
	"time"
)

func TestPlainAmountsAreFormattedDigitForDigit(t *testing.T) {
	for _, test := range []struct{ value, id, en string }{
		{"0", "Rp0", "Rp0"},
		{"5", "Rp5", "Rp5"},
		{"999", "Rp999", "Rp999"},
		{"1000", "Rp1.000", "Rp1,000"},
		{"2500000", "Rp2.500.000", "Rp2,500,000"},
		{"2500000.5", "Rp2.500.000,5", "Rp2,500,000.5"},
		{"2500000.00", "Rp2.500.000,00", "Rp2,500,000.00"},
		{"999999999999999.99", "Rp999.999.999.999.999,99", "Rp999,999,999,999,999.99"},
	} {
		for lang, want := range map[Lang]string{Indonesian: test.id, English: test.en} {
			if got, ok := builtInCatalogue(t, lang).format.money("IDR", test.value); got != want || !ok {
				t.Errorf("money(%s, %q) = %q, %v, want %q", lang, test.value, got, ok, want)
			}
		}
	}
	if got, _ := builtInCatalogue(t, English).format.money("USD", "1234.50"); got != "USD\u00a01,234.50" {
		t.Errorf("another currency is %q", got)
	}
}

// What can be read in more than one way is shown as it is, so that the page never
// says something else than what the site will understand.
func TestAmountsThatCanBeReadTwoWaysAreNotFormatted(t *testing.T) {
	for _, value := range []string{"", " 1", "1 ", "01", "+1", "-1", "1e9", "0x10", "1.234", "1.", ".5", "1,5", "2.500.000", "2,500,000",
		"Rp1", "１２", "1\n", "1000000000000000", "1_000", "NaN", "1\u202e2"} {
		if got, ok := builtInCatalogue(t, Indonesian).format.money("IDR", value); ok {
			t.Errorf("money(%q) = %q", value, got)
		}
		page := render(t, newRenderer(t), English, Challenge{Factor: "totp", Details: []Detail{{"amount", value}}})
		if value != "" && strings.TrimSpace(value) == value && !strings.Contains(html.UnescapeString(readable(page)), "Amount"+shown(value)) {
			t.Errorf("an amount of %q is not shown as it is", value)
		}
	}
}

func TestTimesAreToldInTheSitesZone(t *testing.T) {
	zone := func(name string, hours float64) *time.Location { return time.FixedZone(name, int(hours*3600)) }
	for _, test := range []struct {
		location *time.Location
		id, en   string
	}{
		{zone("WIB", 7), "14.00\u00a0WIB", "14:00\u00a0WIB"},
		{zone("WITA", 8), "15.00\u00a0WITA", "15:00\u00a0WITA"},
		{zone("WIT", 9), "16.00\u00a0WIT", "16:00\u00a0WIT"},
		{zone("+08", 8), "15.00\u00a0UTC+8", "15:00\u00a0UTC+8"},
		{zone("IST", 5.5), "12.30\u00a0UTC+5:30", "12:30\u00a0UTC+5:30"},
		{zone("EST", -5), "02.00\u00a0UTC-5", "02:00\u00a0UTC-5"},
		{nil, "07.00\u00a0UTC", "07:00\u00a0UTC"},
	} {
		for lang, want := range map[Lang]string{Indonesian: test.id, English: test.en} {
			w := &words{catalogue: builtInCatalogue(t, lang), location: test.location}
			if got := w.clock(now.In(time.Local)); got != want {
				t.Errorf("in %v and %s it is %q, want %q", test.location, lang, got, want)
			}
		}
	}
	w := &words{catalogue: builtInCatalogue(t, Indonesian), location: jakarta}
	if got, want := w.dateClock(now.Add(12*time.Hour)), "4\u00a0Januari\u00a02026, 02.00\u00a0WIB"; got != want {
		t.Errorf("dateClock = %q, want %q", got, want)
	}
	if got, want := w.exactClock(now), "14.00.00\u00a0WIB"; got != want {
		t.Errorf("exactClock = %q, want %q", got, want)
	}
}

func TestProgramsGetDetailsAsThePageShowsThem(t *testing.T) {
	r := newRenderer(t)
	for _, d := range []Detail{{"amount", "2500000"}, {"amount", "2.500.000"}, {"to", "BCA \u202e4321"}, {"note", "<b>"}} {
		for _, lang := range []Lang{Indonesian, English} {
			value := r.DetailValue(lang, d)
			page := render(t, r, lang, Challenge{Factor: "totp", Details: []Detail{d}})
			if !strings.Contains(html.UnescapeString(readable(page)), value) {
				t.Errorf("the page in %s does not show %+v as %q", lang, d, value)
			}
		}
	}
	if got, want := r.DetailValue("xx", Detail{"amount", "2500000"}), "Rp2.500.000"; got != want {
		t.Errorf("in an unknown language it is %q, want %q", got, want)
	}
}
