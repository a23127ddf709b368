package sms

import (
	"errors"
	"fmt"
	"slices"
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

// NumberType is a kind of phone number, as the numbering plan of its region tells.
type NumberType string

// The types that can get codes.
const (
	Mobile NumberType = "mobile"
	// FixedOrMobile are the numbers of a region that does not tell the two apart, as
	// all of North America.
	FixedOrMobile NumberType = "fixed_or_mobile"
	// VoIP numbers cost nothing and are had by the thousand. DANGER: they prove that
	// somebody has an account at some provider, not that anybody holds a phone.
	VoIP NumberType = "voip"
	// Personal numbers follow their holder from phone to phone. DANGER: they may
	// cost as much as a premium number, and prove no phone.
	Personal NumberType = "personal"
	// Fixed lines. DANGER: most cannot get an SMS, or read it aloud to whoever is in
	// the room, and a fraudster can choose those that cost most.
	Fixed NumberType = "fixed"
)

// NumberTypes are all types that can get codes. Premium, shared-cost, toll-free,
// pager, company-wide (UAN) and voicemail numbers never do: they cost the operator
// money, which the fraudster who owns them earns, and prove nothing.
var NumberTypes = []NumberType{Mobile, FixedOrMobile, VoIP, Personal, Fixed}

// types are the names of the metadata's types that can get codes.
var types = map[phonenumbers.PhoneNumberType]NumberType{
	phonenumbers.MOBILE:               Mobile,
	phonenumbers.FIXED_LINE_OR_MOBILE: FixedOrMobile,
	phonenumbers.VOIP:                 VoIP,
	phonenumbers.PERSONAL_NUMBER:      Personal,
	phonenumbers.FIXED_LINE:           Fixed,
}

// The defaults of Numbering.
var (
	defaultRegions = []string{"ID"}
	defaultTypes   = []NumberType{Mobile, FixedOrMobile}
)

// Numbering says which phone numbers get codes. Its zero value means Indonesian
// mobile numbers.
type Numbering struct {
	// Regions are ISO 3166-1 alpha-2 codes in capitals. A number without its country
	// code belongs to the first; the others are allowed besides. Default: ID. Every
	// region more is one more in which a fraudster can run up a bill.
	Regions []string
	// Types are the types that are allowed, Mobile always among them. Default: Mobile
	// and FixedOrMobile. DANGER: every other type costs more, or proves less.
	Types []NumberType
}

// CodeRegions returns the regions whose numbers get codes, the one of numbers without
// country code first.
func (n Numbering) CodeRegions() []string { return slices.Clone(n.regions()) }

func (n Numbering) regions() []string {
	if len(n.Regions) == 0 {
		return defaultRegions
	}
	return n.Regions
}

func (n Numbering) types() []NumberType {
	if len(n.Types) == 0 {
		return defaultTypes
	}
	return n.Types
}

// Validate reports what is wrong with the numbering, or nil.
func (n Numbering) Validate() error {
	for _, r := range n.Regions {
		if !phonenumbers.GetSupportedRegions()[r] {
			return fmt.Errorf("region %q is not known: want an ISO 3166-1 alpha-2 code in capitals, such as ID", r)
		}
	}
	for i, t := range n.Types {
		if !slices.Contains(NumberTypes, t) {
			return fmt.Errorf("numbers of type %q get no codes: want one or more of mobile, fixed_or_mobile, voip, personal and fixed", t)
		}
		if slices.Contains(n.Types[:i], t) {
			return fmt.Errorf("numbers of type %q are named twice: want each once", t)
		}
	}
	if len(n.Types) > 0 && !slices.Contains(n.Types, Mobile) {
		return fmt.Errorf("mobile numbers are left out, and the types take the place of the default ones: want mobile too, such as mobile %s", n.Types[0])
	}
	return nil
}

// Parse reads a phone number as a player or a site writes it.
//
// It accepts digits of any script, "+", and the separators space, hyphen, full
// stop and parentheses. It returns an error that wraps [ErrNumber] unless the
// number is a valid one of an allowed region and type; satellite numbers are
// refused whatever the metadata calls them. An extension is refused: the number
// would be the switchboard's.
//
// Any other error is from [Numbering.Validate], and a mistake in the configuration.
func (n Numbering) Parse(s string) (Number, error) {
	if err := n.Validate(); err != nil {
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
	parsed, err := phonenumbers.Parse(s, n.regions()[0])
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrNumber, err)
	}
	if err := n.check(parsed); err != nil {
		return "", fmt.Errorf("%w: %w", ErrNumber, err)
	}
	number := Number(phonenumbers.Format(parsed, phonenumbers.E164))
	for _, p := range deniedPrefixes {
		if strings.HasPrefix(string(number), p) {
			return "", fmt.Errorf("%w: prefix %s is denied", ErrNumber, p)
		}
	}
	return number, nil
}

func (n Numbering) check(parsed *phonenumbers.PhoneNumber) error {
	// The filter on characters leaves no known way to write an extension; this
	// holds if the library learns another one.
	if parsed.GetExtension() != "" {
		return errors.New("it has an extension")
	}
	if !phonenumbers.IsValidNumber(parsed) {
		return errors.New("no such number can exist")
	}
	if !slices.Contains(n.regions(), phonenumbers.GetRegionCodeForNumber(parsed)) {
		return errors.New("its region is not allowed")
	}
	if t, ok := types[phonenumbers.GetNumberType(parsed)]; !ok || !slices.Contains(n.types(), t) {
		return errors.New("its type is not allowed")
	}
	return nil
}

func numberRune(r rune) bool {
	switch r {
	case '+', '＋', '(', ')', '.', '-', ' ', '\u00a0', '\u202f', '\u2010', '\u2011', '\u2012', '\u2013':
		return true
	default:
		return unicode.IsDigit(r)
	}
}
