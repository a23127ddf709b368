package policy

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// lower maps the bytes of ASCII capitals to small letters and every other byte
// to itself.
var lower = func() (t [256]byte) {
	for i := range t {
		t[i] = byte(i)
		if 'A' <= i && i <= 'Z' {
			t[i] = byte(i) + 'a' - 'A'
		}
	}
	return t
}()

// intoASCII holds the characters outside ASCII that some case mapping (Java's
// equalsIgnoreCase, the full mappings of Unicode's SpecialCasing) leads into it.
// strings.ToLower knows only two of them.
var intoASCII = map[rune]string{
	'\u0130': "i", '\u0131': "i",
	'\u017f': "s",
	'\u212a': "k",
	'\u00df': "ss", '\u1e9e': "ss",
	'\ufb00': "ff", '\ufb01': "fi", '\ufb02': "fl", '\ufb03': "ffi", '\ufb04': "ffl",
	'\ufb05': "st", '\ufb06': "st",
}

// fold returns p in the form in which paths are compared: without case.
// Broken UTF-8 stays as it is.
func fold(p string) string {
	if isASCII(p) {
		return strings.ToLower(p)
	}
	var b strings.Builder
	b.Grow(len(p))
	for i := 0; i < len(p); {
		r, size := utf8.DecodeRuneInString(p[i:])
		switch s, known := intoASCII[r]; {
		case r < utf8.RuneSelf:
			b.WriteByte(lower[r])
		case r == utf8.RuneError && size == 1:
			b.WriteByte(p[i])
		case known:
			b.WriteString(s)
		default:
			b.WriteRune(leastFold(r))
		}
		i += size
	}
	return b.String()
}

// leastFold returns the smallest of the characters that differ from r in case
// only. All of them give the same one.
func leastFold(r rune) rune {
	least := r
	for c := unicode.SimpleFold(r); c != r; c = unicode.SimpleFold(c) {
		least = min(least, c)
	}
	return least
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// narrow resolves the spellings of ASCII in other widths: overlong UTF-8, which
// lenient decoders accept (the IIS Unicode bug, CVE-2000-0884), full-width forms,
// and the look-alikes of path punctuation that best-fit and compatibility
// mappings turn into it.
func narrow(p string) string {
	if isASCII(p) {
		return p
	}
	var b strings.Builder
	b.Grow(len(p))
	for i := 0; i < len(p); {
		if c, size := overlong(p[i:]); size > 0 {
			b.WriteByte(c)
			i += size
			continue
		}
		r, size := utf8.DecodeRuneInString(p[i:])
		switch {
		case '\uff01' <= r && r <= '\uff5e':
			b.WriteByte(byte(r - '\uff01' + '!'))
		case r == '\u2024', r == '\ufe52':
			b.WriteByte('.')
		case r == '\u2025':
			b.WriteString("..")
		case r == '\u2044', r == '\u2215':
			b.WriteByte('/')
		case r == '\u2216', r == '\ufe68':
			b.WriteByte('\\')
		case r == '\ufe54':
			b.WriteByte(';')
		case r == '\ufe6a':
			b.WriteByte('%')
		default:
			b.WriteString(p[i : i+size])
		}
		i += size
	}
	return b.String()
}

// overlong decodes an ASCII character at the start of s that is spelled in two
// to six bytes, and returns how many they are; 0 if there is none. In the form of
// two bytes the second need not be a continuation byte: decoders that only mask
// its bits read %c0%2f as a slash.
func overlong(s string) (c byte, size int) {
	switch {
	case len(s) >= 2 && s[0]&0xfe == 0xc0:
		return s[0]&1<<6 | s[1]&0x3f, 2
	case s[0] == 0xe0:
		size = 3
	case s[0] == 0xf0:
		size = 4
	case s[0] == 0xf8:
		size = 5
	case s[0] == 0xfc:
		size = 6
	default:
		return 0, 0
	}
	if len(s) < size {
		return 0, 0
	}
	for _, zero := range []byte(s[1 : size-2]) {
		if zero != 0x80 {
			return 0, 0
		}
	}
	high, low := s[size-2], s[size-1]
	if high&0xfe != 0x80 || low&0xc0 != 0x80 {
		return 0, 0
	}
	return high&1<<6 | low&0x3f, size
}

// drop leaves out what a lenient reader may not see: control bytes, broken
// UTF-8, the replacement character, and characters that have no width.
func drop(p string) string {
	clean := true
	for i := 0; i < len(p) && clean; i++ {
		clean = ' ' <= p[i] && p[i] < 0x7f
	}
	if clean {
		return p
	}
	var b strings.Builder
	b.Grow(len(p))
	for i := 0; i < len(p); {
		r, size := utf8.DecodeRuneInString(p[i:])
		if !invisible(r) {
			b.WriteString(p[i : i+size])
		}
		i += size
	}
	return b.String()
}

// invisible reports whether r is a control character, one that is not shown, or
// the sign of broken UTF-8.
func invisible(r rune) bool {
	return unicode.Is(unicode.C, r) || r == utf8.RuneError ||
		unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r) || unicode.Is(unicode.Variation_Selector, r)
}
