package policy

// Body is what the readers of a request's body may find in it, together with
// what its query says to a GraphQL server. Package internal/body makes it; here
// it is only compared.
type Body struct {
	// Unclear is empty, or says in a word why the body cannot be read with
	// certainty: one of the Unclear constants. It may then say anything, whatever
	// Fields holds.
	Unclear string
	// Fields are the values that some reader may find in the body, of a form, of
	// its parts or of a JSON document, in any order. A name that stands twice is
	// here twice. The query is not among them.
	Fields []Field
	// GraphQL is what a GraphQL server may execute.
	GraphQL GraphQL
}

// The words of [Body.Unclear] and [GraphQL.Unclear]. They appear in logs.
const (
	// UnclearTooLarge: the body, or what it expands to, is over the cap, or holds
	// more values, parts, levels or documents than are followed.
	UnclearTooLarge = "too_large"
	// UnclearUnread: the body could not be read to its end, or is a stream.
	UnclearUnread = "unread"
	// UnclearEncoding: the content coding is unknown, or the bytes are not of it, or
	// not of it alone.
	UnclearEncoding = "encoding"
	// UnclearCharset: the text is in a character encoding that is not followed.
	UnclearCharset = "charset"
	// UnclearType: the content type is malformed, stands twice, or is one that is
	// not followed, and the bytes are neither a form nor JSON.
	UnclearType = "type"
	// UnclearSyntax: the bytes are not what the content type says.
	UnclearSyntax = "syntax"
	// UnclearPersisted: a GraphQL request names a document that it does not carry.
	UnclearPersisted = "persisted"
)

// Field is one value under one name.
type Field struct {
	// Source is FromForm or FromJSON; FromQuery for the query's own.
	Source DetailSource
	// Name is decoded and otherwise as it came: "amount", "items[0][amount]". A pair
	// that decoders read differently stands here in each reading. In JSON
	// the keys from the root joined by dots; arrays add nothing to it, so that
	// "items.amount" names the amount of each item, and "method" that of each call
	// of a batch.
	Name string
	// Value is the decoded text of a scalar: numbers as they are spelled, and
	// true, false and null. It is empty where Container is set.
	Value string
	// Container says that a JSON object or array stands under the name. It is listed
	// beside what it holds.
	Container bool
}

// GraphQL is what a GraphQL server may execute for a request, over all documents
// of a batch and all operations of a document, whichever of them is chosen.
type GraphQL struct {
	// Unclear is empty, or says in one of the same words why more than Roots may be
	// executed. It is set wherever the body's is.
	Unclear string
	// Roots are the fields at the root of each operation, by their own names and
	// not their aliases, with those that fragments spread there.
	Roots []Root
}

// Root is a field at the root of a GraphQL operation.
type Root struct {
	Operation string // query, mutation or subscription
	Field     string
}
