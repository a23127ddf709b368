package webhook

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stepgate/stepgate/internal/spelling"
	"github.com/stepgate/stepgate/sms"
)

// placeholders are what stands for a part of the message, without the braces.
var placeholders = map[string]func(sms.Message) string{
	"to":          func(m sms.Message) string { return m.To.E164() },
	"to.digits":   func(m sms.Message) string { return m.To.Digits() },
	"to.national": func(m sms.Message) string { return m.To.National() },
	"text":        func(m sms.Message) string { return m.Text },
	"code":        func(m sms.Message) string { return m.Code },
	"brand":       func(m sms.Message) string { return m.Brand },
	"minutes":     func(m sms.Message) string { return strconv.Itoa(minutes(m.Validity)) },
	"seconds":     func(m sms.Message) string { return strconv.Itoa(seconds(m.Validity)) },
	"locale":      func(m sms.Message) string { return m.Locale },
	"purpose":     func(m sms.Message) string { return m.Purpose },
	"ref":         func(m sms.Message) string { return m.Ref },
	"attempt":     func(m sms.Message) string { return strconv.Itoa(m.Attempt) },
}

// minutes rounds down but for the seconds that pass between the making of a code and
// its sending, as the texts of Stepgate do.
func minutes(d time.Duration) int { return max(1, int((d+5*time.Second)/time.Minute)) }

func seconds(d time.Duration) int { return max(1, int(d/time.Second)) }

// values is the message by placeholder.
type values map[string]string

func valuesOf(m sms.Message) values {
	v := make(values, len(placeholders))
	for name, of := range placeholders {
		v[name] = of(m)
	}
	return v
}

// Resolve returns what stands for a placeholder that is none of the message's, such as
// "file./run/secrets/sms". Its error must not repeat what it read.
type Resolve func(name string) (string, error)

// text is a value with placeholders, taken apart.
type text []part

// part is fixed text, or a placeholder of the message if name is not empty.
type part struct{ fixed, name string }

// outside are the prefixes of placeholders that Resolve knows, read once at load.
var outside = []string{"env.", "file."}

// parseText takes a value apart. What resolve returns becomes fixed text and is not
// looked at again: a secret may well have a brace in it.
func parseText(s string, resolve Resolve) (text, error) {
	var t text
	for s != "" {
		i := strings.IndexAny(s, "{}")
		if i < 0 {
			return append(t, part{fixed: s}), nil
		}
		if i > 0 {
			t = append(t, part{fixed: s[:i]})
		}
		name, rest, ok := strings.Cut(s[i+1:], "}")
		if s[i] == '}' || !ok {
			return nil, fmt.Errorf("a brace has no counterpart: only placeholders such as {to} have braces, and whatever else needs them needs a template")
		}
		p, err := placeholder(name, resolve)
		if err != nil {
			return nil, err
		}
		t, s = append(t, p), rest
	}
	return t, nil
}

func placeholder(name string, resolve Resolve) (part, error) {
	if placeholders[name] != nil {
		return part{name: name}, nil
	}
	if !slices.ContainsFunc(outside, func(prefix string) bool { return strings.HasPrefix(name, prefix) }) {
		return part{}, unknownName("placeholder", name, "{%s}", slices.Sorted(maps.Keys(placeholders)))
	}
	if resolve == nil {
		return part{}, fmt.Errorf("{%s} is known to nobody here", name)
	}
	fixed, err := resolve(name)
	if err != nil {
		return part{}, fmt.Errorf("reading {%s}: %w", name, err)
	}
	if fixed == "" {
		return part{}, fmt.Errorf("{%s} is empty: set it, or leave it out", name)
	}
	return part{fixed: fixed}, nil
}

// unknownName reports a word that is not known, and what to write instead: of two that
// are equally near the first. as is how the words are written.
func unknownName(kind, name, as string, known []string) error {
	word := strings.Replace(as, "%s", name, 1)
	if near := spelling.Closest(name, known); near != "" {
		return fmt.Errorf("%q is no %s: did you mean %s?", word, kind, strings.Replace(as, "%s", near, 1))
	}
	var written []string
	for _, k := range slices.Sorted(slices.Values(known)) {
		written = append(written, strings.Replace(as, "%s", k, 1))
	}
	return fmt.Errorf("%q is no %s: write one of %s", word, kind, strings.Join(written, ", "))
}

// render puts the message's parts in, each passed through escape.
func (t text) render(v values, escape func(string) string) string {
	var b strings.Builder
	for _, p := range t {
		if p.name == "" {
			b.WriteString(p.fixed)
		} else {
			b.WriteString(escape(v[p.name]))
		}
	}
	return b.String()
}

// as renders without an escape, for what is encoded as a whole.
func (t text) as(v values) string { return t.render(v, func(s string) string { return s }) }

// uses adds the placeholders of the message to a set.
func (t text) uses(set map[string]bool) {
	for _, p := range t {
		if p.name != "" {
			set[p.name] = true
		}
	}
}

// parseFixed is parseText for a value that is the same for every message. what names
// it in the error.
func parseFixed(s, what string, resolve Resolve) (string, error) {
	t, err := parseText(s, resolve)
	if err != nil {
		return "", fmt.Errorf("%s: %w", what, err)
	}
	used := map[string]bool{}
	if t.uses(used); len(used) > 0 {
		return "", fmt.Errorf("%s is the same for every message: only {env.NAME} and {file.PATH} may stand in it", what)
	}
	return t.as(nil), nil
}

// addressed reports what a request must have of the message, given the placeholders
// that it uses.
func addressed(used map[string]bool) error {
	if !used["to"] && !used["to.digits"] && !used["to.national"] {
		return errors.New("nothing says to whom a message goes: write a field with {to}, {to.digits} or {to.national}")
	}
	if !used["text"] && !used["code"] {
		return errors.New("nothing says what a message is: write a field with {text}, or {code} where the provider has the text")
	}
	return nil
}
