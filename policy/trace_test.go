package policy

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestExplainSaysHowADecisionCameAbout(t *testing.T) {
	set := mustCompile(t,
		Rule{Name: "withdrawal", Paths: []string{"/wallet/withdraw"}, Methods: []string{"POST"}},
		Rule{Name: "large", Paths: []string{"/wallet/*"}, Amounts: []Amount{{FromForm, "amount", ">", "10"}}},
	)
	e := set.Explain(&Request{Method: "POST", Targets: [2]string{"/x/..;/wallet/withdraw"}, Header: map[string][]string{"Content-Type": {"text/plain"}}})
	var hit []Reading
	for _, r := range e.Readings {
		if len(r.Rules) > 0 {
			hit = append(hit, r)
		}
	}
	want := []Reading{{
		From: "request target", Path: "/wallet/withdraw", Steps: []string{"params", "resolve"}, Rules: []string{"withdrawal", "large"},
	}}
	if diff := cmp.Diff(want, hit); diff != "" {
		t.Errorf("readings that hit (-want +got):\n%s", diff)
	}
	if !e.Ask || Require(e.Rules).Name() != "withdrawal" {
		t.Errorf("decision = %s, ask %v, want withdrawal and to be asked", describe(e.Decision), e.Ask)
	}
	verdicts := []Verdict{
		{Rule: &set.rules[0], Applies: true, Parts: []Part{{Text: "method POST", Met: true}}},
		{Rule: &set.rules[1], Depends: true, Parts: []Part{{Text: "when form:amount > 10", Depends: true}}},
	}
	if diff := cmp.Diff(verdicts, e.Verdicts); diff != "" {
		t.Errorf("verdicts (-want +got):\n%s", diff)
	}
}

// What explains must not decide otherwise.
func TestExplainDecidesAsDecideDoes(t *testing.T) {
	set := methodSet(t)
	for _, paths := range evasions {
		for _, path := range append(paths, "/vault", "/phone", "/games", "/index.php?x") {
			for _, method := range []string{"GET", "POST", "PUT"} {
				req := &Request{Method: method, Targets: [2]string{path}, RawQuery: "s=/vault"}
				e, d := set.Explain(req), set.Decide(req)
				if diff := cmp.Diff(d, e.Decision); diff != "" {
					t.Fatalf("%s %q: Explain and Decide differ:\n%s", method, path, diff)
				}
				var applying []string
				for _, v := range e.Verdicts {
					if v.Applies {
						applying = append(applying, v.Rule.Name)
					}
				}
				if diff := cmp.Diff(Require(d.Rules).Rules, applying); diff != "" {
					t.Errorf("%s %q: verdicts and rules differ:\n%s", method, path, diff)
				}
			}
		}
	}
}
