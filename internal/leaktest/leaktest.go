// Package leaktest looks for secrets in what the programs of a test have logged and
// printed.
//
// A test tells it what is secret as it comes up: numbers, codes, keys, cookies. At the
// end each line of a log is read as it stands, as the texts of its JSON, and with what
// is escaped for URLs. Whatever is found is shown with the secret hidden, because the
// output of a test ends in a log, too.
package leaktest

import (
	"encoding/json"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Secrets are what must stand in no log. The zero value has none; it is safe for
// concurrent use.
type Secrets struct {
	mu sync.Mutex // guards what follows
	// texts, codes and numbers are what a secret is, by the secret. Of a number the
	// country's code is left out: it is what all spellings have in common.
	texts, codes, numbers map[string]string
}

// minText is the shortest text that is looked for wherever it stands. A shorter one
// would be found in words that have nothing to do with it.
const minText = 8

// Add makes a text secret: a key, a token, the value of a cookie. Empty and very short
// ones are left out.
func (s *Secrets) Add(what, text string) {
	if len(text) >= minText {
		s.put(&s.texts, text, what)
	}
}

// AddCode makes a code of four digits or more secret, where it stands alone: not in a
// longer number, and not in an id.
func (s *Secrets) AddCode(what, code string) {
	if digitsOnly.MatchString(code) {
		s.put(&s.codes, code, what)
	}
}

// AddNumber makes a phone number secret, given with + and country code, in all
// spellings: with the country's code or the trunk prefix or neither, and in groups. Its
// last digits alone, as pages show them, are none.
func (s *Secrets) AddNumber(what, e164 string) {
	const countryCode = 2 // or more, and then the rest is less than the whole, and found as well
	if digits, ok := strings.CutPrefix(e164, "+"); ok && len(digits) >= countryCode+minText {
		s.put(&s.numbers, digits[countryCode:], what)
	}
}

func (s *Secrets) put(into *map[string]string, secret, what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if *into == nil {
		*into = map[string]string{}
	}
	(*into)[secret] = what
}

var (
	digitsOnly = regexp.MustCompile(`^[0-9]{4,}$`)
	// word is what a code would have to be all of.
	word = regexp.MustCompile(`[0-9A-Za-z_.-]+`)
	// grouped is a number as people write it.
	grouped  = regexp.MustCompile(`[0-9](?:[ ()/\x{a0}-]{0,3}[0-9])+`)
	notDigit = regexp.MustCompile(`[^0-9]+`)
)

// Find returns what is secret in a line, as a text and what it is.
func (s *Secrets) Find(line string) map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := map[string]string{}
	text := strings.Join(readings(line), "\n")
	for secret, what := range s.texts {
		if strings.Contains(text, secret) {
			found[secret] = what
		}
	}
	for _, w := range word.FindAllString(text, -1) {
		w = strings.Trim(w, ".-_")
		if what, ok := s.codes[w]; ok {
			found[w] = what
		}
	}
	for _, written := range grouped.FindAllString(text, -1) {
		digits := notDigit.ReplaceAllString(written, "")
		for number, what := range s.numbers {
			if strings.Contains(digits, number) {
				found[written] = what
			}
		}
	}
	return found
}

// readings are the texts that a line has for a reader: itself, those in its JSON, and
// all of them with their escapes for URLs undone.
func readings(line string) []string {
	all := []string{line}
	var entry any
	if json.Unmarshal([]byte(line), &entry) == nil {
		all = texts(entry, all)
	}
	for _, text := range all {
		if strings.Contains(text, "%") {
			if plain, err := url.QueryUnescape(text); err == nil {
				all = append(all, plain)
			}
		}
	}
	return all
}

func texts(v any, all []string) []string {
	switch v := v.(type) {
	case string:
		all = append(all, v)
	case []any:
		for _, e := range v {
			all = texts(e, all)
		}
	case map[string]any:
		for k, e := range v {
			all = texts(e, append(all, k))
		}
	}
	return all
}

// maxShown is how many lines a failure shows, and maxLine how much of each.
const (
	maxShown = 10
	maxLine  = 2000
)

// Check fails the test if a secret stands in what was logged under a name.
func (s *Secrets) Check(tb testing.TB, name, log string) {
	tb.Helper()
	n, shown := 0, 0
	for line := range strings.Lines(log) {
		n++
		found := s.Find(line)
		if len(found) == 0 {
			continue
		}
		if shown++; shown > maxShown {
			continue
		}
		// The longest first: one secret may be a part of another.
		secrets := slices.SortedFunc(maps.Keys(found), func(a, b string) int { return len(b) - len(a) })
		var kinds []string
		masked := line
		for _, secret := range secrets {
			if !slices.Contains(kinds, found[secret]) {
				kinds = append(kinds, found[secret])
			}
			for _, written := range []string{secret, url.QueryEscape(secret)} {
				masked = strings.ReplaceAll(masked, written, "•••")
			}
		}
		tb.Errorf("SECRET IN A LOG: line %d of %s has %s: %.*s", n, name, strings.Join(kinds, ", "), maxLine, strings.TrimSpace(masked))
	}
	if shown > maxShown {
		tb.Errorf("SECRET IN A LOG: %d lines of %s in all", shown, name)
	}
}
