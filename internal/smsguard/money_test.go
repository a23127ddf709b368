package smsguard_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/stepgate/stepgate/internal/smsguard"
)

func money(t testing.TB, s string) smsguard.Money {
	t.Helper()
	m, err := smsguard.ParseMoney(s)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestMoneyIsReadExactly(t *testing.T) {
	for text, want := range map[string]smsguard.Money{
		"0":                    0,
		"0.04":                 40_000,
		"0.0333":               33_300,
		"0.000001":             1,
		"20":                   20_000_000,
		"20.00":                20_000_000,
		"650":                  650_000_000,
		"1000000000000":        smsguard.MaxMoney,
		"1000000000000.000000": smsguard.MaxMoney,
		"999999999999.999999":  smsguard.MaxMoney - 1,
	} {
		if got, err := smsguard.ParseMoney(text); got != want || err != nil {
			t.Errorf("ParseMoney(%q) = %d, %v, want %d", text, int64(got), err, int64(want))
		}
	}
}

func TestMoneyThatCanBeReadInTwoWaysIsRefused(t *testing.T) {
	for _, text := range []string{
		"", ".", "0.", ".04", "-1", "+1", "0,04", "1,000", "1.000.000", "01", "00", "1e3", "0x10", " 1", "1 ", "$1", "1 EUR",
		"0.0000001", "1000000000000.000001", "1000000000001", "99999999999999999999", "٤", "NaN", "Inf", "1_000",
	} {
		if got, err := smsguard.ParseMoney(text); err == nil {
			t.Errorf("ParseMoney(%q) = %v, want an error", text, got)
		} else if !strings.Contains(err.Error(), "such as 0.04") {
			t.Errorf("ParseMoney(%q): %v, want it to say what to write", text, err)
		}
	}
}

func TestMoneyPrintsExactly(t *testing.T) {
	for m, want := range map[smsguard.Money]string{
		0: "0", 1: "0.000001", 40_000: "0.04", 33_300: "0.0333", 20_000_000: "20", 20_500_000: "20.5",
		smsguard.MaxMoney: "1000000000000", -40_000: "-0.04", math.MinInt64: "-9223372036854.775808",
	} {
		if got := m.String(); got != want {
			t.Errorf("Money(%d) prints %q, want %q", int64(m), got, want)
		}
	}
}

func TestMoneyIsTextInJSON(t *testing.T) {
	b, err := json.Marshal(money(t, "0.04"))
	if err != nil || string(b) != `"0.04"` {
		t.Errorf("Marshal = %s, %v", b, err)
	}
	var m smsguard.Money
	if err := json.Unmarshal([]byte(`"0.0333"`), &m); err != nil || m != 33_300 {
		t.Errorf("Unmarshal = %v, %v", m, err)
	}
	if err := json.Unmarshal([]byte(`0.04`), &m); err == nil {
		t.Error("a number passes through floating point and is read all the same")
	}
}

func FuzzParseMoney(f *testing.F) {
	for _, seed := range []string{"0.04", "20", "0.000001", "1000000000000", "01", "1e3", "0,04", "9223372036854.775808", "1."} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		m, err := smsguard.ParseMoney(text)
		if err != nil {
			return
		}
		if m < 0 || m > smsguard.MaxMoney {
			t.Errorf("ParseMoney(%q) = %d, out of range", text, int64(m))
		}
		printed := m.String()
		if again, err := smsguard.ParseMoney(printed); again != m || err != nil {
			t.Errorf("ParseMoney(%q) = %v, but %q reads as %v, %v", text, m, printed, again, err)
		}
		trimmed := text
		if strings.Contains(text, ".") {
			trimmed = strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
		}
		if printed != trimmed {
			t.Errorf("ParseMoney(%q) prints %q", text, printed)
		}
	})
}
