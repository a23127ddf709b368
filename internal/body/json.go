package body

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/stepgate/stepgate/policy"
)

// json reads one JSON document (RFC 8259) and nothing beside it, token by token,
// so that a key that stands twice is seen twice. Comments, single quotes and
// further documents are no JSON, but some reader knows what to do with them: they
// make it unclear.
func (r *reader) json(text []byte) string {
	if !json.Valid(text) {
		return policy.UnclearSyntax
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	return r.value(dec, "", 0)
}

// value reads the value that stands under a name.
func (r *reader) value(dec *json.Decoder, name string, depth int) string {
	if r.full || depth > maxDepth || len(name) > maxName {
		return policy.UnclearTooLarge
	}
	token, err := dec.Token()
	if err != nil {
		return policy.UnclearSyntax
	}
	open, ok := token.(json.Delim)
	if !ok {
		return r.scalar(name, token)
	}
	start := len(r.fields)
	r.add(start, policy.Field{Source: policy.FromJSON, Name: name, Container: true})
	for dec.More() {
		within := name
		if open == '{' {
			var word string
			if within, word = key(dec, name); word != "" {
				return word
			}
		}
		if word := r.value(dec, within, depth+1); word != "" {
			return word
		}
	}
	if _, err := dec.Token(); err != nil {
		return policy.UnclearSyntax
	}
	if name == "" && open == '{' {
		r.requests = append(r.requests, span{start, len(r.fields)})
	}
	return ""
}

// key reads a key and returns the name of what stands under it.
func key(dec *json.Decoder, within string) (string, string) {
	token, err := dec.Token()
	if err != nil {
		return "", policy.UnclearSyntax
	}
	name, ok := token.(string)
	switch {
	case !ok:
		return "", policy.UnclearSyntax
	case !isWhole(name), strings.Contains(name, "\x00"):
		return "", policy.UnclearCharset
	case within == "":
		return name, ""
	case len(within)+len(name) > maxName:
		return "", policy.UnclearTooLarge
	}
	return within + "." + name, ""
}

// scalar adds a value that is no container.
func (r *reader) scalar(name string, token json.Token) string {
	value := ""
	switch t := token.(type) {
	case string:
		value = t
	case json.Number:
		value = t.String()
	case bool:
		value = "false"
		if t {
			value = "true"
		}
	case nil:
		value = "null"
	}
	if !isWhole(value) {
		return policy.UnclearCharset
	}
	start := len(r.fields)
	r.add(start, policy.Field{Source: policy.FromJSON, Name: name, Value: value})
	if cut, _, found := strings.Cut(value, "\x00"); found {
		// C strings end at NUL.
		r.add(start, policy.Field{Source: policy.FromJSON, Name: name, Value: cut})
	}
	return r.over()
}

// isWhole reports whether a string holds no half of a surrogate pair, which the
// decoder replaces and other readers leave out.
func isWhole(s string) bool {
	return !strings.Contains(s, "\ufffd")
}
