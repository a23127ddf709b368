package gate

import (
	"errors"
	"slices"
	"strings"

	"github.com/stepgate/stepgate/internal/body"
	"github.com/stepgate/stepgate/internal/challenge"
	"github.com/stepgate/stepgate/internal/held"
	"github.com/stepgate/stepgate/policy"
)

// maxDetail is the longest value that is shown whole, in bytes. A longer one is
// refused: what the page cannot show the player cannot approve.
const maxDetail = 512

// errDetails says that a request says one of its significant details twice, or
// in a way that two readers may read differently. What the player would approve
// might then not be what the site does.
var errDetails = errors.New("ambiguous details")

// detailsOf returns the significant details of a request, as the rule names
// them. A detail that the request does not state has an empty value; one label may
// name several places, of which a request states one. limit is what a coded body
// may expand to, in bytes.
func detailsOf(request *held.Request, wanted []policy.Detail, limit int64) ([]challenge.Detail, error) {
	if request == nil || len(wanted) == 0 {
		return nil, nil
	}
	stated, err := statedBy(request, wanted, limit)
	if err != nil {
		return nil, err
	}
	var details []challenge.Detail
	found := map[string][]string{}
	for _, d := range wanted {
		if _, seen := found[d.Label]; !seen {
			details = append(details, challenge.Detail{Label: d.Label})
			found[d.Label] = []string{}
		}
		for _, f := range stated {
			if !isStatedAs(f, d) {
				continue
			}
			if f.Container || len(f.Value) > maxDetail {
				return nil, errDetails
			}
			found[d.Label] = append(found[d.Label], f.Value)
		}
	}
	for i, d := range details {
		switch values := found[d.Label]; len(values) {
		case 0:
		case 1:
			details[i].Value = values[0]
		default:
			return nil, errDetails
		}
	}
	return details, nil
}

// statedBy returns what stands in the places of a request from which details are
// wanted.
func statedBy(request *held.Request, wanted []policy.Detail, limit int64) ([]policy.Field, error) {
	inQuery := func(d policy.Detail) bool { return d.Source == policy.FromQuery }
	var stated []policy.Field
	if slices.ContainsFunc(wanted, inQuery) {
		_, raw, _ := strings.Cut(request.URI, "?")
		query, unclear := body.Query(raw)
		if unclear != "" {
			return nil, errDetails
		}
		stated = query
	}
	if slices.ContainsFunc(wanted, func(d policy.Detail) bool { return !inQuery(d) }) {
		read := body.Read(body.Input{Header: request.Header, Body: request.Body, Cap: limit})
		if read.Unclear != "" {
			return nil, errDetails
		}
		stated = append(stated, read.Fields...)
	}
	return stated, nil
}

// isStatedAs reports whether a value of a request is the detail for some site.
// Names that differ in case only are the same name, and PHP reads "amount[]" and
// "amount" as one.
func isStatedAs(f policy.Field, d policy.Detail) bool {
	name := f.Name
	if d.Source != policy.FromJSON {
		name, _, _ = strings.Cut(name, "[")
		name = strings.TrimSpace(name)
	}
	return f.Source == d.Source && strings.EqualFold(name, d.Name)
}
