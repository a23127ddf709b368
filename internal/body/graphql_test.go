package body_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/stepgate/stepgate/internal/body"
	"github.com/stepgate/stepgate/policy"
)

const hiding = `query Safe { me { name } } mutation Other { ok: withdraw(amount: 5) { id } }`

func quoted(document string) string {
	text, err := json.Marshal(document)
	if err != nil {
		panic(err) // strings have no error
	}
	return string(text)
}

func hashOf(document string) string {
	sum := sha256.Sum256([]byte(document))
	return hex.EncodeToString(sum[:])
}

func asked(in body.Input) body.Input {
	in.GraphQL = true
	return in
}

func graphql(contentType, text string) body.Input { return asked(input(contentType, text)) }

// document is a request that carries one document, as most clients send it.
func document(text string) body.Input { return graphql(jsonType, `{"query":`+quoted(text)+`}`) }

func get(query string) body.Input { return body.Input{RawQuery: query, GraphQL: true} }

// wantRoots compares all roots, written "mutation withdraw".
func wantRoots(t *testing.T, in body.Input, want ...string) {
	t.Helper()
	got := body.Read(in)
	if got.Unclear != "" || got.GraphQL.Unclear != "" {
		t.Fatalf("Read(%.80q, query %.80q) is unclear: %q, %q", in.Body, in.RawQuery, got.Unclear, got.GraphQL.Unclear)
	}
	var roots []string
	for _, root := range got.GraphQL.Roots {
		roots = append(roots, root.Operation+" "+root.Field)
	}
	slices.Sort(want)
	if !slices.Equal(roots, want) {
		t.Errorf("Read(%.80q, query %.80q) has roots %q, want %q", in.Body, in.RawQuery, roots, want)
	}
}

func wantUnclearRoots(t *testing.T, in body.Input, word string) {
	t.Helper()
	got := body.Read(in).GraphQL
	if got.Unclear != word || len(got.Roots) > 0 {
		t.Errorf("Read(%.80q, query %.80q) = GraphQL %+v, want unclear %q", in.Body, in.RawQuery, got, word)
	}
}

func TestInvariantI1EveryRootOfADocumentIsFound(t *testing.T) {
	tests := map[string]struct {
		document string
		want     []string
	}{
		"a mutation":               {`mutation { withdraw(amount: 5) { id } }`, []string{"mutation withdraw"}},
		"the short form":           {`{ me }`, []string{"query me"}},
		"a subscription":           {`subscription { balance }`, []string{"subscription balance"}},
		"an alias":                 {`mutation { me: withdraw }`, []string{"mutation withdraw"}},
		"an operation not chosen":  {hiding, []string{"query me", "mutation withdraw"}},
		"two of the same name":     {`mutation A { a } mutation A { withdraw }`, []string{"mutation a", "mutation withdraw"}},
		"an operation's name":      {`query withdraw { me }`, []string{"query me"}},
		"an argument":              {`mutation { log(text: "mutation { withdraw }", block: """ } { withdraw \""" """) }`, []string{"mutation log"}},
		"a comment":                {"query { me # } mutation { withdraw\n }", []string{"query me"}},
		"a comment's end":          {"query { me # \r withdraw }", []string{"query me", "query withdraw"}},
		"a fragment":               {`mutation { ...F } fragment F on Mutation { withdraw }`, []string{"mutation withdraw"}},
		"a fragment in a fragment": {`mutation { ...F } fragment G on Mutation { withdraw } fragment F on Mutation { a ...G }`, []string{"mutation a", "mutation withdraw"}},
		"an inline fragment":       {`mutation { ... on Mutation { ... { withdraw } } }`, []string{"mutation withdraw"}},
		"a fragment in two kinds":  {`mutation { ...F } query { ...F } fragment F on Mutation { withdraw }`, []string{"mutation withdraw", "query withdraw"}},
		"a fragment twice":         {`mutation { ...F ...F } fragment F on Mutation { a } fragment F on Mutation { withdraw }`, []string{"mutation a", "mutation withdraw"}},
		"a fragment nobody uses":   {`{ me } fragment F on Mutation { withdraw ...F }`, []string{"query me"}},
		"a directive":              {`mutation { withdraw @skip(if: true) ... @include(if: false) { transfer } }`, []string{"mutation withdraw", "mutation transfer"}},
		"commas and marks":         {"\ufeff,,mutation,,{,withdraw,}\ufeff", []string{"mutation withdraw"}},
		"below the root":           {`{ me { withdraw } }`, []string{"query me"}},
		"a keyword":                {`mutation { query: mutation }`, []string{"mutation mutation"}},
		"introspection":            {`{ __schema { types { name } } __typename }`, []string{"query __schema", "query __typename"}},
		"no operation":             {`fragment F on Q { a }`, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) { wantRoots(t, document(tt.document), tt.want...) })
	}
}

