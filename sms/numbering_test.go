package sms

import (
	"errors"
	"regexp"
	"strings"
	"testing"
)

func TestParseReadsWhatPlayersAndSitesWrite(t *testing.T) {
	tests := []struct {
		in      string
		regions []string
		want    string
	}{
		{"0812-3456-7890", []string{"ID"}, "+6281234567890"},
		{"+62 812-3456-7890", []string{"ID"}, "+6281234567890"},
		{"6281234567890", []string{"ID"}, "+6281234567890"},
		{"812 3456 7890", []string{"ID"}, "+6281234567890"},
		{"62 0812 3456 7890", []string{"ID"}, "+6281234567890"},
		{"+62(0)812-3456-7890", []string{"ID"}, "+6281234567890"},
		{"0812.3456.7890", []string{"ID"}, "+6281234567890"},
		{"０８１２３４５６７８", []string{"ID"}, "+62812345678"},
		{"٠٨١٢٣٤٥٦٧٨٩٠", []string{"ID"}, "+6281234567890"},
		{"\u202a+62 812-3456-7890\u202c", []string{"ID"}, "+6281234567890"},
		{" 0812\u00a03456\u20137890\n", []string{"ID"}, "+6281234567890"},
		{"+65 8123 4567", []string{"ID", "SG"}, "+6581234567"},
		{"8123 4567", []string{"SG", "ID"}, "+6581234567"},
		{"(650) 253-0000", []string{"US"}, "+16502530000"}, // fixed line or mobile: not told apart
	}
	for _, tt := range tests {
		got, err := Numbering{Regions: tt.regions}.Parse(tt.in)
		if err != nil || got.E164() != tt.want {
			t.Errorf("Parse(%q) with %v = %q, %v, want %q", tt.in, tt.regions, got.E164(), err, tt.want)
		}
	}
}

func TestParseRefusesWhatCannotOrMustNotGetACode(t *testing.T) {
	tests := []struct {
		name, in string
		regions  []string
	}{
		{"nothing", "", []string{"ID"}},
		{"only separators", " ()--", []string{"ID"}},
		{"too short", "0812", []string{"ID"}},
		{"too many digits", "081234567890123456", []string{"ID"}},
		{"longer than the cap", "+62 812" + strings.Repeat(" ", 30) + "34567890", []string{"ID"}},
		{"extension in words", "0812-3456-7890 ext 12", []string{"ID"}},
		{"extension by x", "081234567890x12", []string{"ID"}},
		{"extension by number sign", "+6281234567890#12", []string{"ID"}},
		{"extension by semicolon", "+6281234567890;12", []string{"ID"}},
		{"extension by comma", "+6281234567890,12", []string{"ID"}},
		{"tel URI", "tel:+6281234567890", []string{"ID"}},
		{"tel URI with a context", "tel:812345678;phone-context=+62", []string{"ID"}},
		{"keypad letters", "0812FLOWERS1", []string{"ID"}},
		{"words before it", "hp +6281234567890", []string{"ID"}},
		{"two numbers", "081234567890/081234567891", []string{"ID"}},
		{"mark inside", "+62812\u202a34567890", []string{"ID"}},
		{"line break inside", "0812\n34567890", []string{"ID"}},
		{"another region", "+65 8123 4567", []string{"ID"}},
		{"region that shares a calling code", "+1 416 555 0123", []string{"US"}},
		{"fixed line", "021-5550-1234", []string{"ID"}},
		{"premium rate", "0809 123 4567", []string{"ID"}},
		{"toll free", "0800 123 4567", []string{"ID"}},
		{"Indonesian satellite", "0868 1234 5678", []string{"ID"}},
		{"Indonesian satellite with country code", "+62 868 1234 5678", []string{"ID"}},
		{"world-wide satellite", "+870 773 111 632", []string{"ID"}},
		{"international prefix", "0062 812 3456 7890", []string{"ID"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Numbering{Regions: tt.regions}.Parse(tt.in)
			if !errors.Is(err, ErrNumber) || got != "" {
				t.Errorf("Parse(%q) with %v = %q, %v, want ErrNumber", tt.in, tt.regions, got.E164(), err)
			}
		})
	}
}

func TestParseTellsAWrongConfigurationFromAWrongNumber(t *testing.T) {
	for _, n := range []Numbering{
		{Regions: []string{"id"}}, {Regions: []string{"ID", "UK"}}, {Regions: []string{"001"}}, {Types: []NumberType{Mobile, "premium_rate"}}, {Types: []NumberType{VoIP}},
	} {
		_, err := n.Parse("+6281234567890")
		if err == nil || errors.Is(err, ErrNumber) {
			t.Errorf("%+v.Parse = %v, want an error that is not ErrNumber", n, err)
		}
	}
}

func TestANumberingWithoutSettingsMeansIndonesianMobileNumbers(t *testing.T) {
	if got, err := (Numbering{}).Parse("0812-3456-7890"); err != nil || got.E164() != "+6281234567890" {
		t.Errorf("Parse of a mobile number = %q, %v", got.E164(), err)
	}
	for _, other := range []string{"+6581234567", "021-5550-1234"} {
		if got, err := (Numbering{}).Parse(other); !errors.Is(err, ErrNumber) {
			t.Errorf("Parse(%q) = %q, %v, want ErrNumber", other, got.E164(), err)
		}
	}
}

