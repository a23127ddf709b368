package gsm7

import "testing"

func TestSeptetsAreCountedAsTheStandardSays(t *testing.T) {
	for s, want := range map[string]int{"": 0, "abc": 3, "@£$\n": 4, "{€}": 6, "Ä": 1} {
		if n, ok := Septets(s); n != want || !ok {
			t.Errorf("Septets(%q) = %d, %v, want %d", s, n, ok, want)
		}
	}
	for _, s := range []string{"–", "•", "’", "ç", "\u00a0", "\r"} {
		if _, ok := Septets(s); ok {
			t.Errorf("septets says that %q is in GSM-7", s)
		}
	}
}
