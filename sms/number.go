package sms

import (
	"log/slog"
	"strconv"
	"strings"

	"github.com/nyaruka/phonenumbers"
)

// Number is a phone number in E.164 form with its "+", as [Numbering.Parse]
// makes it.
// The zero value is no number.
//
// A number prints masked wherever fmt and log/slog print it, so that an ordinary
// log line cannot give it away; [Number.E164] and [Number.Digits] give it in
// full, and a conversion to string does so too. JSON keeps it in full as well:
// the records that hold numbers are stored as JSON and must read back, and they
// are sealed before they reach a disk. A Number must therefore not be put into
// JSON that leaves the gateway; that is what [Number.Mask] is for.
type Number string

// E164 returns the full number, "+6281234567890". It is for senders and for
// sealed records, never for logs, pages or URLs.
func (n Number) E164() string { return string(n) }

// Digits returns the full number without its "+", "6281234567890". What is said
// of [Number.E164] holds for it.
func (n Number) Digits() string { return strings.TrimPrefix(string(n), "+") }

// Mask returns the number as a page may show it to its holder: the country code
// and the last four digits, "+62 ••• •••• 7890". The number of dots is the same
// for every number. A number so short that four digits would be half of it shows
// two. What is not a number gives dots only.
func (n Number) Mask() string {
	code, national, ok := n.split()
	if !ok {
		return "•••"
	}
	shown := 4
	if len(national) < 2*shown {
		shown = 2
	}
	return "+" + code + " ••• •••• " + national[len(national)-shown:]
}

// split separates the country calling code from the national number. No calling
// code is the beginning of another one (ITU-T E.164).
func (n Number) split() (code, national string, ok bool) {
	digits, plus := strings.CutPrefix(string(n), "+")
	if !plus || len(digits) < 7 || len(digits) > 15 {
		return "", "", false
	}
	for i := range len(digits) {
		if digits[i] < '0' || digits[i] > '9' {
			return "", "", false
		}
	}
	for i := 1; i <= 3; i++ {
		c, _ := strconv.Atoi(digits[:i]) // one to three digits
		if phonenumbers.GetSupportedCallingCodes()[c] {
			return digits[:i], digits[i:], true
		}
	}
	return "", "", false
}

// Region returns the ISO 3166-1 alpha-2 code of the number's country or territory,
// "ID"; empty if it belongs to none.
func (n Number) Region() string {
	parsed, err := phonenumbers.Parse(string(n), "")
	if err != nil {
		return ""
	}
	region := phonenumbers.GetRegionCodeForNumber(parsed)
	if !phonenumbers.GetSupportedRegions()[region] {
		return ""
	}
	return region
}

// National returns the number as its own country dials it, digits only,
// "081234567890"; as [Number.Digits] where that is not known. What is said of
// [Number.E164] holds for it.
func (n Number) National() string {
	parsed, err := phonenumbers.Parse(string(n), "")
	if err != nil {
		return n.Digits()
	}
	return strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, phonenumbers.Format(parsed, phonenumbers.NATIONAL))
}

// String returns the masked form.
func (n Number) String() string { return n.Mask() }

// GoString returns the masked form.
func (n Number) GoString() string { return n.Mask() }

// LogValue returns the masked form.
func (n Number) LogValue() slog.Value { return slog.StringValue(n.Mask()) }
