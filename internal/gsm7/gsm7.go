// Package gsm7 knows the alphabet of text messages, and what a text costs in it.
package gsm7

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// MaxSeptets is what one GSM-7 message holds (3GPP TS 23.040, section 9.2.3.16).
const MaxSeptets = 160

// The GSM 7-bit default alphabet and its extension, each of whose characters costs
// two (3GPP TS 23.038, section 6.2.1). Line feed is in it, carriage return, form
// feed and escape are left out.
const (
	gsmBasic = "@£$¥èéùìòÇ\nØøÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?" +
		"¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
	gsmExtension = "^{}\\[~]|€"
)

// Septets counts what s costs in GSM-7, and tells whether it can be written in it
// at all. One character outside turns the whole message into UCS-2, with 70
// characters a part.
func Septets(s string) (int, bool) {
	n := 0
	for _, r := range s {
		switch {
		case strings.ContainsRune(gsmBasic, r):
			n++
		case strings.ContainsRune(gsmExtension, r):
			n += 2
		default:
			return 0, false
		}
	}
	return n, true
}

// From writes s with the characters that GSM-7 has: without accents where it has
// none, with plain quotes and dashes, and without what is left after that.
func From(s string) string {
	var b strings.Builder
	for _, r := range s {
		if strings.ContainsRune(gsmBasic, r) || strings.ContainsRune(gsmExtension, r) {
			b.WriteRune(r)
			continue
		}
		switch r {
		case '‘', '’', '‛', '`', '´':
			b.WriteByte('\'')
		case '“', '”', '„':
			b.WriteByte('"')
		case '‐', '‑', '–', '—', '−':
			b.WriteByte('-')
		case '\u00a0':
			b.WriteByte(' ')
		default:
			for _, d := range norm.NFKD.String(string(r)) {
				if !unicode.Is(unicode.Mn, d) && strings.ContainsRune(gsmBasic, d) {
					b.WriteRune(d)
				}
			}
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}
