package body_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/stepgate/stepgate/internal/body"
)

// fill repeats what next makes of a count until it is nearly size bytes.
func fill(size int, next func(i int) string) string {
	var b strings.Builder
	for i := 0; ; i++ {
		more := next(i)
		if b.Len()+len(more) > size {
			return b.String()
		}
		b.WriteString(more)
	}
}

// Ordinary bodies of two sizes: short values, and of 1 MiB such that no bound cuts
// the work short.
func BenchmarkRead(b *testing.B) {
	for _, size := range []struct {
		name  string
		bytes int
		value string
	}{{"1KiB", 1 << 10, "BCA+1234567890"}, {"1MiB", 1 << 20, strings.Repeat("BCA+1234567890", 8)}} {
		form := fill(size.bytes-8, func(i int) string { return fmt.Sprintf("&account%d=%s", i, size.value) })
		list := `[{"a":1}` + fill(size.bytes-16, func(i int) string {
			return fmt.Sprintf(`,{"account":"%s","amount":%d}`, strings.Repeat(size.value, 1+size.bytes>>20), i)
		}) + "]"
		multipart := fill(size.bytes-16, func(i int) string {
			return fmt.Sprintf("--xyz\r\nContent-Disposition: form-data; name=\"a%d\"\r\n\r\n%s\r\n", i, strings.Repeat(size.value, 1+size.bytes>>17))
		}) + "--xyz--\r\n"
		query := fill(size.bytes/2, func(i int) string {
			return fmt.Sprintf(" a%d: withdraw(to: %q)", i, strings.Repeat(size.value, 1+size.bytes>>18))
		})
		for name, in := range map[string]body.Input{
			"form": input(formType, form), "JSON": input(jsonType, list), "multipart": input(partsType, multipart),
			"GraphQL":   document("mutation {" + query + "}"),
			"form gzip": codedInput(formType, coded(b, "gzip", []byte(form)), "gzip"),
			"form br":   codedInput(formType, coded(b, "br", []byte(form)), "br"),
			"form zstd": codedInput(formType, coded(b, "zstd", []byte(form)), "zstd"),
		} {
			b.Run(name+"/"+size.name, func(b *testing.B) { benchmark(b, in, true) })
		}
	}
}

// The dearest bodies of 1 MiB that we know, clear or not.
func BenchmarkReadHostile(b *testing.B) {
	const size = 1 << 20
	chain := "{...f0}" + fill(60_000, func(i int) string { return fmt.Sprintf("fragment f%d on Q{a...f%d}", i, i+1) })
	document := func(i int) string {
		return fmt.Sprintf(`{"query":"{%s}"},`, strings.Repeat("a ", 8000)+fmt.Sprint("b", i))
	}
	for name, in := range map[string]body.Input{
		"broken escapes":    input(formType, strings.Repeat("%z%00.=%z%00&", size/13)),
		"separators":        input(formType, strings.Repeat("a;", size/2)),
		"one odd pair":      input(formType, "a="+strings.Repeat("%z%u0041", size/8)),
		"deep JSON":         input(jsonType, strings.Repeat("[", size)),
		"long names":        input(jsonType, `{"`+strings.Repeat("x", 500)+`":[`+strings.TrimSuffix(strings.Repeat("1,", size/2-300), ",")+"]}"),
		"delimiters":        input(partsType, strings.Repeat("--xyz\r\n", size/7)),
		"empty parts":       input(partsType, strings.Repeat("--xyz\r\nContent-Disposition: form-data; name=a\r\n\r\n\r\n", 999)+"--xyz--"),
		"three codings":     codedInput(formType, coded(b, "zstd", coded(b, "br", coded(b, "gzip", []byte(strings.Repeat("a&", size/2))))), "gzip, br, zstd"),
		"documents":         graphql(jsonType, "["+fill(size-8, document)+"{}]"),
		"fragments":         graphql(jsonType, `{"query":`+quoted(chain)+`}`),
		"queries of a form": graphql(formType, strings.Repeat("query={a}&", size/10)),
		"ids":               graphql(jsonType, "["+strings.Repeat(`{"query":"{a}","id":"5"},`, size/26)+"{}]"),
		"GET":               get("query=" + url.QueryEscape(chain)),
	} {
		b.Run(name, func(b *testing.B) { benchmark(b, in, false) })
	}
}

func benchmark(b *testing.B, in body.Input, clear bool) {
	if got := body.Read(in); clear && got.Unclear+got.GraphQL.Unclear != "" {
		b.Fatalf("Read() is unclear: %s, GraphQL %s", got.Unclear, got.GraphQL.Unclear)
	}
	b.SetBytes(int64(len(in.Body)))
	b.ReportAllocs()
	for b.Loop() {
		body.Read(in)
	}
}
