package identity

import (
	"net/http"
	"strings"
)

// credentials says where a site looks for its session.
//
// # The attack
//
// Somebody who holds two sessions, one of his own that has passed a challenge and
// one that he stole, sends both. If we read the first and the site acts on the
// second, a grant of his own account opens the stolen one. So what counts is not
// what we would read but what any site might: the session has to stand in the
// request once under every reading that is known of a deployed parser, or the
// request is ambiguous and refused. Browsers never send what is refused here,
// except for a cookie that the site itself set twice.
//
// # The readings
//
// Cookies are separated by ";", and for parsers of RFC 2109 and some that match
// patterns also by "," and blanks. Names are matched in any case (ASP.NET), with
// percent-encoding and "+" decoded (Rack 1, PHP before 7.2.34, ASP.NET Core), up
// to an encoded NUL (PHP), with space, "." and "[" read as "_" and with array
// brackets after them (PHP), and with anything before them dropped that cannot
// begin a name: blanks and no-break spaces, "=" (Werkzeug before 2.2.3), quotes.
// A cookie that is found in another way than by its exact name is ambiguous even
// if it is the only one: we would ask the site about something else than what it
// reads.
//
// A quoted value may hide the cookies after it from a parser that honours quotes
// (RFC 2109: Java, Python), which then looks for the session elsewhere. A session
// cookie that comes after a quote left open is ambiguous too.
//
// The value itself needs no reading: the site is asked with the bytes that it
// would get, and reads them as it does. Only blanks around it are ambiguous, since
// parsers differ in whether they keep them, and HTTP removes them at the end of
// the header that we send.
type credentials struct {
	cookie string // name of the session cookie; empty if the site has none
	bearer bool   // whether the site takes a bearer token
}

// find returns the session credential of a request. It allocates nothing.
func (c credentials) find(h http.Header) (Credential, error) {
	var cookie, token string
	var err error
	if c.cookie != "" {
		if cookie, err = findCookie(h["Cookie"], c.cookie); err != nil {
			return Credential{}, err
		}
	}
	if c.bearer {
		if token, err = findBearer(h["Authorization"]); err != nil {
			return Credential{}, err
		}
	}
	switch {
	case cookie != "" && token != "":
		return Credential{}, ErrAmbiguous
	case cookie != "":
		return Credential{Kind: Cookie, Name: c.cookie, Value: cookie}, nil
	case token != "":
		return Credential{Kind: Bearer, Name: "Authorization", Value: token}, nil
	default:
		return Credential{}, ErrAnonymous
	}
}

// findCookie returns the value of the named cookie as it stands, or "" if there is
// none or its value is empty.
func findCookie(lines []string, name string) (string, error) {
	var value string
	found, open := false, false
	for _, line := range lines {
		for more := true; more; {
			var pair string
			pair, line, more = strings.Cut(line, ";")
			pair = strings.TrimLeft(pair, " \t")
			open = open || leavesQuoteOpen(pair)
			rest := pair
			if len(pair) > len(name) && pair[len(name)] == '=' && pair[:len(name)] == name {
				if found || open {
					return "", ErrAmbiguous
				}
				found = true
				rest = pair[len(name)+1:]
				value = strings.Trim(rest, " \t")
				if value != "" && value != rest {
					return "", ErrAmbiguous
				}
			}
			if mentions(rest, name) {
				return "", ErrAmbiguous
			}
		}
	}
	return value, nil
}

// mentions reports whether some parser might find a cookie of that name in s,
// which is a pair, or the value of the cookie itself. It takes time in proportion
// to the length of s.
func mentions(s, name string) bool {
	for {
		// A name may begin here, after whatever cannot begin one.
		for s != "" {
			if rest, ok := cutName(s, name); ok && endsName(rest) {
				return true
			}
			c, n := decode(s)
			if nameByte(c) {
				break
			}
			s = s[n:]
		}
		i := 0
		for i < len(s) && s[i] != ',' && s[i] != ' ' && s[i] != '\t' {
			i++
		}
		if i == len(s) {
			return false
		}
		s = s[i+1:]
	}
}