func TestInvariantI2ADocumentThatIsNoneIsUnclear(t *testing.T) {
	for name, text := range map[string]string{
		"a cut":                 `mutation { withdraw`,
		"a bare word":           `withdraw`,
		"an empty selection":    `mutation { }`,
		"a schema":              `type Query { a: Int }`,
		"a fragment missing":    `mutation { a ...F }`,
		"a circle":              `mutation { ...F } fragment F on Mutation { ...G } fragment G on Mutation { withdraw ...F }`,
		"a fragment of itself":  `mutation { ...F } fragment F on Mutation { ...F }`,
		"an old line end":       "query { me # \u2028 withdraw\n }",
		"a control byte":        "query { me # \x01 }\n }",
		"deep nesting":          strings.Repeat("{a", 2000) + strings.Repeat("}", 2000),
		"an operation of JSON5": `{"a"}`,
	} {
		t.Run(name, func(t *testing.T) { wantUnclearRoots(t, document(text), policy.UnclearSyntax) })
	}
	wantUnclearRoots(t, get("query=%7Bme%7D%ff"), policy.UnclearSyntax)
	wantUnclearRoots(t, graphql(jsonType, `{"query":{"kind":"Document"}}`), policy.UnclearSyntax)
	wantUnclearRoots(t, graphql(jsonType, `{"query":5}`), policy.UnclearSyntax)
}

func TestInvariantI1EveryTransportIsRead(t *testing.T) {
	const text = `mutation { withdraw }`
	encoded := url.QueryEscape(text)
	operations := `{"query":` + quoted(text) + `,"variables":{"file":null}}`
	for name, in := range map[string]body.Input{
		"JSON":                       document(text),
		"JSON in plain text":         graphql("text/plain", `{"query":`+quoted(text)+`}`),
		"JSON in a form":             graphql(formType, `{"query":`+quoted(text)+`}`),
		"JSON without a type":        graphql("", `{"query":`+quoted(text)+`}`),
		"JSON as a document":         graphql("application/graphql", `{"query":`+quoted(text)+`}`),
		"with an operation's name":   graphql(jsonType, `{"operationName":"Safe","query":`+quoted(text)+`,"variables":{"query":"{"}}`),
		"a batch":                    graphql(jsonType, `[{"query":`+quoted(text)+`},[]]`),
		"an array of documents":      graphql(jsonType, `{"query":[`+quoted(text)+`]}`),
		"a key of another case":      graphql(jsonType, `{"QUERY":`+quoted(text)+`}`),
		"a null beside it":           graphql(jsonType, `{"query":null,"query":`+quoted(text)+`}`),
		"the query":                  get("query=" + encoded),
		"the query, escaped":         get("q%75ery=" + encoded),
		"the query behind semicolon": get("a=b;query=" + encoded),
		"a form":                     graphql(formType, "query="+encoded),
		"a form's index":             graphql(formType, "query[]="+encoded),
		"a document":                 graphql("application/graphql", text),
		"a document's response type": graphql("application/graphql-response", text),
		"a document in a form":       graphql(formType, text),
		"a part":                     graphql(partsType, parts(`Content-Disposition: form-data; name="query"|`+text)),
		"operations":                 graphql(partsType, parts(`Content-Disposition: form-data; name="operations"|`+operations, `Content-Disposition: form-data; name="map"|{}`)),
		"operations in a batch":      graphql(partsType, parts(`Content-Disposition: form-data; name="operations"|[`+operations+"]")),
		"coded":                      asked(codedInput(jsonType, coded(t, "br", []byte(`{"query":`+quoted(text)+`}`)), "br")),
		"hidden in a coding":         asked(codedInput(formType, gzipWith(t, "&query="+encoded+"&", "a=b"), "gzip")),
	} {
		t.Run(name, func(t *testing.T) { wantRoots(t, in, "mutation withdraw") })
	}
	both := document(`{ me }`)
	both.RawQuery = "query=" + encoded
	wantRoots(t, both, "query me", "mutation withdraw")
	wantRoots(t, graphql(jsonType, `{"query":"{me}","query":`+quoted(text)+`,"Query":"{you}"}`), "query me", "query you", "mutation withdraw")
	wantRoots(t, graphql(jsonType, `[{"query":"{me}"},{"query":`+quoted(text)+`}]`), "query me", "mutation withdraw")
}

