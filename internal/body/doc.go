// Package body finds what a site may read in the body of a request. It is a pure
// function of bytes that were captured elsewhere, and decides nothing: package
// policy compares what it finds with the rules.
//
// # What must hold
//
// A body is clear only if every reader that could apply to it has understood all
// of it, and at least one did; an empty body is clear and says nothing. Of a clear
// body, every value that a reader may find is among its fields, in each form that
// the reader may give it (I1). Everything else is unclear, which matches every rule
// that asks for the body (I2). To find a value that nobody reads is a mistake that
// costs a player a challenge; to miss one is a bypass.
//
// # Who reads what
//
//	coding     gzip, deflate (with and without its zlib wrapper), br, zstd, and up
//	           to three of them upon each other, in one member or frame each: some
//	           readers stop behind the first. A site that ignores the coding
//	           reads the coded bytes: they are read as a form too, and must not
//	           begin with JSON nor hold parts.
//	form       application/x-www-form-urlencoded. If it begins as JSON does it is
//	           read as JSON too, because sites that expect JSON ask for no type.
//	JSON       any type with "json" in its subtype.
//	multipart  any multipart type, of the strict frame only. A part that calls
//	           itself JSON is read as JSON too; its names begin at the part.
//	GraphQL    application/graphql, if GraphQL is asked for.
//	no type    the same as text/plain and application/octet-stream: as JSON and as
//	           a form, of which it must be one without doubt.
//	others     XML, MessagePack, CBOR, protobuf and all further types are unclear.
//
// Text has to be UTF-8 without control bytes. Character encodings in which ASCII
// is not ASCII are unclear, wherever they are named.
//
// A name is given as it was decoded, and further as other decoders have it: cut at
// NUL, with broken escapes mended, under the names that PHP and Rack give it. ";"
// separates pairs and does not. Bodies are not decoded twice. Readers that leave
// "+" in a form as it is, or that take YAML for a form, are not followed.
//
// # GraphQL
//
// Documents are read wherever a server may take one from: "query" of a JSON object
// or of each in a batch, of a form, of the request's query, the "operations" of a
// multipart request, and the body itself. All operations of a document count,
// whatever operationName says, and what @skip or @include might leave out counts
// too. A request that names a document by an id is unclear, unless it carries the
// document and the id is its SHA-256: servers compare these two. Documents below
// other names, and a persisted document that the path names, are not found.
//
// # What it costs
//
// Time and memory are linear in the body and what it expands to, each of which has
// a cap: at most three expansions, 16,384 fields, 64 levels of JSON, names in JSON
// of 512 bytes, 1,000 parts, 64 GraphQL documents of 20,000 tokens. What is over is
// unclear. The benchmarks have the figures.
package body