// cutName removes the name, or another spelling of it, from the front of s.
func cutName(s, name string) (rest string, ok bool) {
	for i := range len(name) {
		if s == "" {
			return "", false
		}
		c, n := decode(s)
		if fold(c) != fold(name[i]) {
			return "", false
		}
		s = s[n:]
	}
	return s, true
}

// endsName reports whether s, which follows a name, ends it and gives it a value.
func endsName(s string) bool {
	for s != "" {
		c, n := decode(s)
		switch {
		case c == '=' || c == '[' || c == 0:
			return true
		case nameByte(c):
			return false
		}
		s = s[n:]
	}
	return false
}

// decode returns the first byte of s, which is not empty, as form decoding reads
// it, and the number of bytes that it takes up.
func decode(s string) (c byte, n int) {
	switch {
	case s[0] == '+':
		return ' ', 1
	case s[0] == '%' && len(s) >= 3 && hex(s[1]) >= 0 && hex(s[2]) >= 0:
		return byte(hex(s[1])<<4 | hex(s[2])), 3
	default:
		return s[0], 1
	}
}

func hex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	default:
		return -1
	}
}

// fold maps the bytes that some parser takes for one another to one of them.
func fold(c byte) byte {
	switch {
	case 'A' <= c && c <= 'Z':
		return c | 0x20
	case c == '.' || c == ' ' || c == '[':
		return '_'
	default:
		return c
	}
}

// nameByte reports whether a byte belongs to a cookie's name in every parser.
func nameByte(c byte) bool {
	switch {
	case 'a' <= c|0x20 && c|0x20 <= 'z', '0' <= c && c <= '9', c == '_', c == '-', c == '.':
		return true
	default:
		return false
	}
}

// leavesQuoteOpen reports whether a pair has a quoted value that does not end
// within the pair, for parsers that honour a backslash in it or for those that do
// not.
func leavesQuoteOpen(pair string) bool {
	if strings.IndexByte(pair, '"') < 0 {
		return false
	}
	inside, opened := false, false
	last := byte(0) // the last byte that is not a blank
	for i := 0; i < len(pair); i++ {
		c := pair[i]
		switch {
		case inside && c == '\\':
			i++
		case inside && c == '"':
			inside = false
		case c == '"' && last == '=':
			inside, opened = true, true
		}
		if c != ' ' && c != '\t' {
			last = c
		}
	}
	return inside || opened && strings.Count(pair, `"`)%2 == 1
}

// findBearer returns the token of a bearer credential (RFC 6750 section 2.1), or
// "" if there is none. A header that some framework would find a bearer token in
// and we do not, such as "Basic …, Bearer …", is ambiguous.
func findBearer(lines []string) (string, error) {
	switch len(lines) {
	case 0:
		return "", nil
	case 1:
	default:
		return "", ErrAmbiguous
	}
	scheme, token, _ := strings.Cut(lines[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		if containsBearer(lines[0]) {
			return "", ErrAmbiguous
		}
		return "", nil
	}
	token = strings.Trim(token, " \t")
	for i := range len(token) {
		if !tokenByte(token[i]) {
			return "", ErrAmbiguous
		}
	}
	return token, nil
}

func containsBearer(s string) bool {
	const word = "bearer"
	for i := 0; i+len(word) <= len(s); i++ {
		if strings.EqualFold(s[i:i+len(word)], word) {
			return true
		}
	}
	return false
}

// tokenByte reports whether a byte may stand in a token (b64token in RFC 6750).
func tokenByte(c byte) bool {
	switch c {
	case '-', '.', '_', '~', '+', '/', '=':
		return true
	default:
		return 'a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9'
	}
}
