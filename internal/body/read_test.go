package body_test

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"

	"github.com/stepgate/stepgate/internal/body"
	"github.com/stepgate/stepgate/policy"
)

const (
	formType = "application/x-www-form-urlencoded"
	jsonType = "application/json"
	limit    = 1 << 20
)

func input(contentType, text string) body.Input {
	in := body.Input{Header: map[string][]string{}, Body: []byte(text), Cap: limit}
	if contentType != "" {
		in.Header["Content-Type"] = []string{contentType}
	}
	return in
}

// fields reads "form amount=5", "json items.amount=5", "json items{}" and "query
// id=5".
func fields(lines ...string) []policy.Field {
	var all []policy.Field
	for _, line := range lines {
		source, rest, _ := strings.Cut(line, " ")
		name, value, isScalar := strings.Cut(rest, "=")
		if !isScalar {
			name = strings.TrimSuffix(name, "{}")
		}
		all = append(all, policy.Field{Source: policy.DetailSource(source), Name: name, Value: value, Container: !isScalar})
	}
	return all
}

// wantFields says that a body is clear and that each of some fields is in it.
func wantFields(t *testing.T, in body.Input, want ...string) {
	t.Helper()
	before := bytes.Clone(in.Body)
	got := body.Read(in)
	if got.Unclear != "" {
		t.Fatalf("Read(%.80q) is unclear: %s", in.Body, got.Unclear)
	}
	for _, f := range fields(want...) {
		if !slices.Contains(got.Fields, f) {
			t.Errorf("Read(%.80q) does not find %+v in %+v", in.Body, f, got.Fields)
		}
	}
	if !bytes.Equal(in.Body, before) {
		t.Error("Read changed the body")
	}
}

func wantUnclear(t *testing.T, in body.Input, word string) {
	t.Helper()
	got := body.Read(in)
	if got.Unclear != word || got.GraphQL.Unclear != word {
		t.Errorf("Read(%.80q) = unclear %q, GraphQL %q, want %q", in.Body, got.Unclear, got.GraphQL.Unclear, word)
	}
	if len(got.Fields)+len(got.GraphQL.Roots) > 0 {
		t.Errorf("Read(%.80q) is unclear and has fields", in.Body)
	}
}

func TestAnEmptyBodyIsClearWhateverItsHeaderSays(t *testing.T) {
	in := input("multipart/form-data", "")
	in.Header["Content-Encoding"] = []string{"nonsense"}
	if got := body.Read(in); got.Unclear != "" || len(got.Fields) > 0 {
		t.Errorf("Read() = %+v, want nothing", got)
	}
}

func TestInvariantI1EveryReadingOfAFormIsFound(t *testing.T) {
	tests := map[string]struct {
		text string
		want []string
	}{
		"a browser's":                {"amount=5&account=BCA+12%2F3", []string{"form amount=5", "form account=BCA 12/3"}},
		"a name twice":               {"amount=5&amount=9", []string{"form amount=5", "form amount=9"}},
		"an escaped name":            {"%61mount=5", []string{"form amount=5"}},
		"no value":                   {"confirm", []string{"form confirm="}},
		"an equals sign as a name":   {"=x", []string{"form =x"}},
		"semicolons separate":        {"x=1;amount=9", []string{"form x=1;amount=9", "form x=1", "form amount=9"}},
		"an index":                   {"items[0][amount]=9", []string{"form items[0][amount]=9"}},
		"PHP's leading space":        {"+amount=9", []string{"form amount=9", "form  amount=9"}},
		"PHP's dot":                  {"bank.account=9", []string{"form bank_account=9", "form bank.account=9"}},
		"PHP's open bracket":         {"bank[account=9", []string{"form bank_account=9"}},
		"PHP's rest behind an index": {"amount[]x=9", []string{"form amount[]=9"}},
		"PHP's open second bracket":  {"amount[a][b=9", []string{"form amount[a]=9"}},
		"brackets first, in Rack":    {"%5Bamount%5D=9", []string{"form amount=9"}},
		"brackets behind, in Rack":   {"]amount]]=9", []string{"form amount=9"}},
		"PHP's NUL":                  {"amount%00x=9", []string{"form amount=9", "form amount\x00x=9", "form amountx=9"}},
		"a value that NUL ends":      {"action=withdraw%00x", []string{"form action=withdraw"}},
		"a broken escape kept":       {"action=%zzwithdraw", []string{"form action=%zzwithdraw"}},
		"a broken escape left out":   {"action=with%zzdraw", []string{"form action=withdraw"}},
		"a broken sign left out":     {"action=w%ithdraw", []string{"form action=withdraw"}},
		"an escape cut off":          {"action=withdraw%", []string{"form action=withdraw", "form action=withdraw%"}},
		"an escape of IIS":           {"action=%u0077ithdraw", []string{"form action=withdraw"}},
		"an escape beside a broken":  {"%61ction=withdraw%zz", []string{"form action=withdraw"}},
		"a pair that is not decoded": {"%61=%zz", []string{"form %61=%zz"}},
		"a byte order mark":          {"\ufeffamount=5", []string{"form amount=5"}},
		"a line end":                 {"amount=5\r\n", []string{"form amount=5\r\n"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) { wantFields(t, input(formType, tt.text), tt.want...) })
	}
	escaped := body.Read(input(formType, "a%3Db=c"))
	if want := (policy.Field{Source: policy.FromForm, Name: "a=b", Value: "c"}); !slices.Contains(escaped.Fields, want) {
		t.Errorf("an escaped equals sign: Read() = %+v, want %+v", escaped.Fields, want)
	}
}

