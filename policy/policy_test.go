package policy

import "testing"

func mustCompile(tb testing.TB, rules ...Rule) *Set {
	tb.Helper()
	set, err := Compile(rules)
	if err != nil {
		tb.Fatalf("Compile: %v", err)
	}
	return set
}
