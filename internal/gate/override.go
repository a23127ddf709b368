package gate

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/stepgate/stepgate/internal/held"
	"github.com/stepgate/stepgate/policy"
)

// overridable are the methods that a POST can be taken for (Laravel, Rails and
// their like).
var overridable = []string{http.MethodPut, http.MethodPatch, http.MethodDelete}

// claimedInBody returns the rules that apply to a request if its JSON body names
// another method in "_method", as Laravel reads it. Package policy has found that
// such a rule protects the path; it takes form posts for every method, and reads
// no bodies. A body that cannot be read to its end may say anything.
func (g *Gate) claimedInBody(r *http.Request, request *policy.Request) []*policy.Rule {
	if r.Method != http.MethodPost || !strings.Contains(strings.ToLower(r.Header.Get("Content-Type")), "json") {
		return nil
	}
	methods := overridable
	if captured, err := held.Capture(r, "/", g.MaxBody); err == nil {
		methods = methodsIn(captured.Body)
	}
	for _, method := range methods {
		as := *request
		as.Method = method
		if rules := g.Policy.Decide(&as).Rules; len(rules) > 0 {
			return rules
		}
	}
	return nil
}

// methodsIn returns the methods that a JSON document claims at its top level, in
// any spelling of the name. A document that is none claims nothing: no site reads
// it.
func methodsIn(body []byte) []string {
	if !bytes.Contains(bytes.ToLower(body), []byte("method")) && !bytes.Contains(body, []byte(`\u`)) {
		return nil
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	found := map[string][]string{}
	if err := walkJSON(dec, "", found, 0); err != nil {
		return overridable
	}
	var methods []string
	for _, method := range found["_method"] {
		methods = append(methods, strings.ToUpper(strings.TrimSpace(method)))
	}
	return methods
}