func TestInvariantI1JSONIsReadWhateverItIsCalled(t *testing.T) {
	const text = ` {"action":"withdraw"}`
	for _, contentType := range []string{
		"", " ", jsonType, "text/json", "application/vnd.api+json", "application/x-json", "APPLICATION/JSON; charset=utf-8",
		formType, "text/plain", "text/plain;charset=UTF-8", "application/octet-stream", "*/*", "application/json; x=urlencoded",
	} {
		t.Run(contentType, func(t *testing.T) {
			wantFields(t, input(contentType, text), "json action=withdraw")
			wantFields(t, input(contentType, "\ufeff"+text), "json action=withdraw")
		})
	}
}

func TestInvariantI1EveryValueOfAJSONDocumentIsFound(t *testing.T) {
	tests := map[string]struct {
		text string
		want []string
	}{
		"a key twice":         {`{"amount":1,"amount":999}`, []string{"json amount=1", "json amount=999", "json {}"}},
		"keys of two cases":   {`{"amount":1,"Amount":999}`, []string{"json amount=1", "json Amount=999"}},
		"an escaped key":      {`{"\u0061mount":999}`, []string{"json amount=999"}},
		"nested":              {`{"a":{"b":{"c":1}}}`, []string{"json a{}", "json a.b{}", "json a.b.c=1"}},
		"an array":            {`{"amount":[1,999]}`, []string{"json amount{}", "json amount=1", "json amount=999"}},
		"objects in an array": {`{"items":[{"amount":1},{"amount":2}]}`, []string{"json items.amount=1", "json items.amount=2"}},
		"a batch":             {`[{"method":"me"},[{"method":"withdraw"}]]`, []string{"json method=me", "json method=withdraw"}},
		"numbers as spelled":  {`[1e3,1.0,-0,100000000000000000000000]`, []string{"json =1e3", "json =1.0", "json =-0", "json =100000000000000000000000"}},
		"words":               {`[true,false,null]`, []string{"json =true", "json =false", "json =null"}},
		"a scalar":            {`"withdraw"`, []string{"json =withdraw"}},
		"a NUL ends a value":  {`{"action":"withdraw\u0000x"}`, []string{"json action=withdraw"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) { wantFields(t, input(jsonType, tt.text), tt.want...) })
	}
}

func TestInvariantI2WhatIsNoJSONIsUnclear(t *testing.T) {
	for name, text := range map[string]string{
		"a form":             "action=withdraw",
		"two documents":      `{"a":1}{"action":"withdraw"}`,
		"lines of documents": "{\"a\":1}\n{\"action\":\"withdraw\"}\n",
		"something behind":   `{"a":1}x`,
		"a comment":          `{"a":1/*,*/}`,
		"a trailing comma":   `{"a":1,}`,
		"single quotes":      `{'action':'withdraw'}`,
		"a bare key":         `{action:"withdraw"}`,
		"cut off":            `{"action":"withdraw"`,
		"NaN":                `{"amount":NaN}`,
		"a bare line end":    "{\"a\":\"\n\"}",
	} {
		t.Run(name, func(t *testing.T) { wantUnclear(t, input(jsonType, text), policy.UnclearSyntax) })
		if text[0] == '{' {
			t.Run(name+" in a form", func(t *testing.T) { wantUnclear(t, input(formType, text), policy.UnclearSyntax) })
			t.Run(name+" in plain text", func(t *testing.T) { wantUnclear(t, input("text/plain", text), policy.UnclearSyntax) })
		}
	}
	for name, text := range map[string]string{
		"a comment before it":  `/**/{"action":"withdraw"}`,
		"a hash before it":     "#\n{\"action\":\"withdraw\"}",
		"a string, then a key": `"a"{"action":"withdraw"}`,
	} {
		t.Run(name, func(t *testing.T) { wantUnclear(t, input(formType, text), policy.UnclearSyntax) })
	}
	for name, text := range map[string]string{
		"broken UTF-8":           "{\"act\xffion\":\"withdraw\"}",
		"UTF-16":                 "{\x00\"\x00a\x00\"\x00:\x001\x00}\x00",
		"UTF-16 with a mark":     "\xff\xfe{\x00}\x00",
		"half a surrogate pair":  `{"act\ud800ion":"withdraw"}`,
		"half a pair in a value": `{"action":"with\udc00draw"}`,
		"a NUL in a key":         `{"action\u0000":"withdraw"}`,
		"a NUL before it":        "\x00{\"action\":\"withdraw\"}",
	} {
		t.Run(name, func(t *testing.T) { wantUnclear(t, input(jsonType, text), policy.UnclearCharset) })
	}
}

