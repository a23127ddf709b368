package body

import (
	"strings"

	"github.com/stepgate/stepgate/policy"
)

// form reads text as a form. "&" separates, and for some readers ";" does too
// (HTML 4.01, appendix B.2.2), so both are followed.
func (r *reader) form(source policy.DetailSource, text string) {
	start := len(r.fields)
	for pair := range strings.SplitSeq(text, "&") {
		if r.full {
			return
		}
		if pair == "" {
			continue
		}
		r.pair(source, pair)
		if !strings.Contains(pair, ";") {
			continue
		}
		for part := range strings.SplitSeq(pair, ";") {
			if r.full {
				return
			}
			if part != "" {
				r.pair(source, part)
			}
		}
	}
	r.requests = append(r.requests, span{start, len(r.fields)})
}

// pair adds name=value in all its readings.
func (r *reader) pair(source policy.DetailSource, pair string) {
	name, value, _ := strings.Cut(pair, "=")
	start := len(r.fields)
	if !strings.ContainsAny(pair, "%+\x00") {
		r.named(start, source, name, value)
		return
	}
	plainName, wellFormed := unescape(name, keepBroken)
	plainValue, ok := unescape(value, keepBroken)
	if wellFormed && ok && !strings.Contains(plainName, "\x00") && !strings.Contains(plainValue, "\x00") {
		r.named(start, source, plainName, plainValue)
		return
	}
	r.oddPair(source, name, value)
}

// oddPair adds what lenient decoders make of a pair with broken escapes or NUL.
func (r *reader) oddPair(source policy.DetailSource, name, value string) {
	start := len(r.fields)
	r.named(start, source, name, value)
	for _, mend := range []mending{keepBroken, dropSign, dropEscape, wideEscape} {
		n, _ := unescape(name, mend)
		v, _ := unescape(value, mend)
		r.named(start, source, n, v)
		// C strings end at NUL.
		cutName, _, _ := strings.Cut(n, "\x00")
		cutValue, _, _ := strings.Cut(v, "\x00")
		r.named(start, source, cutName, v)
		r.named(start, source, cutName, cutValue)
		r.named(start, source, strings.ReplaceAll(n, "\x00", ""), strings.ReplaceAll(v, "\x00", ""))
	}
}

// named adds a value under its name as it came, and under those that PHP and Rack
// give it.
func (r *reader) named(start int, source policy.DetailSource, name, value string) {
	r.add(start, policy.Field{Source: source, Name: name, Value: value})
	if strings.ContainsAny(name, " .[]") {
		r.add(start, policy.Field{Source: source, Name: phpName(name), Value: value})
		r.add(start, policy.Field{Source: source, Name: rackName(name), Value: value})
	}
}

// phpName returns the name under which PHP keeps a variable: without leading
// spaces, with "_" for dots, spaces and a "[" that nothing closes, and without what
// follows its indices.
func phpName(name string) string {
	name = strings.TrimLeft(name, " ")
	base, _, isArray := strings.Cut(name, "[")
	indices := name[len(base):]
	base = strings.Map(func(c rune) rune {
		if c == ' ' || c == '.' {
			return '_'
		}
		return c
	}, base)
	if isArray && (base == "" || !strings.Contains(indices, "]")) {
		return base + "_" + indices[1:]
	}
	end := 0
	for end < len(indices) && indices[end] == '[' {
		closing := strings.IndexByte(indices[end:], ']')
		if closing < 0 {
			break
		}
		end += closing + 1
	}
	return base + indices[:end]
}

// rackName returns the name under which Rack and the qs module of Node keep a
// variable: brackets before it are left out, and those that close nothing.
func rackName(name string) string {
	name = strings.TrimLeft(name, "[]")
	end := strings.IndexAny(name, "[]")
	if end < 0 {
		return name
	}
	return name[:end] + strings.TrimLeft(name[end:], "]")
}

// mending is what a decoder does with an escape that is none.
type mending int

const (
	keepBroken mending = iota // keep it as it stands
	dropSign                  // leave out its "%"
	dropEscape                // leave it out with the two bytes behind it
	wideEscape                // take %u and four digits for a character, as old IIS does
)

// unescape decodes "+" and percent escapes, and reports whether all were well
// formed. ("+" stands for a space in every form; a reader that keeps it reads no
// honest form right.)
func unescape(s string, mend mending) (string, bool) {
	if !strings.ContainsAny(s, "%+") {
		return s, true
	}
	var out strings.Builder
	out.Grow(len(s))
	wellFormed := true
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '+':
			out.WriteByte(' ')
		case s[i] != '%':
			out.WriteByte(s[i])
		default:
			if c, ok := hexDigits(s[i+1:], 2); ok {
				out.WriteByte(byte(c))
				i += 2
				continue
			}
			wellFormed = false
			i += mendAt(&out, s[i:], mend)
		}
	}
	return out.String(), wellFormed
}

// mendAt writes what a decoder makes of the broken escape at the start of s, and
// returns how many bytes it takes beside the first.
func mendAt(out *strings.Builder, s string, mend mending) int {
	switch mend {
	case dropSign:
		return 0
	case dropEscape:
		return min(2, len(s)-1)
	case wideEscape:
		if len(s) > 1 && s[1]|0x20 == 'u' {
			if c, ok := hexDigits(s[2:], 4); ok {
				out.WriteRune(c)
				return 5
			}
		}
	}
	out.WriteByte('%')
	return 0
}

// hexDigits reads the first n hexadecimal digits of s.
func hexDigits(s string, n int) (rune, bool) {
	if len(s) < n {
		return 0, false
	}
	var value rune
	for _, c := range []byte(s[:n]) {
		switch {
		case '0' <= c && c <= '9':
			value = value<<4 | rune(c-'0')
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			value = value<<4 | rune(c|0x20-'a'+10)
		default:
			return 0, false
		}
	}
	return value, true
}
