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
	"unicode"
	"unicode/utf8"
)

const (
	maxFieldLength = 256 // bytes of a subject, login name, e-mail or phone
	maxPathLength  = 8   // keys from the top of an answer to a field
	maxDepth       = 64  // of objects and arrays in an answer
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
	// The decoder replaces invalid bytes, which would make one subject of two.
	if !utf8.Valid(body) {
		return Identity{}, errors.New("its answer is not UTF-8")
	}
	a := answer{
		dec: json.NewDecoder(bytes.NewReader(body)),
		wanted: []*field{
			{name: "subject", path: f.subject}, {name: "login", path: f.login},
			{name: "email", path: f.email}, {name: "phone", path: f.phone},
		},
	}
	a.dec.UseNumber()
	if err := a.value(nil); err != nil {
		return Identity{}, err
	}
	if _, err := a.dec.Token(); err != io.EOF {
		return Identity{}, errNotJSON
	}
	return named(Identity{Subject: a.wanted[0].text, Login: a.wanted[1].text, Email: a.wanted[2].text, Phone: a.wanted[3].text})
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

	errNotJSON = errors.New("its answer is not JSON")
	errTwice   = errors.New("its answer has a key twice")
)

// answer walks through a JSON text and picks the wanted fields up. It exists
// because encoding/json takes the last of two equal keys, where the site's other
// clients may take the first.
type answer struct {
	dec    *json.Decoder
	wanted []*field
}

type field struct {
	name string
	path path
	text string
}

// value reads the value that stands at the given place.
func (a *answer) value(at path) error {
	if len(at) > maxDepth {
		return errors.New("its answer is nested too deeply")
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
			if f.text, err = scalar(token); err != nil {
				return fmt.Errorf("the %s in its answer %w", f.name, err)
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
	for i := 0; a.dec.More(); i++ {
		if err := a.value(append(slices.Clip(at), strconv.Itoa(i))); err != nil {
			return err
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
