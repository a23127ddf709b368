package smsguard

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Money is an exact amount in millionths of the operator's currency unit, whichever
// that is: prices of messages have four decimals, and a sum of floating-point numbers
// would be off by a cent sooner or later.
type Money int64

const decimals = 6

const unit Money = 1_000_000

// MaxMoney is the largest amount that is read. Two of them still add up without passing
// what 64 bits hold.
const MaxMoney = 1_000_000_000_000 * unit

var errMoney = errors.New("not an amount of money: write digits with up to six decimals behind a full stop, at most 1000000000000, such as 0.04")

// ParseMoney reads an amount such as "0.04" or "20": no sign, currency, exponent or
// separator of thousands, and no leading zero, because "1,000" and "010" mean different
// things to different people.
func ParseMoney(s string) (Money, error) {
	whole, fraction, point := strings.Cut(s, ".")
	if !isDigits(whole) || len(whole) > 1 && whole[0] == '0' || len(whole) > 13 {
		return 0, fmt.Errorf("%q: %w", clip(s), errMoney)
	}
	if point && !isDigits(fraction) || len(fraction) > decimals {
		return 0, fmt.Errorf("%q: %w", clip(s), errMoney)
	}
	n, err := strconv.ParseInt(whole+fraction+strings.Repeat("0", decimals-len(fraction)), 10, 64)
	if err != nil || Money(n) > MaxMoney {
		return 0, fmt.Errorf("%q: %w", clip(s), errMoney)
	}
	return Money(n), nil
}

// String returns the exact amount in the form that ParseMoney reads, "0.04". A negative
// one, which ParseMoney does not read, has a minus sign.
func (m Money) String() string {
	sign, n := "", uint64(m)
	if m < 0 {
		sign, n = "-", -n // right for the least int64 too
	}
	whole, fraction := n/uint64(unit), n%uint64(unit)
	s := sign + strconv.FormatUint(whole, 10)
	if fraction == 0 {
		return s
	}
	return s + "." + strings.TrimRight(fmt.Sprintf("%0*d", decimals, fraction), "0")
}

// MarshalText writes the amount as String does, so that JSON holds it as text: numbers
// in JSON pass through floating point in too many hands.
func (m Money) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText reads what ParseMoney reads.
func (m *Money) UnmarshalText(text []byte) (err error) {
	*m, err = ParseMoney(string(text))
	return err
}

func isDigits(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return r < '0' || r > '9' })
}

// clip shortens what an error quotes.
func clip(s string) string { return s[:min(len(s), 40)] }
