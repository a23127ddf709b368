package factor

import (
	"strings"
	"testing"
)

func TestNormalizeCodeReadsWhatPlayersTypeAndPaste(t *testing.T) {
	for _, in := range []string{
		"123456", " 123456\n", "123 456", "123-456", "1 2 3 4 5 6", "123\u00a0456", "123\u202f456",
		"12\u201034\u201156", "123–456", "123—456", "123−456", "\u200e123456\u200f", "\u202a123456\u202c", "\ufeff123456",
		"１２３４５６", "١٢٣٤٥٦", "۱۲۳۴۵۶", "12３٤۵6",
	} {
		if got, ok := NormalizeCode(in); got != "123456" || !ok {
			t.Errorf("NormalizeCode(%q) = %q, %v, want 123456", in, got, ok)
		}
	}
	if got, ok := NormalizeCode("000000"); got != "000000" || !ok {
		t.Errorf("NormalizeCode(000000) = %q, %v, want it unchanged", got, ok)
	}
}

func TestNormalizeCodeRefusesWhatIsNotSixDigits(t *testing.T) {
	for _, in := range []string{
		"", " ", "12345", "1234567", "123 456 7", "12345O", "l23456", "123.456", "123,456", "+123456", "-", "0x1234",
		"12345a", "a123456", "123456\x00", "12345\xff", "\xff123456", "१२३४५६", "①②③④⑤⑥", "²³¹⁴⁵⁶", "123456;123456",
		strings.Repeat(" ", maxCodeInput) + "123456",
	} {
		if got, ok := NormalizeCode(in); got != "" || ok {
			t.Errorf("NormalizeCode(%q) = %q, %v, want no code", in, got, ok)
		}
	}
}

func FuzzNormalizeCode(f *testing.F) {
	for _, s := range []string{"123456", "12 34-56", "１２３４５６", "١٢٣٤٥٦", "12345", "\u202a123456\u202c", "123456\xff", "1234567"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		code, ok := NormalizeCode(s)
		if !ok {
			if code != "" {
				t.Fatalf("NormalizeCode(%q) = %q, false, want no code with it", s, code)
			}
			return
		}
		if len(code) != Digits || strings.Trim(code, "0123456789") != "" {
			t.Fatalf("NormalizeCode(%q) = %q, want six digits", s, code)
		}
		if again, ok := NormalizeCode(code); again != code || !ok {
			t.Fatalf("NormalizeCode(%q) = %q, %v, want itself", code, again, ok)
		}
		if len(s) > maxCodeInput {
			t.Fatalf("NormalizeCode took %d bytes", len(s))
		}
	})
}
