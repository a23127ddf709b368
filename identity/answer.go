package identity

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

const (
	maxFieldLength = 256 // bytes of a subject, login name, e-mail or phone
	maxPathLength  = 8   // keys from the top of an answer to a field
	maxDepth       = 64  // of objects and arrays in an answer
	maxListLength  = 64  // elements of a list that is read
)

// fields says where in the site's answer to find an identity.
type fields struct {
	subject, login, email, phone path
}

// path leads from the top of a JSON value to a scalar: keys of objects, and
// positions in arrays in decimal. An empty path leads nowhere.
type path []string

func newFields(c UpstreamConfig) (fields, error) {
	var f fields
	for _, p := range []struct {
		name, text string
		to         *path
	}{{"subject", c.Subject, &f.subject}, {"login", c.Login, &f.login}, {"email", c.Email, &f.email}, {"phone", c.Phone, &f.phone}} {
		if p.text == "" {
			continue
		}
		*p.to = strings.Split(p.text, ".")
		if slices.Contains(*p.to, "") || len(*p.to) > maxPathLength {
			return fields{}, fmt.Errorf("place of the %s in the site's answer is %q: want up to %d keys joined by dots", p.name, p.text, maxPathLength)
		}
	}
	return f, nil
}

func (fields) accept() string { return "application/json" }

func (f fields) read(_ http.Header, body []byte) (Identity, error) {
	subject, login, email, phone := field{name: "subject", path: f.subject}, field{name: "login", path: f.login},
		field{name: "email", path: f.email}, field{name: "phone", path: f.phone}
	if err := readJSON(body, &subject, &login, &email, &phone); err != nil {
		return Identity{}, fmt.Errorf("its answer %w", err)
	}
	return named(Identity{Subject: subject.text, Login: login.text, Email: email.text, Phone: phone.text})
}

// named returns an identity, or errNoSubject if its subject is one that all visitors
// of a site share, which must not be enrolled.
func named(id Identity) (Identity, error) {
	if strings.TrimSpace(id.Subject) == "" || id.Subject == "0" {
		return Identity{}, errNoSubject
	}
	return id, nil
}

var (
	errNoSubject = errors.New("its answer names no subject; if it answers visitors so, describe them with: anonymous missing")

	errNotJSON = errors.New("is not JSON")
	errTwice   = errors.New("has a key twice")
)

// readJSON fills the wanted fields from a JSON text. Its errors go on after what the
// text is, and quote nothing of it.
func readJSON(text []byte, wanted ...*field) error {
	// The decoder replaces invalid bytes, which would make one subject of two.
	if !utf8.Valid(text) {
		return errors.New("is not UTF-8")
	}
	a := answer{dec: json.NewDecoder(bytes.NewReader(text)), wanted: wanted}
	a.dec.UseNumber()
	if err := a.value(nil); err != nil {
		return err
	}
	if _, err := a.dec.Token(); err != io.EOF {
		return errNotJSON
	}
	return nil
}

// answer walks through a JSON text and picks the wanted fields up. It exists
// because encoding/json takes the last of two equal keys, where the site's other
// clients may take the first.
type answer struct {
	dec    *json.Decoder
	wanted []*field
}

// field is a value that is wanted, and what was found: text of a string or an integer,
// list and instant where those are wanted instead.
type field struct {
	name string
	path path
	as   reading
	// lenient takes a value of another type for none, instead of an error.
	lenient bool

	text    string
	list    []string
	instant time.Time
}

// reading is how a field is read.
type reading byte

const (
	asText    reading = iota
	asList            // an array of strings, or one string
	asInstant         // seconds since 1970, NumericDate in RFC 7519
)

// take reads a scalar into the field. null is as if the field were missing.
func (f *field) take(token json.Token) (err error) {
	switch f.as {
	case asList:
		text, ok := token.(string)
		if token != nil && !ok {
			return errors.New("is neither a string nor an array of strings")
		}
		if ok {
			f.list = []string{text}
		}
	case asInstant:
		f.instant, err = instant(token)
	default:
		f.text, err = scalar(token)
	}
	return err
}

