package sms

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/nyaruka/phonenumbers"
)

// ErrNumber says that a text is not a phone number to which this site sends
// codes. The error that wraps it says why, without the number, for the operator;
// the player is told only this much, because a finer answer would say what is
// known about a number.
var ErrNumber = errors.New("not a number that can get a code here")

// maxNumberInput is the longest text that is looked at, in bytes. E.164 has 15
// digits; twice that leaves room for separators, and the parser, which has had
// faults with long input, never sees more.
const maxNumberInput = 32

// deniedPrefixes are numbers that the metadata counts as mobile and that no
// sender reaches at a sane price: +62868 is the Indonesian satellite network.
var deniedPrefixes = []string{"+62868"}

// Number is a phone number in E.164 form with its "+", as ParseNumber makes it.
// The zero value is no number.
//
// A number prints masked wherever fmt and log/slog print it, so that an ordinary
// log line cannot give it away; [Number.E164] and [Number.Digits] give it in
// full, and a conversion to string does so too. JSON keeps it in full as well:
// the records that hold numbers are stored as JSON and must read back, and they
// are sealed before they reach a disk. A Number must therefore not be put into
// JSON that leaves the gateway; that is what [Number.Mask] is for.
type Number string

// ValidateRegions reports what is wrong with a list of regions, or nil. Regions
// are ISO 3166-1 alpha-2 codes in capitals ("ID"), and there is at least one.
func ValidateRegions(regions []string) error {
	if len(regions) == 0 {
		return errors.New("no region is allowed: want at least one, such as ID")
	}
	for _, r := range regions {
		if !phonenumbers.GetSupportedRegions()[r] {
			return fmt.Errorf("region %q is not known: want an ISO 3166-1 alpha-2 code in capitals, such as ID", r)
		}
	}
	return nil
}

// ParseNumber reads a phone number as a player or a site writes it. A number
// without its country code belongs to regions[0]; the others are allowed besides.
//
// It accepts digits of any script, "+", and the separators space, hyphen, full
// stop and parentheses. It returns an error that wraps [ErrNumber] unless the
// number is a valid mobile number of an allowed region: fixed lines, premium,
// shared-cost, toll-free, pager, voice-over-IP and satellite numbers are refused,
// because they cost the operator money or do not prove that anybody holds a
// phone. Where a region does not tell mobile numbers from fixed ones (North
// America), both are accepted. An extension is refused: the number would be the
// switchboard's.
//
// Any other error is from [ValidateRegions], and a mistake in the configuration.
func ParseNumber(s string, regions []string) (Number, error) {
	if err := ValidateRegions(regions); err != nil {
		return "", err
	}
	if len(s) > maxNumberInput {
		return "", fmt.Errorf("%w: longer than %d bytes", ErrNumber, maxNumberInput)
	}
	// A number that is copied from an address book comes wrapped in marks for
	// writing direction.
	s = strings.TrimFunc(s, func(r rune) bool { return unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) })
	// The parser looks for a number inside whatever it gets: "tel:" links, letters
	// of a keypad, two numbers in one field. Somebody who typed that meant
	// something else than what it finds.
	if strings.ContainsFunc(s, func(r rune) bool { return !numberRune(r) }) {
		return "", fmt.Errorf("%w: something else than digits and separators in it", ErrNumber)
	}
	parsed, err := phonenumbers.Parse(s, regions[0])
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrNumber, err)
	}
	if err := checkParsed(parsed, regions); err != nil {
		return "", fmt.Errorf("%w: %w", ErrNumber, err)
	}
	n := Number(phonenumbers.Format(parsed, phonenumbers.E164))
	for _, p := range deniedPrefixes {
		if strings.HasPrefix(string(n), p) {
			return "", fmt.Errorf("%w: prefix %s is denied", ErrNumber, p)
		}
	}
	return n, nil
}

func checkParsed(n *phonenumbers.PhoneNumber, regions []string) error {
	// The filter on characters leaves no known way to write an extension; this
	// holds if the library learns another one.
	if n.GetExtension() != "" {
		return errors.New("it has an extension")
	}
	if !phonenumbers.IsValidNumber(n) {
		return errors.New("no such number can exist")
	}
	if !slices.Contains(regions, phonenumbers.GetRegionCodeForNumber(n)) {
		return errors.New("its region is not allowed")
	}
	switch phonenumbers.GetNumberType(n) {
	case phonenumbers.MOBILE, phonenumbers.FIXED_LINE_OR_MOBILE:
		return nil
	default:
		return errors.New("it is not a mobile number")
	}
}

func numberRune(r rune) bool {
	switch r {
	case '+', '＋', '(', ')', '.', '-', ' ', '\u00a0', '\u202f', '\u2010', '\u2011', '\u2012', '\u2013':
		return true
	default:
		return unicode.IsDigit(r)
	}
}

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

// String returns the masked form.
func (n Number) String() string { return n.Mask() }

// GoString returns the masked form.
func (n Number) GoString() string { return n.Mask() }

// LogValue returns the masked form.
func (n Number) LogValue() slog.Value { return slog.StringValue(n.Mask()) }
