package policy

import (
	"net/url"
	"strings"
	"testing"
)

// queryReaders find the values of a parameter as real upstreams do. They are
// written for this test, apart from the code under test.
var queryReaders = map[string]func(raw, name string) []string{
	"net/url": func(raw, name string) []string {
		values, _ := url.ParseQuery(raw) // what is broken is left out
		return values[name]
	},
	"PHP": func(raw, name string) (found []string) {
		for pair := range strings.SplitSeq(raw, "&") {
			key, value, _ := strings.Cut(pair, "=")
			key = strings.TrimLeft(phpDecode(key), " ")
			key, _, _ = strings.Cut(key, "\x00")
			key, _, _ = strings.Cut(key, "[")
			if strings.NewReplacer(".", "_", " ", "_").Replace(key) == name {
				found = append(found, phpDecode(value))
			}
		}
		return found
	},
	"Rack before 3": func(raw, name string) (found []string) {
		for pair := range strings.FieldsFuncSeq(raw, func(r rune) bool { return r == '&' || r == ';' }) {
			key, value, _ := strings.Cut(pair, "=")
			if phpDecode(strings.TrimLeft(key, " ")) == name {
				found = append(found, phpDecode(value))
			}
		}
		return found
	},
	"without case": func(raw, name string) (found []string) {
		for pair := range strings.SplitSeq(raw, "&") {
			if key, value, _ := strings.Cut(pair, "="); strings.EqualFold(phpDecode(key), name) {
				found = append(found, phpDecode(value))
			}
		}
		return found
	},
}

// phpDecode decodes as PHP does: what is no escape stays.
func phpDecode(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '+':
			b.WriteByte(' ')
		case s[i] == '%' && i+2 < len(s) && strings.IndexByte(hexDigits, s[i+1]) >= 0 && strings.IndexByte(hexDigits, s[i+2]) >= 0:
			text, _ := url.PathUnescape(s[i : i+3])
			b.WriteString(text)
			i += 2
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String()
}

const hexDigits = "0123456789abcdefABCDEF"

// I1, I2: no reader finds a value that a rule asks for in a query that the
// gateway lets through.
func FuzzConditions(f *testing.F) {
	for _, q := range []string{
		"action_name=withdraw", "x=y&action.name=withdraw", "action%20name=with%64raw", "a;action_name=withdraw", "+action_name=withdraw",
		"action_name[]=withdraw", "ACTION_name=WITHDRAW", "action_name%00=withdraw", "action_name=play", "%zz=%zz&action_name=withdraw%zz",
	} {
		f.Add(q)
	}
	set := mustCompile(f, Rule{
		Name: "r", Paths: []string{"/rpc"}, Conditions: []Condition{{Place: InQuery, Name: "action_name", Values: []string{"withdraw"}}},
	})
	f.Fuzz(func(t *testing.T, raw string) {
		d := set.Decide(&Request{Method: "GET", Targets: [2]string{"/rpc"}, RawQuery: raw, Body: &Body{}})
		for name, read := range queryReaders {
			for _, value := range read(raw, "action_name") {
				if strings.EqualFold(strings.TrimSpace(value), "withdraw") && !protectedBy(d, "r") {
					t.Fatalf("Decide(?%q) = %s, but %s reads %q", raw, describe(d), name, value)
				}
			}
		}
	})
}