func TestInvariantI2ATypeThatReadersDisagreeAboutIsUnclear(t *testing.T) {
	for _, contentType := range []string{
		"application/xml", "text/xml", "text/html", "application/msgpack", "application/cbor", "application/x-protobuf", "application/yaml",
		"image/png", "application/graphql", "json", "application/json, text/plain", "application/json text/plain", "/", ";",
		"application/json; charset=utf-8; charset=utf-16", "application/json; charset", "application/json; charset*=utf-16''x",
		"application/json; boundary=x", "application/x-www-form-urlencoded; x=multipart/form-data",
	} {
		t.Run(contentType, func(t *testing.T) {
			wantUnclear(t, input(contentType, `{"action":"withdraw"}`), policy.UnclearType)
		})
	}
	twice := input(jsonType, `{}`)
	twice.Header["Content-Type"] = []string{jsonType, formType}
	wantUnclear(t, twice, policy.UnclearType)
	// A CGI site finds the same variable under both names.
	underscore := input(jsonType, `{}`)
	underscore.Header["Content_Type"] = []string{formType}
	wantUnclear(t, underscore, policy.UnclearType)

	wantUnclear(t, input(formType, `<withdraw amount="5"/>`), policy.UnclearType)
	wantUnclear(t, input("text/plain", "action: withdraw"), policy.UnclearType)
	wantUnclear(t, input("", "action=withdraw\r\n"), policy.UnclearType)
	wantUnclear(t, input("application/octet-stream", "no form"), policy.UnclearType)
}

func TestAFormWithoutATypeIsRead(t *testing.T) {
	for _, contentType := range []string{"", "text/plain", "application/octet-stream"} {
		wantFields(t, input(contentType, "action=withdraw&x=%20"), "form action=withdraw")
	}
	// Both a form and JSON.
	wantFields(t, input("text/plain", `{"x":"&action=withdraw&"}`), "form action=withdraw", "json x=&action=withdraw&")
}

func TestInvariantI2ACharacterEncodingThatHidesASCIIIsUnclear(t *testing.T) {
	for _, charset := range []string{"utf-16", "utf-7", "ibm037", "cp500", "utf-32le", "shift_jis", ""} {
		wantUnclear(t, input(formType+`; charset="`+charset+`"`, "a=b"), policy.UnclearCharset)
		wantUnclear(t, input(formType, "_charset_="+charset+"x&a=b"), policy.UnclearCharset)
	}
	for _, charset := range []string{"utf-8", "UTF-8", "us-ascii", "ISO-8859-1", "windows-1252"} {
		wantFields(t, input(formType+"; charset="+charset, "a=b&_charset_="+charset), "form a=b")
	}
	// MessagePack and CBOR of {"action":"withdraw"} under the type of a form.
	for _, text := range []string{"\x81\xa6action\xa8withdraw", "\xa1faction\x68withdraw", "a=\x00b", "a=\x1bb", "a\x7f=b"} {
		wantUnclear(t, input(formType, text), policy.UnclearCharset)
	}
}

func TestInvariantI2WhatIsOverABoundIsUnclear(t *testing.T) {
	for name, in := range map[string]body.Input{
		"pairs":       input(formType, strings.Repeat("a&", 1<<14+1)),
		"values":      input(jsonType, "["+strings.Repeat("1,2,", 1<<14)+"1]"),
		"depth":       input(jsonType, strings.Repeat("[", 66)+strings.Repeat("]", 66)),
		"a long name": input(jsonType, `{"`+strings.Repeat("x", 513)+`":1}`),
		"names":       input(jsonType, `{"`+strings.Repeat("x", 500)+`":{"`+strings.Repeat("x", 20)+`":1}}`),
		"parts":       input("multipart/form-data; boundary=x", strings.Repeat("--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nb\r\n", 1001)+"--x--\r\n"),
	} {
		t.Run(name, func(t *testing.T) { wantUnclear(t, in, policy.UnclearTooLarge) })
	}
}

func TestTheQueryIsReadAsAForm(t *testing.T) {
	got, unclear := body.Query("amount=5;x=%75&y")
	if unclear != "" {
		t.Fatal(unclear)
	}
	for _, f := range fields("query amount=5;x=u", "query amount=5", "query x=u", "query y=") {
		if !slices.Contains(got, f) {
			t.Errorf("Query() = %+v, without %+v", got, f)
		}
	}
	if _, unclear = body.Query(strings.Repeat("a&", 1<<14+1)); unclear != policy.UnclearTooLarge {
		t.Errorf("Query() of too many = %q", unclear)
	}
}

// coded is text in one content coding.
func coded(t testing.TB, coding string, text []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	var w io.WriteCloser
	var err error
	switch coding {
	case "gzip", "x-gzip":
		w = gzip.NewWriter(&out)
	case "deflate":
		w = zlib.NewWriter(&out)
	case "raw":
		w, err = flate.NewWriter(&out, flate.DefaultCompression)
	case "br":
		w = brotli.NewWriter(&out)
	case "zstd":
		w, err = zstd.NewWriter(&out)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
