package body

import (
	"mime"
	"strings"
	"unicode/utf8"

	"github.com/stepgate/stepgate/policy"
)

// kind is what a content type calls a body.
type kind int

const (
	// kindNone is a type that says nothing about the text.
	kindNone kind = iota
	kindForm
	kindJSON
	kindMultipart
	kindGraphQL
)

// mediaType is a content type, as far as it decides who reads the body.
type mediaType struct {
	kind     kind
	boundary string // of kindMultipart
	// form says that a form is mentioned beside another type. A site that only
	// looks for the word reads one.
	form bool
}

// headerValues returns the values under a name in canonical form, and those that
// a CGI or WSGI site finds there because it takes "_" for "-".
func headerValues(header map[string][]string, name string) []string {
	values := header[name]
	for key, more := range header {
		if strings.Contains(key, "_") && strings.EqualFold(strings.ReplaceAll(key, "_", "-"), name) {
			values = append(values[:len(values):len(values)], more...)
		}
	}
	return values
}

// typeOf reads Content-Type. Sites look for a type by equality, by prefix or
// anywhere in the value, and disagree about what is malformed; what they could
// disagree about here is unclear.
func typeOf(header map[string][]string) (mediaType, string) {
	values := headerValues(header, "Content-Type")
	if len(values) > 1 {
		return mediaType{}, policy.UnclearType
	}
	if len(values) == 0 || strings.TrimSpace(values[0]) == "" {
		return mediaType{}, ""
	}
	value := strings.ToLower(values[0])
	name, params, err := mime.ParseMediaType(values[0])
	if err != nil || !strings.Contains(name, "/") || strings.ContainsAny(value, `*\`) && name != "*/*" {
		return mediaType{}, policy.UnclearType
	}
	if charset, ok := params["charset"]; ok && !isASCIISuperset(charset) {
		return mediaType{}, policy.UnclearCharset
	}
	if strings.HasPrefix(name, "multipart/") {
		boundary := params["boundary"]
		if !isBoundary(boundary) || strings.Count(value, "boundary") != 1 || strings.Count(value, "multipart") != 1 {
			return mediaType{}, policy.UnclearType
		}
		return mediaType{kind: kindMultipart, boundary: boundary}, ""
	}
	if strings.Contains(value, "multipart") || strings.Contains(value, "boundary") {
		return mediaType{}, policy.UnclearType
	}
	return kindOf(name, value)
}

func kindOf(name, value string) (mediaType, string) {
	switch {
	case name == "application/x-www-form-urlencoded":
		return mediaType{kind: kindForm}, ""
	case strings.Contains(name, "json"):
		return mediaType{kind: kindJSON, form: strings.Contains(value, "urlencoded")}, ""
	case name == "application/graphql" || name == "application/graphql-response":
		return mediaType{kind: kindGraphQL}, ""
	case name == "text/plain" || name == "application/octet-stream" || name == "*/*":
		return mediaType{}, ""
	}
	return mediaType{}, policy.UnclearType
}

// isASCIISuperset reports whether text in a character encoding can be compared
// without knowing which of these encodings it is.
func isASCIISuperset(charset string) bool {
	switch strings.ToLower(strings.TrimSpace(charset)) {
	case "utf-8", "utf8", "us-ascii", "ascii", "iso-8859-1", "latin1", "windows-1252":
		return true
	}
	return false
}

// isBoundary accepts what browsers and libraries make. Other characters that RFC
// 2046 allows are read differently: PHP ends a boundary at a comma.
func isBoundary(s string) bool {
	return len(s) > 0 && len(s) <= 70 && strings.Trim(s, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'_.-") == ""
}

// isText reports whether a body is text in UTF-8 without the control bytes that
// binary formats and other encodings have. A site that expects one of those reads
// it, whatever the request calls it.
func isText(text []byte) bool {
	for _, c := range text {
		if c < ' ' && c != '\t' && c != '\r' && c != '\n' || c == 0x7f {
			return false
		}
	}
	return utf8.Valid(text)
}

// firstByte returns the first byte that is no space, or 0.
func firstByte(text []byte) byte {
	for _, c := range text {
		if c != ' ' && c != '\t' && c != '\r' && c != '\n' {
			return c
		}
	}
	return 0
}

func startsLikeJSON(text []byte) bool {
	first := firstByte(text)
	return first == '{' || first == '['
}

// isPlainForm reports whether a text is a form as browsers and libraries encode
// it, and nothing else.
func isPlainForm(text []byte) bool {
	equals := false
	for _, c := range text {
		if c <= ' ' || c >= 0x7f || strings.IndexByte("\"'<>\\^`{|}:#/", c) >= 0 {
			return false
		}
		equals = equals || c == '='
	}
	return equals
}
