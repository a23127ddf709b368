package gate

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/url"
	"strconv"
	"strings"

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

// fields are the values that a request gives under each name, in one of the
// places a detail can come from.
type fields struct {
	source policy.DetailSource
	// get returns all the values under a name; names that differ in case only are
	// the same name, because for some sites they are.
	get func(name string) []string
}

// detailsOf returns the significant details of a request, as the rule names
// them. A detail that the request does not state has an empty value; one that
// stands in another kind of body is left out if the same label is found in this
// kind.
func detailsOf(request *held.Request, wanted []policy.Detail) ([]challenge.Detail, error) {
	if request == nil || len(wanted) == 0 {
		return nil, nil
	}
	body, err := bodyFields(request)
	if err != nil {
		return nil, err
	}
	query, err := queryFields(request)
	if err != nil {
		return nil, err
	}
	var details []challenge.Detail
	index := map[string]int{}
	for _, d := range wanted {
		from := body
		if d.Source == policy.FromQuery {
			from = query
		}
		var values []string
		if from.source == d.Source {
			values = from.get(d.Name)
		}
		if len(values) > 1 || len(values) == 1 && len(values[0]) > maxDetail {
			return nil, errDetails
		}
		at, seen := index[d.Label]
		if !seen {
			at = len(details)
			index[d.Label] = at
			details = append(details, challenge.Detail{Label: d.Label})
		}
		if len(values) == 1 {
			if details[at].Value != "" {
				return nil, errDetails
			}
			details[at].Value = values[0]
		}
	}
	return details, nil
}

func queryFields(request *held.Request) (fields, error) {
	_, raw, _ := strings.Cut(request.URI, "?")
	values, err := url.ParseQuery(raw)
	if err != nil {
		return fields{}, errDetails
	}
	return valueFields(policy.FromQuery, values), nil
}

func bodyFields(request *held.Request) (fields, error) {
	types := request.Header["Content-Type"]
	if len(types) > 1 {
		return fields{}, errDetails
	}
	none := fields{get: func(string) []string { return nil }}
	if len(types) == 0 {
		return none, nil
	}
	kind, params, err := mime.ParseMediaType(types[0])
	if err != nil {
		return fields{}, errDetails
	}
	switch {
	case kind == "application/x-www-form-urlencoded":
		values, err := url.ParseQuery(string(request.Body))
		if err != nil {
			return fields{}, errDetails
		}
		return valueFields(policy.FromForm, values), nil
	case kind == "multipart/form-data":
		form, err := multipart.NewReader(bytes.NewReader(request.Body), params["boundary"]).ReadForm(int64(len(request.Body)) + 1)
		if err != nil {
			return fields{}, errDetails
		}
		return valueFields(policy.FromForm, form.Value), nil
	case kind == "application/json" || strings.HasSuffix(kind, "+json"):
		return jsonFields(request.Body)
	default:
		return none, nil
	}
}

func valueFields(source policy.DetailSource, values map[string][]string) fields {
	return fields{source: source, get: func(name string) []string {
		var all []string
		for key, v := range values {
			// PHP reads "amount[]" and "amount" as one name.
			key, _, _ = strings.Cut(key, "[")
			if strings.EqualFold(strings.TrimSpace(key), name) {
				all = append(all, v...)
			}
		}
		return all
	}}
}

// jsonFields reads a JSON document token by token, so that a key that stands
// twice is seen twice.
func jsonFields(body []byte) (fields, error) {
	found := map[string][]string{}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	if err := walkJSON(dec, "", found, 0); err != nil {
		return fields{}, errDetails
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return fields{}, errDetails
	}
	return fields{source: policy.FromJSON, get: func(name string) []string {
		return found[strings.ToLower(name)]
	}}, nil
}

func walkJSON(dec *json.Decoder, path string, found map[string][]string, depth int) error {
	if depth > 32 {
		return errDetails
	}
	token, err := dec.Token()
	if err != nil {
		return err
	}
	switch t := token.(type) {
	case json.Delim:
		// A container under the name of a detail is no value that can be shown: two
		// values are as good as none.
		found[path] = append(found[path], "", "")
		for i := 0; dec.More(); i++ {
			name := strconv.Itoa(i)
			if t == '{' {
				key, err := dec.Token()
				if err != nil {
					return err
				}
				name = strings.ToLower(key.(string))
			}
			if path != "" {
				name = path + "." + name
			}
			if err := walkJSON(dec, name, found, depth+1); err != nil {
				return err
			}
		}
		_, err = dec.Token()
		return err
	default:
		found[path] = append(found[path], fmt.Sprint(token))
		return nil
	}
}
