package gate

import (
	"errors"
	"net/http"

	"github.com/stepgate/stepgate/internal/body"
	"github.com/stepgate/stepgate/internal/held"
	"github.com/stepgate/stepgate/policy"
)

// decide asks the policy about a request. The body is read only where the answer
// depends on it, up to what can be held, and goes on untouched.
func (g *Gate) decide(r *http.Request) policy.Decision {
	request := policy.Request{
		Method:   r.Method,
		Host:     r.Host,
		Targets:  [2]string{r.URL.EscapedPath()},
		RawQuery: r.URL.RawQuery,
		Header:   r.Header,
	}
	if original := g.Original(r); original != nil {
		request.Targets[1] = original.EscapedPath()
	}
	decision := g.Policy.Decide(&request)
	if decision.Ask {
		request.Body = g.readBody(r, decision.AskGraphQL)
		decision = g.Policy.Decide(&request)
	}
	return decision
}

// readBody returns what the body of a request says.
func (g *Gate) readBody(r *http.Request, graphQL bool) *policy.Body {
	captured, err := held.Capture(r, "/", g.MaxBody)
	switch {
	case errors.Is(err, held.ErrTooLarge):
		return &policy.Body{Unclear: policy.UnclearTooLarge}
	case err != nil:
		// An upgrade, a body with trailers, or one that broke off.
		return &policy.Body{Unclear: policy.UnclearUnread}
	}
	return body.Read(body.Input{
		Header: r.Header, RawQuery: r.URL.RawQuery, Body: captured.Body, Cap: g.MaxBody, GraphQL: graphQL,
	})
}