// value reads the value that stands at the given place.
func (a *answer) value(at path) error {
	if len(at) > maxDepth {
		return errors.New("is nested too deeply")
	}
	token, err := a.dec.Token()
	if err != nil {
		return errNotJSON // the decoder's error quotes the answer
	}
	switch token {
	case json.Delim('{'):
		if err := a.object(at); err != nil {
			return err
		}
	case json.Delim('['):
		if err := a.array(at); err != nil {
			return err
		}
	}
	for _, f := range a.wanted {
		if len(f.path) > 0 && slices.Equal(f.path, at) {
			if f.as == asList && token == json.Delim('[') {
				continue // its elements were taken one by one
			}
			if err := f.take(token); err != nil && !f.lenient {
				return fmt.Errorf("has something as %s that %w", f.name, err)
			}
		}
	}
	return nil
}

func (a *answer) object(at path) error {
	var used []string
	for a.dec.More() {
		token, err := a.dec.Token()
		key, ok := token.(string)
		if err != nil || !ok {
			return errNotJSON
		}
		below := append(slices.Clip(at), key)
		if a.leads(below) {
			if slices.Contains(used, key) {
				return errTwice
			}
			used = append(used, key)
		}
		if err := a.value(below); err != nil {
			return err
		}
	}
	return a.end()
}

func (a *answer) array(at path) error {
	if i := slices.IndexFunc(a.wanted, func(f *field) bool { return f.as == asList && slices.Equal(f.path, at) }); i >= 0 {
		return a.elements(a.wanted[i])
	}
	for i := 0; a.dec.More(); i++ {
		if err := a.value(append(slices.Clip(at), strconv.Itoa(i))); err != nil {
			return err
		}
	}
	return a.end()
}

// elements reads the strings of an array into a field.
func (a *answer) elements(f *field) error {
	strings := true
	for a.dec.More() {
		var element any
		if err := a.dec.Decode(&element); err != nil {
			return errNotJSON
		}
		text, ok := element.(string)
		strings = strings && ok && len(f.list) < maxListLength
		f.list = append(f.list, text)
	}
	if !strings {
		f.list = nil
		if !f.lenient {
			return fmt.Errorf("has something as %s that is no array of up to %d strings", f.name, maxListLength)
		}
	}
	return a.end()
}

// end reads the delimiter that closes an object or array.
func (a *answer) end() error {
	if _, err := a.dec.Token(); err != nil {
		return errNotJSON
	}
	return nil
}

// leads reports whether a wanted field stands at or below a place.
func (a *answer) leads(at path) bool {
	return slices.ContainsFunc(a.wanted, func(f *field) bool {
		return len(f.path) >= len(at) && slices.Equal(f.path[:len(at)], at)
	})
}

// scalar returns a string or an integer as text, exactly as the site wrote it, and
// null as "". A number with a fraction or an exponent is refused: it has several
// spellings, and what made it has lost digits already.
func scalar(token json.Token) (string, error) {
	switch v := token.(type) {
	case nil:
		return "", nil
	case string:
		return v, checkText(v)
	case json.Number:
		if strings.ContainsAny(v.String(), ".eE") || v == "-0" {
			return "", errors.New("is a number, but not an integer")
		}
		return v.String(), checkText(v.String())
	default:
		return "", errors.New("is neither a string nor an integer")
	}
}

// instant returns the instant that a number of seconds since 1970 stands for, and the
// zero time for null.
func instant(token json.Token) (time.Time, error) {
	if token == nil {
		return time.Time{}, nil
	}
	number, ok := token.(json.Number)
	if !ok {
		return time.Time{}, errors.New("is no number of seconds")
	}
	seconds, err := strconv.ParseFloat(number.String(), 64)
	if err != nil || seconds < 0 || seconds > maxInstant {
		return time.Time{}, errors.New("is no number of seconds between 1970 and 9999")
	}
	return time.Unix(int64(seconds), 0), nil
}

// maxInstant is the end of the year 9999: what lies beyond it overflows somewhere.
const maxInstant = 253402300799

func checkText(s string) error {
	if len(s) > maxFieldLength {
		return fmt.Errorf("is longer than %d bytes", maxFieldLength)
	}
	// The decoder turns half of a surrogate pair into U+FFFD, so that two subjects
	// could become one.
	if strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) || r == unicode.ReplacementChar }) {
		return errors.New("has a character that no name has")
	}
	return nil
}
