package sms

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"testing"
)

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

func TestANumberKnowsItsCountry(t *testing.T) {
	for _, tt := range []struct{ in, region, national string }{
		{"+6281234567890", "ID", "081234567890"},
		{"+16502530000", "US", "6502530000"},
		{"+14165550123", "CA", "4165550123"},
		{"+870773111632", "", "773111632"}, // a satellite network of no country
		{"+447400123456", "GB", "07400123456"},
		{"nonsense", "", "nonsense"},
		{"", "", ""},
	} {
		n := Number(tt.in)
		if n.Region() != tt.region || n.National() != tt.national {
			t.Errorf("%q: region %q, national %q, want %q, %q", tt.in, n.Region(), n.National(), tt.region, tt.national)
		}
	}
}