// A type that nobody asked for is a bill, or a factor that proves nothing.
func TestNumbersOfATypeGetCodesOnlyWhereItIsNamed(t *testing.T) {
	all := []string{"US", "GB", "ID"}
	for _, c := range []struct {
		name, in string
		of       NumberType
	}{
		{"mobile", "+62 812 3456 7890", Mobile},
		{"North American", "+1 650 253 0000", FixedOrMobile},
		{"voice over IP", "+44 56 1234 5678", VoIP},
		{"personal", "+44 70 1234 5678", Personal},
		{"fixed line", "+62 21 5550 1234", Fixed},
	} {
		for _, added := range NumberTypes {
			types := []NumberType{Mobile}
			if added != Mobile {
				types = append(types, added)
			}
			got, err := Numbering{Regions: all, Types: types}.Parse(c.in)
			if allowed := c.of == Mobile || c.of == added; allowed != (err == nil) || !allowed && !errors.Is(err, ErrNumber) {
				t.Errorf("%s with %v: Parse = %q, %v, want a number: %v", c.name, types, got.E164(), err, allowed)
			}
		}
		_, err := Numbering{Regions: all}.Parse(c.in)
		if want := c.of == Mobile || c.of == FixedOrMobile; want != (err == nil) {
			t.Errorf("%s by default: Parse = %v, want a number: %v", c.name, err, want)
		}
	}
}

func TestNoSettingLetsCostlyNumbersGetCodes(t *testing.T) {
	every := Numbering{Regions: []string{"US", "GB", "ID"}, Types: NumberTypes}
	for name, in := range map[string]string{
		"premium rate":         "+62 809 123 4567",
		"toll free":            "+62 800 123 4567",
		"shared cost":          "+44 843 123 4567",
		"pager":                "+44 76 4012 3456",
		"company-wide":         "+44 55 1234 5678",
		"Indonesian satellite": "+62 868 1234 5678",
	} {
		if got, err := every.Parse(in); !errors.Is(err, ErrNumber) {
			t.Errorf("%s: Parse = %q, %v, want ErrNumber", name, got.E164(), err)
		} else if strings.Contains(err.Error(), "no such number") {
			t.Errorf("%s: Parse = %v: the example is no number at all", name, err)
		}
	}
	for _, never := range []NumberType{"premium_rate", "shared_cost", "toll_free", "pager", "uan", "voicemail", "unknown", "", "MOBILE"} {
		err := Numbering{Types: []NumberType{Mobile, never}}.Validate()
		if err == nil || !strings.Contains(err.Error(), "want one or more of mobile") {
			t.Errorf("Validate with %q = %v, want that it gets no codes", never, err)
		}
	}
}

func TestValidateSaysWhatToWrite(t *testing.T) {
	for _, c := range []struct {
		numbering Numbering
		want      string // of the error; none if empty
	}{
		{Numbering{}, ""},
		{Numbering{Regions: []string{"ID", "SG", "GB"}, Types: NumberTypes}, ""},
		{Numbering{Regions: []string{"UK"}}, `region "UK" is not known: want an ISO 3166-1`},
		{Numbering{Types: []NumberType{Mobile, VoIP, VoIP}}, `numbers of type "voip" are named twice`},
		{Numbering{Types: []NumberType{VoIP, Fixed}}, "want mobile too, such as mobile voip"},
	} {
		err := c.numbering.Validate()
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%+v.Validate() = %v, want %q", c.numbering, err, c.want)
		}
	}
}

// FuzzParseNumber holds what everything behind a Number relies on: one number has
// one form, and nothing that was typed comes back in an error.
func FuzzParseNumber(f *testing.F) {
	for _, s := range []string{
		"0812-3456-7890", "+62 812-3456-7890", "+62(0)812 3456 7890", "+1 (650) 253-0000", "٠٨١٢٣٤٥٦٧٨٩٠",
		"\u202a+6281234567890\u202c", "+6281234567890 ext 12", "tel:+62812;ext=1", "0868 1234 5678", "++62++812", "(((((((", "0",
	} {
		f.Add(s)
	}
	numbering := Numbering{Regions: []string{"ID", "SG", "US", "IT"}, Types: NumberTypes}
	e164 := regexp.MustCompile(`^\+[1-9][0-9]{6,14}$`)
	f.Fuzz(func(t *testing.T, s string) {
		n, err := numbering.Parse(s)
		if err != nil {
			if n != "" || !errors.Is(err, ErrNumber) {
				t.Fatalf("Parse(%q) = %q, %v, want no number and ErrNumber", s, n.E164(), err)
			}
			if digits := strings.Map(asciiDigit, s); len(digits) > 5 && strings.Contains(err.Error(), digits) {
				t.Fatalf("Parse(%q): the error %q repeats the number", s, err)
			}
			return
		}
		if !e164.MatchString(n.E164()) {
			t.Fatalf("Parse(%q) = %q, want E.164", s, n.E164())
		}
		if again, err := numbering.Parse(n.E164()); err != nil || again != n {
			t.Fatalf("Parse(%q) = %q, %v, want itself", n.E164(), again.E164(), err)
		}
		if strings.Contains(n.String(), n.Digits()) || n.String() == "•••" {
			t.Fatalf("%q is masked as %q", n.E164(), n)
		}
	})
}

func asciiDigit(r rune) rune {
	if '0' <= r && r <= '9' {
		return r
	}
	return -1
}
