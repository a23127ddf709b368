package body_test

import (
	"bytes"
	"encoding/json"
	"io"
	"mime"
	"mime/multipart"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/parser"

	"github.com/stepgate/stepgate/internal/body"
	"github.com/stepgate/stepgate/policy"
)

// patience is far more than any body of a fuzzer costs.
const patience = 5 * time.Second

// readInTime reads, and fails if that takes too long or changes the input.
func readInTime(t *testing.T, in body.Input) *policy.Body {
	t.Helper()
	before, start := bytes.Clone(in.Body), time.Now()
	got := body.Read(in)
	if took := time.Since(start); took > patience {
		t.Errorf("Read() of %d bytes took %v", len(in.Body), took)
	}
	if !bytes.Equal(in.Body, before) {
		t.Error("Read() changed the body")
	}
	if got.Unclear != "" && (got.GraphQL.Unclear == "" || len(got.Fields)+len(got.GraphQL.Roots) > 0) {
		t.Errorf("Read() is unclear and says more: %+v", got)
	}
	return got
}

// Whatever the standard library's readers find in a body, by its type or in spite
// of it, is among the fields, or the body is unclear (I1, I2).
func FuzzRead(f *testing.F) {
	for _, seed := range []struct{ contentType, coding, text string }{
		{formType, "", "amount=5&account=BCA+1%2F2;a=%zz"},
		{jsonType, "", `{"amount":1,"Amount":[1e3,{"a":null}],"b":"\u0000"}`},
		{"text/plain", "", `{"x":"&action=withdraw&"}`},
		{"", "", "a=b&c"},
		{partsType, "", parts(amountPart, "Content-Disposition: form-data; name=\"f\"; filename=\"a\"\nContent-Type: application/json|{\"a\":1}")},
		{formType, "gzip", string(coded(f, "gzip", []byte("a=b")))},
		{jsonType, "zstd", string(coded(f, "zstd", []byte(`{"a":1}`)))},
		{formType, "deflate", string(coded(f, "deflate", []byte("a=b")))},
		{formType, "br", string(coded(f, "br", []byte("a=b")))},
	} {
		f.Add(seed.contentType, seed.coding, []byte(seed.text))
	}
	f.Fuzz(func(t *testing.T, contentType, coding string, text []byte) {
		in := input(contentType, string(text))
		in.GraphQL = true
		if coding != "" {
			in.Header["Content-Encoding"] = []string{coding}
		}
		got := readInTime(t, in)
		if got.Unclear != "" {
			return
		}
		found := map[policy.Field]bool{}
		for _, f := range got.Fields {
			found[f] = true
		}
		must := func(source policy.DetailSource, name, value string) {
			if !found[policy.Field{Source: source, Name: name, Value: value}] {
				t.Errorf("%q %q: a reader finds %s %q=%q in %q, Read() = %+v", contentType, coding, source, name, value, text, got.Fields)
			}
		}
		text = bytes.TrimPrefix(text, []byte("\ufeff"))
		kind, params, _ := mime.ParseMediaType(contentType)
		if kind == formType {
			values, _ := url.ParseQuery(string(text))
			for name, all := range values {
				for _, value := range all {
					must(policy.FromForm, name, value)
				}
			}
		}
		if strings.HasPrefix(kind, "multipart/") {
			mustParts(t, text, params["boundary"], must)
			return
		}
		var document any
		dec := json.NewDecoder(bytes.NewReader(text))
		dec.UseNumber()
		if err := dec.Decode(&document); err != nil {
			return
		}
		switch document.(type) {
		case map[string]any, []any:
			// A scalar has no name to be asked for by.
			mustJSON("", document, must)
		}
	})
}

// mustParts asks for what mime/multipart finds, however it is framed.
func mustParts(t *testing.T, text []byte, boundary string, must func(source policy.DetailSource, name, value string)) {
	for r := multipart.NewReader(bytes.NewReader(text), boundary); ; {
		part, err := r.NextPart()
		if err != nil {
			if err != io.EOF && !bytes.HasPrefix(text, []byte("--"+boundary+"--")) && len(text) > 0 {
				t.Errorf("clear, and mime/multipart says %v", err)
			}
			return
		}
		value, err := io.ReadAll(part)
		if err != nil {
			t.Errorf("clear, and reading a part: %v", err)
		}
		must(policy.FromForm, part.FormName(), string(value))
	}
}

// mustJSON asks for the scalars that encoding/json finds.
func mustJSON(name string, value any, must func(source policy.DetailSource, name, value string)) {
	switch v := value.(type) {
	case map[string]any:
		for key, below := range v {
			if name != "" {
				key = name + "." + key
			}
			mustJSON(key, below, must)
		}
	case []any:
		for _, below := range v {
			mustJSON(name, below, must)
		}
	case string:
		must(policy.FromJSON, name, v)
	case json.Number:
		must(policy.FromJSON, name, v.String())
	case bool:
		must(policy.FromJSON, name, map[bool]string{true: "true", false: "false"}[v])
	case nil:
		must(policy.FromJSON, name, "null")
	}
}

// Every field that an executor would start with, in any operation of a document,
// is among the roots, or they are unclear (I1, I2).
func FuzzGraphQL(f *testing.F) {
	for _, seed := range []string{
		hiding, `{ me }`, `mutation { ...F ... on M { b } } fragment F on M { a: withdraw ...G } fragment G on M { ...H } fragment H on M { c }`,
		"query { me # } \r withdraw\n}", `mutation { a(x: """ \""" } """) @skip(if: true) }`, `{ ...F } fragment F on Q { ...F }`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := readInTime(t, document(text))
		raw := readInTime(t, graphql("application/graphql", text))
		sent := readInTime(t, get("query="+url.QueryEscape(text)))
		parsed, err := parser.ParseQuery(&ast.Source{Input: text})
		if err != nil {
			return
		}
		for _, operation := range parsed.Operations {
			steps := 1000
			for _, name := range executed(parsed, operation.SelectionSet, &steps) {
				root := policy.Root{Operation: string(operation.Operation), Field: name}
				for transport, b := range map[string]*policy.Body{"JSON": got, "document": raw, "query": sent} {
					if b.Unclear == "" && b.GraphQL.Unclear == "" && text != "" && !slices.Contains(b.GraphQL.Roots, root) {
						t.Errorf("as %s, %q executes %+v, Read() = %+v", transport, text, root, b.GraphQL)
					}
				}
			}
		}
	})
}

// executed collects fields as the specification does (section 6.3.2), without
// directives and types, and for so many steps.
func executed(document *ast.QueryDocument, set ast.SelectionSet, steps *int) []string {
	var names []string
	for _, selection := range set {
		if *steps--; *steps < 0 {
			return names
		}
		switch s := selection.(type) {
		case *ast.Field:
			names = append(names, s.Name)
		case *ast.InlineFragment:
			names = append(names, executed(document, s.SelectionSet, steps)...)
		case *ast.FragmentSpread:
			if f := document.Fragments.ForName(s.Name); f != nil {
				names = append(names, executed(document, f.SelectionSet, steps)...)
			}
		}
	}
	return names
}
