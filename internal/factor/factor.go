// Package factor checks second factors, and nothing else: given the secret, what
// the player typed and the time, it says right or wrong. It also makes the
// secrets, since their strength is part of the same promise.
//
// # What holds here
//
// Everything is a pure function of its arguments: no clock, no source of
// randomness, no state. Comparisons of secrets take the same time whatever was
// guessed. A TOTP step that was used, or lies before one that was used, is never
// right again. An SMS code belongs to one challenge, one generation and one
// number, and is derived, so that no store holds it.
//
// # What does not
//
// Attempt budgets, single use across nodes, sealing and delivery are not here.
// Six digits are guessable by whoever may guess for long (NIST SP 800-63B-4,
// 3.1.3.2 and 3.1.4.2 demand a limit): a caller must count the attempt before it
// asks this package, and must store the step or mark the code used before it
// acts on the answer.
package factor

import "unicode"

// Digits is the length of TOTP and SMS codes: six digits, the 20 bits that OWASP
// ASVS 6.5.4 and NIST SP 800-63B-4 (3.1.3.2) ask for.
const Digits = 6

// maxCodeInput is the longest text that is read as a code, in bytes: six digits
// of any supported script with a separator around each.
const maxCodeInput = 64

// NormalizeCode reads a six-digit code as players type and paste it: with spaces,
// dashes and invisible marks, in full-width or Arabic digits. It returns the six
// ASCII digits; ok is false for everything else, among it any letter, since a
// code that needs guessing at is not one that the player read.
func NormalizeCode(s string) (code string, ok bool) {
	if len(s) > maxCodeInput {
		return "", false
	}
	var digits [Digits]byte
	n := 0
	for _, r := range s {
		if separator(r) {
			continue
		}
		d, ok := digit(r)
		if !ok || n == Digits {
			return "", false
		}
		digits[n] = d
		n++
	}
	if n != Digits {
		return "", false
	}
	return string(digits[:]), true
}

// digit returns the ASCII digit for one of the scripts that keyboards in our
// players' countries produce: ASCII, full-width, Arabic-Indic and its eastern
// form.
func digit(r rune) (byte, bool) {
	for _, zero := range [...]rune{'0', '０', '٠', '۰'} {
		if r >= zero && r <= zero+9 {
			return '0' + byte(r-zero), true
		}
	}
	return 0, false
}

// separator reports whether a rune only groups or directs what is around it:
// white space (a no-break space too), dashes, minus sign, and format characters
// such as the direction marks that come along when a message is copied.
func separator(r rune) bool {
	return unicode.IsSpace(r) || r == '−' || unicode.In(r, unicode.Pd, unicode.Cf)
}
