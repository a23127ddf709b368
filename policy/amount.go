package policy

import (
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strings"
)

// Amount asks for a number in the request: when json:amount > 1000000. It holds
// unless the request states exactly one number under the name and that number
// cannot be read as one that meets the comparison: a number that is missing,
// that stands there twice, or that is none in plain decimal digits holds.
type Amount struct {
	// Source says where the number is expected, form, json or query. It is looked
	// for in all of them, so that none can say another.
	Source DetailSource
	// Name is the field's name, or for JSON a dotted path.
	Name string
	// Operator is one of > >= < <=.
	Operator string
	// Limit is a number in decimal digits, with at most one point.
	Limit string
}

func (a Amount) String() string {
	return fmt.Sprintf("%s:%s %s %s", a.Source, a.Name, a.Operator, a.Limit)
}

// operators say of each comparison for which results it holds.
var operators = map[string]func(cmp int) bool{
	">":  func(cmp int) bool { return cmp > 0 },
	">=": func(cmp int) bool { return cmp >= 0 },
	"<":  func(cmp int) bool { return cmp < 0 },
	"<=": func(cmp int) bool { return cmp <= 0 },
}

// plainNumber is what every reader takes for the same number, but for the point,
// which may part thousands. A leading zero makes some read octal.
var plainNumber = regexp.MustCompile(`^(?:0|[1-9][0-9]{0,29})(?:\.[0-9]{1,18})?$`)

func (a Amount) check() error {
	switch {
	case a.Source != FromForm && a.Source != FromJSON && a.Source != FromQuery:
		return fmt.Errorf("amount %q comes from %q, which is not known: write form:NAME, json:PATH or query:NAME", a, a.Source)
	case a.Name == "" || a.Source == FromJSON && slices.Contains(strings.Split(a.Name, "."), ""):
		return fmt.Errorf("amount %q names no field: write one, such as %s:amount", a, a.Source)
	case operators[a.Operator] == nil:
		return fmt.Errorf("amount %q compares by %q: write one of > >= < <=", a, a.Operator)
	case !plainNumber.MatchString(a.Limit):
		return fmt.Errorf("amount %q has the limit %q, which is no plain number: write digits only, such as 1000000", a, a.Limit)
	}
	return nil
}

// holds says whether a request meets the comparison, or may.
func (a *Amount) holds(f *facts) answer {
	body := f.req.Body
	switch {
	case body == nil:
		return ask
	case body.Unclear != "":
		return yes
	}
	value, seen := "", 0
	look := func(field Field) {
		if hasName(field.Name, a.Name) {
			seen++
			value = field.Value
			if field.Container || strings.ContainsAny(field.Name, "[]") {
				seen++
			}
		}
	}
	for field := range f.queryFields() {
		look(field)
	}
	for _, field := range body.Fields {
		look(field)
	}
	return answerOf(seen != 1 || a.mayMeet(value))
}

// mayMeet reports whether some reader of a number finds one that meets the
// comparison.
func (a *Amount) mayMeet(value string) bool {
	if !plainNumber.MatchString(value) {
		return true
	}
	limit, _ := new(big.Rat).SetString(a.Limit)
	for _, reading := range []string{value, strings.ReplaceAll(value, ".", "")} {
		if n, ok := new(big.Rat).SetString(reading); !ok || operators[a.Operator](n.Cmp(limit)) {
			return true
		}
	}
	return false
}