func TestInvariantI2APersistedDocumentIsUnclear(t *testing.T) {
	const extension = `{"persistedQuery":{"version":1,"sha256Hash":"ab"}}`
	for name, in := range map[string]body.Input{
		"Apollo's":                  graphql(jsonType, `{"operationName":"Safe","variables":{},"extensions":`+extension+`}`),
		"with an empty query":       graphql(jsonType, `{"query":"","extensions":`+extension+`}`),
		"with no query":             graphql(jsonType, `{"query":null,"extensions":`+extension+`}`),
		"in the query":              get("operationName=Safe&extensions=" + url.QueryEscape(extension)),
		"in a form":                 graphql(formType, "extensions="+url.QueryEscape(extension)),
		"extensions as text":        graphql(jsonType, `{"extensions":`+quoted(extension)+`}`),
		"in a batch":                graphql(jsonType, `[{"query":"{me}"},{"extensions":`+extension+`}]`),
		"in operations":             graphql(partsType, parts(`Content-Disposition: form-data; name="operations"|{"id":"1"}`)),
		"the hash of another":       graphql(jsonType, `{"query":"{me}","extensions":`+extension+`}`),
		"an id beside a query":      graphql(jsonType, `{"query":"{me}","documentId":"withdraw"}`),
		"an id before a query":      graphql(jsonType, `{"doc_id":"5","query":"{me}"}`),
		"an id in the query":        {Header: map[string][]string{"Content-Type": {jsonType}}, Body: []byte(`{"query":"{me}"}`), RawQuery: "documentId=5", GraphQL: true},
		"a hash in another request": graphql(jsonType, `[{"query":"{me}"},{"query":"{you}","extensions":{"persistedQuery":{"sha256Hash":"`+hashOf("{me}")+`"}}}]`),
	} {
		t.Run(name, func(t *testing.T) { wantUnclearRoots(t, in, policy.UnclearPersisted) })
	}
	for _, key := range []string{"id", "ID", "documentId", "document_id", "doc_id", "queryId", "hash", "sha256Hash"} {
		t.Run(key, func(t *testing.T) {
			wantUnclearRoots(t, graphql(jsonType, `{"`+key+`":"withdraw"}`), policy.UnclearPersisted)
			wantUnclearRoots(t, get(key+"=withdraw"), policy.UnclearPersisted)
		})
	}
	wantUnclearRoots(t, graphql(formType, "extensions[persistedQuery][sha256Hash]=ab"), policy.UnclearSyntax)
	// A client registers a document: the server compares the two.
	wantRoots(t, graphql(jsonType, `{"query":"{me}","extensions":{"persistedQuery":{"version":1,"sha256Hash":"`+hashOf("{me}")+`"}}}`), "query me")
	wantRoots(t, graphql(jsonType, `{"query":"{me}","documentId":"sha256:`+strings.ToUpper(hashOf("{me}"))+`","id":null}`), "query me")
	wantRoots(t, graphql(jsonType, `{"query":"{me}","extensions":{"tracing":{"id":5}},"variables":{"id":5}}`), "query me")
}

func TestInvariantI2AnUnclearBodyOrTooManyDocumentsHaveUnclearRoots(t *testing.T) {
	wantUnclear(t, graphql("application/xml", "<a/>"), policy.UnclearType)
	wantUnclear(t, graphql(jsonType, `{"query":"{me}"`), policy.UnclearSyntax)
	wantRoots(t, graphql(jsonType, "["+strings.Repeat(`{"query":"{a}"},`, 65)+"{}]"), "query a")
	var many strings.Builder
	for i := range 65 {
		many.WriteString(`{"query":"{a` + strings.Repeat("a", i) + `}"},`)
	}
	wantUnclearRoots(t, graphql(jsonType, "["+many.String()+"{}]"), policy.UnclearTooLarge)
	wantUnclearRoots(t, get(strings.Repeat("a&", 1<<14+1)), policy.UnclearTooLarge)
	wantUnclearRoots(t, document("{"+strings.Repeat("a ", 20_000)+"}"), policy.UnclearTooLarge)
	wantUnclearRoots(t, document("{a"+strings.Repeat("#\n", 20_000)+"}"), policy.UnclearTooLarge)
	wantUnclearRoots(t, graphql(formType, "mutation{"+strings.Repeat("a ", 20_000)+"}"), policy.UnclearTooLarge)
	wantUnclearRoots(t, graphql("application/graphql", "mutation{"), policy.UnclearSyntax)
	half := "{" + strings.Repeat("a ", 10_000) + "}"
	wantRoots(t, document(half), "query a")
	wantUnclearRoots(t, graphql(jsonType, `[{"query":"`+half+`"},{"query":"`+half+` "}]`), policy.UnclearTooLarge)
}

func TestARequestWithoutADocumentHasNoRoots(t *testing.T) {
	for _, in := range []body.Input{
		graphql(formType, "amount=5"), graphql(jsonType, `{"amount":5}`), graphql(jsonType, `[]`), get("page=2"), {GraphQL: true},
		graphql(formType, "note=%7Bme%7D"), graphql("", ""),
	} {
		wantRoots(t, in)
	}
	// Nobody asked.
	in := document(`mutation { withdraw }`)
	in.GraphQL = false
	wantRoots(t, in)
}
