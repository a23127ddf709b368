package body

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/stepgate/stepgate/policy"
)

// Bounds on what a body may cost, beside the cap on its bytes. What goes over one
// of them is unclear.
const (
	// maxFields is how many values are followed, all readings together.
	maxFields = 1 << 14
	// maxName is the longest name of a JSON value in bytes: each value repeats the
	// names of what it stands in.
	maxName = 512
	// maxDepth is how deep JSON may nest.
	maxDepth = 64
	// maxParts is how many parts a multipart body may have.
	maxParts = 1000
	// maxDocuments is how many GraphQL documents a request may hold, and maxTokens
	// how long they may be together.
	maxDocuments = 64
	maxTokens    = 20_000
)

// Input is a captured request, as far as its body needs it.
type Input struct {
	// Header has the names in their canonical form.
	Header map[string][]string
	// RawQuery is the query as it came, without "?". Only GraphQL asks for it.
	RawQuery string
	// Body is the whole body as it came, without the transfer coding. It is not
	// written to, and nothing that Read returns refers to it.
	Body []byte
	// Cap is the most that a coded body may expand to, in bytes, at each of its
	// codings. Zero lets no coded body be read.
	Cap int64
	// GraphQL asks for what a GraphQL server may execute.
	GraphQL bool
}

// Read returns what the readers of a body may find in it. It never returns nil. Of
// an unclear body it gives no fields.
func Read(in Input) *policy.Body {
	r := new(reader)
	if word := r.read(&in); word != "" {
		return &policy.Body{Unclear: word, GraphQL: policy.GraphQL{Unclear: word}}
	}
	b := &policy.Body{Fields: r.fields}
	if in.GraphQL {
		b.GraphQL = r.graphql(in.RawQuery)
	}
	return b
}

// Query returns what the readers of a query may find in it, as those of a form
// would. Its second result is empty, or says in a word why there may be more.
func Query(raw string) (fields []policy.Field, unclear string) {
	r := new(reader)
	r.form(policy.FromQuery, raw)
	return r.fields, r.over()
}

// reader collects what is found. Its methods return an empty string, or the word
// that says why the body is unclear.
type reader struct {
	fields []policy.Field
	// full says that there were more than maxFields.
	full bool
	// requests are the ranges of fields that may each be one GraphQL request.
	requests []span
	// document is the text itself if it may be a GraphQL document; declared says
	// that the content type calls it one.
	document string
	declared bool
}

// span is fields[from:to].
type span struct{ from, to int }

func (r *reader) read(in *Input) string {
	if len(in.Body) == 0 {
		return ""
	}
	declared, word := typeOf(in.Header)
	if word != "" {
		return word
	}
	codings, word := codingsOf(in.Header)
	if word != "" {
		return word
	}
	text, word := decode(in.Body, codings, in.Cap)
	if word != "" {
		return word
	}
	if len(codings) > 0 {
		if word := r.uncoded(in.Body, declared); word != "" {
			return word
		}
	}
	// Some readers leave a byte order mark out; no name begins with one.
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	if word := r.text(text, declared, in.GraphQL); word != "" {
		return word
	}
	if r.full {
		return policy.UnclearTooLarge
	}
	return r.charsetField()
}

// uncoded reads a coded body as a site does that ignores its coding. The comment
// of a gzip header, and what a format skips or stores as it is, can hold a form or
// parts in plain text. Some readers of JSON are content with what it begins with.
func (r *reader) uncoded(coded []byte, declared mediaType) string {
	switch {
	case json.NewDecoder(bytes.NewReader(coded)).Decode(new(json.RawMessage)) == nil,
		declared.kind == kindMultipart && bytes.Contains(coded, []byte("--"+declared.boundary)):
		return policy.UnclearEncoding
	case declared.kind != kindMultipart:
		r.form(policy.FromForm, string(coded))
	}
	return ""
}

// text has a decoded body read by every reader that its type lets near it.
func (r *reader) text(text []byte, declared mediaType, graphQL bool) string {
	if len(text) == 0 {
		return ""
	}
	if declared.kind == kindMultipart {
		return r.multipart(text, declared.boundary)
	}
	if !isText(text) {
		return policy.UnclearCharset
	}
	// What begins as JSON does has to be JSON, unless it is called a document.
	if graphQL && (declared.kind == kindGraphQL || !startsLikeJSON(text)) {
		r.document, r.declared = string(text), declared.kind == kindGraphQL
	}
	switch declared.kind {
	case kindForm:
		return r.declaredForm(text)
	case kindJSON:
		if declared.form {
			r.form(policy.FromForm, string(text))
		}
		return r.json(text)
	case kindGraphQL:
		return r.declaredGraphQL(text, graphQL)
	default:
		return r.undeclared(text)
	}
}

// declaredForm reads a form. A site that expects JSON reads JSON, whatever the
// request calls it (the forms of HTML can be made to send JSON); one that is
// lenient about comments or quotes finds more in it than we would.
func (r *reader) declaredForm(text []byte) string {
	r.form(policy.FromForm, string(text))
	first := firstByte(text)
	switch {
	case first == '<':
		return policy.UnclearType
	case strings.IndexByte("{[\"'/#", first) >= 0:
		return r.json(text)
	}
	return ""
}

// declaredGraphQL reads the body as JSON too if it is JSON: some servers do.
func (r *reader) declaredGraphQL(text []byte, graphQL bool) string {
	if !graphQL {
		return policy.UnclearType
	}
	if word := r.json(text); word != "" && word != policy.UnclearSyntax {
		return word
	}
	return ""
}

// undeclared reads a body that claims no type, or one that says nothing. It has to
// be JSON or a form in its plainest spelling.
func (r *reader) undeclared(text []byte) string {
	switch word := r.json(text); {
	case word == "":
		r.form(policy.FromForm, string(text))
		return ""
	case word != policy.UnclearSyntax || startsLikeJSON(text):
		return word
	case isPlainForm(text):
		r.form(policy.FromForm, string(text))
		return ""
	}
	return policy.UnclearType
}

// add notes a value unless it stands at or behind position from already.
func (r *reader) add(from int, f policy.Field) {
	for _, known := range r.fields[from:] {
		if known == f {
			return
		}
	}
	if len(r.fields) >= maxFields {
		r.full = true
		return
	}
	r.fields = append(r.fields, f)
}

// over returns the word for too many fields.
func (r *reader) over() string {
	if r.full {
		return policy.UnclearTooLarge
	}
	return ""
}

// charsetField looks for the field by which a form names its character encoding
// (HTML, section 4.10.21.5). Some servers decode all others by it.
func (r *reader) charsetField() string {
	for _, f := range r.fields {
		if f.Source == policy.FromForm && strings.EqualFold(strings.TrimSpace(f.Name), "_charset_") && !isASCIISuperset(f.Value) {
			return policy.UnclearCharset
		}
	}
	return ""
}
