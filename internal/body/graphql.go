package body

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/stepgate/stepgate/policy"
)

// documents collects what a GraphQL server may execute.
type documents struct {
	seen  map[string]bool
	roots []policy.Root
	// tokens is how many of them were read.
	tokens int
}

// graphql returns what a server may execute for the body and the query together.
func (r *reader) graphql(rawQuery string) policy.GraphQL {
	d := documents{seen: map[string]bool{}}
	word := d.text(r)
	if word == "" {
		word = d.requests(r)
	}
	if word == "" && rawQuery != "" {
		query := new(reader)
		query.form(policy.FromQuery, rawQuery)
		if word = query.over(); word == "" {
			word = d.requests(query)
		}
	}
	if word != "" {
		return policy.GraphQL{Unclear: word}
	}
	slices.SortFunc(d.roots, func(a, b policy.Root) int {
		return cmp.Or(strings.Compare(a.Operation, b.Operation), strings.Compare(a.Field, b.Field))
	})
	return policy.GraphQL{Roots: slices.Compact(d.roots)}
}

// text takes the body itself for a document. Unless the request calls it one,
// servers that would do so are rare, and a body that is none is no concern.
func (d *documents) text(r *reader) string {
	if r.document == "" {
		return ""
	}
	word := d.add(r.document)
	if word == policy.UnclearSyntax && (!r.declared || len(r.requests) > 0) {
		// Of a declared one, it was JSON.
		return ""
	}
	return word
}

// requests reads every object, form and query that may be a request.
func (d *documents) requests(r *reader) string {
	for _, s := range r.requests {
		if word := d.request(r.fields[s.from:s.to]); word != "" {
			return word
		}
	}
	return ""
}

// request reads the fields of what may be one request (GraphQL over HTTP, the
// GraphQL multipart request specification, Apollo's persisted queries).
func (d *documents) request(fields []policy.Field) string {
	var carried, named []string
	for _, f := range fields {
		name, below, _ := strings.Cut(parameter(f), ".")
		var word string
		switch {
		case f.Container && name == "query" && below == "":
			// An array of documents is transparent; its members come after it.
			continue
		case name == "query" && f.Value != "" && !isNull(f):
			carried = append(carried, f.Value)
			word = d.add(f.Value)
		case name == "operations" && f.Source != policy.FromJSON:
			word = d.operations(f.Value)
		case name == "extensions" && !f.Container:
			var more []string
			more, word = extensions(f, below)
			named = append(named, more...)
		case isDocumentID(name) && !f.Container && f.Value != "" && !isNull(f):
			named = append(named, f.Value)
		}
		if word != "" {
			return word
		}
	}
	return unlessHashed(named, carried)
}

// parameter returns the name of a field as servers compare it: folded, and of a
// form without what PHP takes for an index.
func parameter(f policy.Field) string {
	name := f.Name
	if f.Source != policy.FromJSON {
		name, _, _ = strings.Cut(name, "[")
	}
	name = strings.ToLower(strings.ReplaceAll(strings.TrimSpace(name), "_", ""))
	// Comparing without regard to case takes this for "s", lower case does not.
	return strings.ReplaceAll(name, "\u017f", "s")
}

func isNull(f policy.Field) bool { return f.Source == policy.FromJSON && f.Value == "null" }

// operations reads the field of a multipart request that holds the requests.
func (d *documents) operations(value string) string {
	if value == "" {
		return ""
	}
	inner, word := readJSON(value)
	if word != "" {
		return word
	}
	return d.requests(inner)
}

// extensions returns the ids in a field below "extensions", or in the text of
// JSON that stands there.
func extensions(f policy.Field, below string) (ids []string, word string) {
	if below != "" {
		if isDocumentID(below) && f.Value != "" && !isNull(f) {
			ids = append(ids, f.Value)
		}
		return ids, ""
	}
	if f.Value == "" || isNull(f) {
		return nil, ""
	}
	inner, word := readJSON(f.Value)
	if word != "" {
		return nil, word
	}
	for _, f := range inner.fields {
		if !f.Container && isDocumentID(parameter(f)) && f.Value != "" && !isNull(f) {
			ids = append(ids, f.Value)
		}
	}
	return ids, ""
}

// isDocumentID reports whether Apollo, Relay, GraphQL over HTTP or their like know
// a document by what stands under a name, as parameter returns it.
func isDocumentID(name string) bool {
	first, below, _ := strings.Cut(name, ".")
	switch first {
	case "id", "docid", "documentid", "queryid", "operationid", "hash", "queryhash", "sha256hash", "documenthash":
		return true
	case "persistedquery":
		return below != "version"
	}
	return false
}

func readJSON(text string) (*reader, string) {
	r := new(reader)
	if !isText([]byte(text)) {
		return nil, policy.UnclearCharset
	}
	if word := r.json([]byte(text)); word != "" {
		return nil, word
	}
	return r, r.over()
}

// unlessHashed accepts the ids that are the SHA-256 of a document beside them, as
// when a client registers one: servers compare the two. Any other id may be
// preferred to what is carried.
func unlessHashed(ids, carried []string) string {
	if len(ids) == 0 {
		return ""
	}
	hashes := map[string]bool{}
	for _, document := range carried {
		sum := sha256.Sum256([]byte(document))
		hashes[hex.EncodeToString(sum[:])] = true
	}
	for _, id := range ids {
		if !hashes[strings.TrimPrefix(strings.ToLower(id), "sha256:")] {
			return policy.UnclearPersisted
		}
	}
	return ""
}

// add reads a document.
func (d *documents) add(document string) string {
	if d.seen[document] {
		return ""
	}
	if len(d.seen) >= maxDocuments {
		return policy.UnclearTooLarge
	}
	n, ok := tokensOf(document, maxTokens-d.tokens)
	if !ok {
		return policy.UnclearTooLarge
	}
	d.tokens += n
	roots, ok := rootsOf(document)
	if !ok {
		return policy.UnclearSyntax
	}
	d.seen[document] = true
	d.roots = append(d.roots, roots...)
	return ""
}
