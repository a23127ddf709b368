package identity

import (
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"slices"
	"strings"
)

// Session says where in a request a site looks for its session.
type Session struct {
	Kind Kind
	// Name is the exact name of the cookie or header; empty for a bearer token.
	Name string
}

// maxSessions is how many places a site may look at: each that a request fills is a
// question to the site.
const maxSessions = 4

// Finder finds session credentials in requests. Make one with [NewFinder].
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
//
// # Several sessions
//
// A site may look in several places, such as a cookie for its pages and a token for
// its app. A request that fills several of them is no spelling of another: all are
// found, in the order of the configuration, and whoever asks whose they are has to
// ask about each.
type Finder struct{ sessions []Session }

// NewFinder returns a finder that looks in all of these places. It returns an error
// that says what is wrong with them, if anything is.
func NewFinder(sessions ...Session) (Finder, error) {
	switch {
	case len(sessions) == 0:
		return Finder{}, errors.New("want a session: the name of a cookie or header, or bearer")
	case len(sessions) > maxSessions:
		return Finder{}, fmt.Errorf("want at most %d kinds of session, not %d", maxSessions, len(sessions))
	}
	f := Finder{sessions: slices.Clone(sessions)}
	for i := range f.sessions {
		s := &f.sessions[i]
		if err := s.check(); err != nil {
			return Finder{}, err
		}
		for _, other := range f.sessions[:i] {
			if s.clashes(other) {
				return Finder{}, fmt.Errorf("%s and %s: some sites take one for the other; name one of them", other.words(), s.words())
			}
		}
	}
	return f, nil
}

// check reports what is wrong with a place, and brings its name into the form in
// which net/http has it.
func (s *Session) check() error {
	switch s.Kind {
	case Cookie:
		return checkCookieName(s.Name)
	case Bearer:
		if s.Name != "" {
			return fmt.Errorf("bearer %q: a bearer token stands in the header Authorization; want no name", s.Name)
		}
		return nil
	case Header:
		s.Name = textproto.CanonicalMIMEHeaderKey(s.Name)
		return checkHeaderName(s.Name)
	default:
		return errors.New("kind of session: want cookie, bearer or header")
	}
}

// clashes reports whether what stands in one place could be read as standing in the
// other.
func (s *Session) clashes(o Session) bool {
	switch {
	case s.Kind == Cookie && o.Kind == Cookie:
		rest, ok := cutName(s.Name, o.Name)
		return ok && rest == ""
	case s.Kind != Cookie && o.Kind != Cookie:
		return s.header() == o.header()
	default:
		return false
	}
}

// header returns the name of the header of a place that is no cookie.
func (s *Session) header() string {
	if s.Kind == Bearer {
		return "Authorization"
	}
	return s.Name
}

func (s *Session) words() string {
	switch s.Kind {
	case Cookie:
		return "cookie " + s.Name
	case Bearer:
		return "bearer"
	default:
		return "header " + s.Name
	}
}

// Credential returns the session credentials of a request, in the order of the
// finder's places. For a request that bears one it allocates nothing.
func (f Finder) Credential(r *http.Request) (Credential, error) { return f.find(r.Header) }

func (f Finder) find(h http.Header) (Credential, error) {
	var first Credential
	last := &first
	for i := range f.sessions {
		s := &f.sessions[i]
		value, err := s.find(h)
		switch {
		case err != nil:
			return Credential{}, err
		case value == "":
			continue
		case last.Value != "":
			last.beside = new(Credential)
			last = last.beside
		}
		*last = Credential{Kind: s.Kind, Name: s.Name, Value: value}
		if s.Kind == Bearer {
			last.Name = s.header()
		}
	}
	if first.Value == "" {
		return Credential{}, ErrAnonymous
	}
	return first, nil
}

// find returns the credential that stands in a place, "" if there is none.
func (s *Session) find(h http.Header) (string, error) {
	switch s.Kind {
	case Cookie:
		return findCookie(h["Cookie"], s.Name)
	case Bearer:
		return findBearer(h["Authorization"])
	default:
		return findHeader(h, s.Name)
	}
}

// checkCookieName allows the names that every parser reads in one way apart from
// the spellings that credentials knows.
func checkCookieName(name string) error {
	if name == "" {
		return errors.New("session cookie: want its name")
	}
	for i := range len(name) {
		if !nameByte(name[i]) {
			return fmt.Errorf("session cookie %q: want a name of letters, digits, _ - and dots only", name)
		}
	}
	if strings.Trim(name, "_-.") == "" {
		return fmt.Errorf("session cookie %q: want a letter or digit in its name", name)
	}
	return nil
}

// looksFor reports whether a credential is of a kind that this finder finds.
func (f Finder) looksFor(c Credential) bool {
	return slices.ContainsFunc(f.sessions, func(s Session) bool {
		return s.Kind == c.Kind && (s.Name == c.Name || s.Kind == Bearer && c.Name == s.header())
	})
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
