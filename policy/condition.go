package policy

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Place is where a condition looks.
type Place string

// The places of a condition. A parameter is looked for in the query and in the
// body whichever of the first three names it: most frameworks merge them, and
// which of two values wins is theirs to say. What the three differ in is how an
// operator thinks of the parameter.
const (
	InQuery   Place = "query"
	InForm    Place = "form"
	InJSON    Place = "json"
	InHeader  Place = "header"
	InGraphQL Place = "graphql"
)

// Condition asks for something that a request says beside its path.
type Condition struct {
	Place Place
	// Name is the name of the parameter or header; for JSON the keys joined by
	// dots; for GraphQL the kind of operation: query, mutation or subscription.
	Name string
	// Values are those of which one must stand there: whole, or ending in "*" for
	// every value that begins so; "*" alone takes any. For GraphQL they are names
	// of fields at the root of the operation. Matching ignores case.
	Values []string
}

func (c Condition) String() string {
	return fmt.Sprintf("%s %s %s", c.Place, c.Name, strings.Join(c.Values, " "))
}

// answer is what a part of a rule says of a request. The order is that of all:
// the smallest counts.
type answer int

const (
	no  answer = iota
	ask        // the body would have to be read
	yes
)

func answerOf(b bool) answer {
	if b {
		return yes
	}
	return no
}

func (c Condition) check() error {
	fault := func(format string, args ...any) error {
		return fmt.Errorf("condition %q %s", c, fmt.Sprintf(format, args...))
	}
	switch c.Place {
	case InQuery, InForm, InJSON, InHeader:
		if c.Name == "" {
			return fault("names no parameter: write its name and a value, such as %s action withdraw", c.Place)
		}
	case InGraphQL:
		if !slices.Contains(graphQLKinds, c.Name) {
			return fault("names no kind of operation: write mutation, query or subscription and the fields, such as graphql mutation withdraw")
		}
	default:
		return fault("looks in %q, which is not known: write query, form, json, header or graphql", c.Place)
	}
	switch {
	case c.Place == InJSON && slices.Contains(strings.Split(c.Name, "."), ""):
		return fault("has a JSON path with an empty name: write the names with one dot between them")
	case c.Place == InHeader && !isToken(c.Name):
		return fault("has a name that no header can have")
	case c.Place == InHeader && strings.EqualFold(c.Name, "Host"):
		return fault("asks for the host: write host and its name")
	case len(c.Values) == 0:
		return fault(`has no value: write one or more, or "*" for any`)
	}
	for _, v := range c.Values {
		if err := checkValue(v); err != nil {
			return fmt.Errorf("condition %q %w", c, err)
		}
	}
	return nil
}

var graphQLKinds = []string{"query", "mutation", "subscription"}

func checkValue(v string) error {
	switch {
	case v == "":
		return errors.New(`has an empty value: write "*" for any`)
	case strings.Contains(v[:len(v)-1], "*"):
		return fmt.Errorf(`has "*" before the end of %q: only the last character can be one`, v)
	case plainText(v) != fold(v):
		return fmt.Errorf("has the value %q, which requests are never compared with: write %q", v, plainText(v))
	}
	return nil
}

// holds says whether a request meets the condition under any reading.
func (c *Condition) holds(f *facts) answer {
	switch c.Place {
	case InHeader:
		return answerOf(c.inHeader(f.req.Header))
	case InGraphQL:
		return c.inGraphQL(f.req.Body)
	}
	for field := range f.queryFields() {
		if c.isMetBy(field) {
			return yes
		}
	}
	body := f.req.Body
	switch {
	case body == nil:
		return ask
	case body.Unclear != "":
		return yes
	}
	return answerOf(slices.ContainsFunc(body.Fields, c.isMetBy))
}

func (c *Condition) isMetBy(field Field) bool {
	if !hasName(field.Name, c.Name) {
		return false
	}
	return slices.ContainsFunc(c.Values, func(v string) bool { return matchesValue(field, v) })
}

func (c *Condition) inHeader(header map[string][]string) bool {
	for name, values := range header {
		if !strings.EqualFold(name, c.Name) {
			continue
		}
		for _, value := range values {
			if c.isMetBy(Field{Name: c.Name, Value: value}) {
				return true
			}
			for part := range strings.SplitSeq(value, ",") {
				if c.isMetBy(Field{Name: c.Name, Value: part}) {
					return true
				}
			}
		}
	}
	return false
}

func (c *Condition) inGraphQL(body *Body) answer {
	switch {
	case body == nil:
		return ask
	case body.Unclear != "" || body.GraphQL.Unclear != "":
		return yes
	}
	return answerOf(slices.ContainsFunc(body.GraphQL.Roots, func(root Root) bool {
		return strings.EqualFold(root.Operation, c.Name) && c.isMetBy(Field{Name: c.Name, Value: root.Field})
	}))
}

// hasName reports whether a parameter can be read as having a name that a rule
// asks for. PHP reads "." and " " in names as "_"; brackets make members of an
// array or object, which goes by the name before them too.
func hasName(name, wanted string) bool {
	if isPlainName(name) {
		return strings.EqualFold(name, mangle(wanted))
	}
	if isDeep(name) {
		return true
	}
	wanted = mangle(fold(wanted))
	for text := range texts(name) {
		base, _, bracketed := strings.Cut(text, "[")
		if mangle(text) == wanted || bracketed && (mangle(base) == wanted || mangle(members.Replace(text)) == wanted) {
			return true
		}
	}
	return false
}

// isPlainName reports whether a name has one reading only, as nearly all have.
func isPlainName(name string) bool {
	for i := range len(name) {
		if c := lower[name[i]]; c != '_' && c != '-' && !('a' <= c && c <= 'z') && !('0' <= c && c <= '9') {
			return false
		}
	}
	return true
}

// members turns the brackets of a name into the dots of a path: "a[b]" is "a.b",
// and "a[]" is "a".
var members = strings.NewReplacer("[]", "", "[", ".", "]", "")

func mangle(name string) string {
	return strings.Map(func(r rune) rune {
		if r == '.' || r == ' ' {
			return '_'
		}
		return r
	}, name)
}

// matchesValue reports whether what stands in a field can be read as a value
// that a rule asks for. A container can be read as anything.
func matchesValue(field Field, wanted string) bool {
	if field.Container || wanted == "*" || isDeep(field.Value) {
		return true
	}
	wanted = fold(wanted)
	prefix, starred := strings.CutSuffix(wanted, "*")
	number, err := strconv.ParseFloat(wanted, 64)
	for text := range texts(field.Value) {
		switch {
		case text == wanted, starred && strings.HasPrefix(text, prefix):
			return true
		case err == nil:
			if n, err := strconv.ParseFloat(text, 64); err == nil && n == number {
				return true
			}
		}
	}
	return false
}

// isDeep reports whether a text is encoded more often than is followed. It may then
// say anything.
func isDeep(s string) bool {
	for range maxDecodings {
		next := decode(s)
		if next == s {
			return false
		}
		s = next
	}
	return decode(s) != s
}

// texts yields what a name or a value can be read as: as it is, cut at NUL, and
// after further decodings, each without what a lenient reader does not see.
func texts(s string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for range maxDecodings {
			before, _, cut := strings.Cut(s, "\x00")
			if !yield(plainText(s)) || cut && !yield(plainText(before)) {
				return
			}
			next := decode(s)
			if next == s {
				return
			}
			s = next
		}
	}
}

// plainText brings a text to the form in which names and values are compared.
func plainText(s string) string {
	return fold(strings.Trim(drop(narrow(s)), " \t\r\n\v\f"))
}
