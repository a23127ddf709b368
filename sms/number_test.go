package sms

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"testing"
)

func TestParseNumberReadsWhatPlayersAndSitesWrite(t *testing.T) {
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
		got, err := ParseNumber(tt.in, tt.regions)
		if err != nil || got.E164() != tt.want {
			t.Errorf("ParseNumber(%q, %v) = %q, %v, want %q", tt.in, tt.regions, got.E164(), err, tt.want)
		}
	}
}

func TestParseNumberRefusesWhatCannotOrMustNotGetACode(t *testing.T) {
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
			got, err := ParseNumber(tt.in, tt.regions)
			if !errors.Is(err, ErrNumber) || got != "" {
				t.Errorf("ParseNumber(%q, %v) = %q, %v, want ErrNumber", tt.in, tt.regions, got.E164(), err)
			}
		})
	}
}

func TestParseNumberTellsAWrongConfigurationFromAWrongNumber(t *testing.T) {
	for _, regions := range [][]string{nil, {"id"}, {"ID", "UK"}, {"001"}} {
		_, err := ParseNumber("+6281234567890", regions)
		if err == nil || errors.Is(err, ErrNumber) {
			t.Errorf("ParseNumber(_, %q) = %v, want an error that is not ErrNumber", regions, err)
		}
	}
	if err := ValidateRegions([]string{"ID", "SG", "GB"}); err != nil {
		t.Errorf("ValidateRegions(ID SG GB) = %v, want nil", err)
	}
}

func TestMaskShowsTheCountryAndTheLastDigitsOnly(t *testing.T) {
	tests := []struct{ in, want string }{
		{"+6281234567890", "+62 ••• •••• 7890"},
		{"+62812345678", "+62 ••• •••• 5678"},
		{"+16502530000", "+1 ••• •••• 0000"},
		{"+6581234567", "+65 ••• •••• 4567"},
		{"+85261234567", "+852 ••• •••• 4567"},
		{"+79161234567", "+7 ••• •••• 4567"},
		{"+29022158", "+290 ••• •••• 58"}, // four digits would be nearly all of it
		{"", "•••"},
		{"6281234567890", "•••"},
		{"+62", "•••"},
		{"+62812345678901234", "•••"},
		{"+62812abc7890", "•••"},
		{"+99912345678", "•••"}, // no such calling code
	}
	for _, tt := range tests {
		if got := Number(tt.in).Mask(); got != tt.want {
			t.Errorf("Number(%q).Mask() = %q, want %q", tt.in, got, tt.want)
		}
	}
}

func TestInvariantI8ANumberPrintsMasked(t *testing.T) {
	const full = Number("+6281234567890")
	var log strings.Builder
	logger := slog.New(slog.NewTextHandler(&log, nil))
	logger.Info("sent", "to", full, "message", Message{To: full, Text: "123456 is your code", Code: "123456"})
	record := struct{ To Number }{full}
	printed := []string{
		full.String(), full.GoString(), log.String(),
		fmt.Sprint(full), fmt.Sprintf("%s %v %q %x %#v", full, full, full, full, full),
		fmt.Sprintf("%v %+v %#v", record, record, record),
		fmt.Sprintf("%v %+v %#v", Message{To: full}, Message{To: full}, Message{To: full}),
	}
	hidden := regexp.MustCompile(`34567890|3132333435363738|123456`)
	for _, p := range printed {
		if hidden.MatchString(p) {
			t.Errorf("printed %q: it shows more than the last four digits", p)
		}
	}
	if !strings.Contains(log.String(), "7890") {
		t.Errorf("log line %q lacks the masked number", log.String())
	}
}

func TestNumberSurvivesJSONInFull(t *testing.T) {
	in := struct{ To Number }{"+6281234567890"}
	b, err := json.Marshal(in)
	if err != nil || string(b) != `{"To":"+6281234567890"}` {
		t.Fatalf("json.Marshal = %s, %v", b, err)
	}
	out := in
	out.To = ""
	if err := json.Unmarshal(b, &out); err != nil || out != in {
		t.Errorf("json.Unmarshal gives %q, %v, want %q", out.To.E164(), err, in.To.E164())
	}
	if got := in.To.Digits(); got != "6281234567890" {
		t.Errorf("Digits() = %q", got)
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
	regions := []string{"ID", "SG", "US", "IT"}
	e164 := regexp.MustCompile(`^\+[1-9][0-9]{6,14}$`)
	f.Fuzz(func(t *testing.T, s string) {
		n, err := ParseNumber(s, regions)
		if err != nil {
			if n != "" || !errors.Is(err, ErrNumber) {
				t.Fatalf("ParseNumber(%q) = %q, %v, want no number and ErrNumber", s, n.E164(), err)
			}
			if digits := strings.Map(asciiDigit, s); len(digits) > 5 && strings.Contains(err.Error(), digits) {
				t.Fatalf("ParseNumber(%q): the error %q repeats the number", s, err)
			}
			return
		}
		if !e164.MatchString(n.E164()) {
			t.Fatalf("ParseNumber(%q) = %q, want E.164", s, n.E164())
		}
		if again, err := ParseNumber(n.E164(), regions); err != nil || again != n {
			t.Fatalf("ParseNumber(%q) = %q, %v, want itself", n.E164(), again.E164(), err)
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
