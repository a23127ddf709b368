package body

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"regexp"
	"strings"

	"github.com/stepgate/stepgate/policy"
)

// disposition is Content-Disposition as browsers and libraries write it (RFC 7578
// section 4.2). Backslashes, semicolons in names, repeated parameters and the
// forms of RFC 5987 are read differently by each parser.
var disposition = regexp.MustCompile(`^(?i:form-data|attachment|inline); ?(?i:name)=("[^"\\;\r\n]*"|[0-9A-Za-z_.-]+)(; ?(?i:filename)="[^"\\;\r\n]*")?$`)

// multipart reads parts (RFC 2046 section 5.1). Where a part ends is what parsers
// disagree about, so the frame has to be the strict one, and what the parser saw
// has to be all that the frame holds.
func (r *reader) multipart(text []byte, boundary string) string {
	framed, ok := frame(text, boundary)
	if !ok {
		return policy.UnclearSyntax
	}
	if framed > maxParts {
		return policy.UnclearTooLarge
	}
	start, parts := len(r.fields), 0
	for parser := multipart.NewReader(bytes.NewReader(text), boundary); ; parts++ {
		part, err := parser.NextRawPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return policy.UnclearSyntax
		}
		if word := r.part(part); word != "" {
			return word
		}
	}
	if parts != framed {
		return policy.UnclearSyntax
	}
	r.requests = append(r.requests, span{start, len(r.fields)})
	return ""
}

// frame reports how many parts stand in text, and whether nothing stands before,
// between or behind them: each delimiter begins a line that it fills, all lines of
// a part's header end in CRLF, and the delimiter's bytes stand nowhere else.
func frame(text []byte, boundary string) (parts int, ok bool) {
	delimiter := []byte("--" + boundary)
	rest, ok := bytes.CutPrefix(text, delimiter)
	for ok {
		if end, closed := bytes.CutPrefix(rest, []byte("--")); closed {
			return parts, len(end) == 0 || string(end) == "\r\n"
		}
		if rest, ok = bytes.CutPrefix(rest, []byte("\r\n")); !ok {
			break
		}
		parts++
		part, behind, more := bytes.Cut(rest, delimiter)
		if !more || !isStrict(part) {
			break
		}
		rest = behind
	}
	return 0, false
}

// isStrict reports whether a part begins with a header that no parser ends
// elsewhere, and ends with the line end that belongs to the delimiter.
func isStrict(part []byte) bool {
	header, content, ok := bytes.Cut(part, []byte("\r\n\r\n"))
	for line := range bytes.SplitSeq(header, []byte("\r\n")) {
		ok = ok && len(line) > 0 && line[0] > ' ' && !bytes.ContainsAny(line, "\r\n\x00")
	}
	return ok && bytes.HasSuffix(content, []byte("\r\n"))
}

func (r *reader) part(part *multipart.Part) string {
	parameters := disposition.FindStringSubmatch(part.Header.Get("Content-Disposition"))
	if len(part.Header["Content-Disposition"]) != 1 || parameters == nil {
		return policy.UnclearSyntax
	}
	isJSON, word := partType(part)
	if word != "" {
		return word
	}
	content, err := io.ReadAll(part)
	if err != nil {
		return policy.UnclearSyntax
	}
	r.partFields(strings.Trim(parameters[1], `"`), string(content), parameters[2] != "")
	if isJSON {
		return r.json(content)
	}
	return ""
}

// partType reports whether a part calls itself JSON.
func partType(part *multipart.Part) (isJSON bool, word string) {
	switch strings.ToLower(part.Header.Get("Content-Transfer-Encoding")) {
	case "", "7bit", "8bit", "binary":
	default:
		return false, policy.UnclearEncoding
	}
	if len(part.Header["Content-Transfer-Encoding"]) > 1 || len(part.Header["Content-Encoding"]) > 0 {
		return false, policy.UnclearEncoding
	}
	types := part.Header["Content-Type"]
	if len(types) == 0 {
		return false, ""
	}
	name, params, err := mime.ParseMediaType(types[0])
	if err != nil || len(types) > 1 || strings.HasPrefix(name, "multipart/") {
		return false, policy.UnclearType
	}
	if charset, ok := params["charset"]; ok && !isASCIISuperset(charset) {
		return false, policy.UnclearCharset
	}
	return strings.Contains(name, "json"), ""
}

// partFields adds a part, under its name as it came and as some decode it. Files
// are bytes: nobody ends them at NUL.
func (r *reader) partFields(name, value string, isFile bool) {
	start := len(r.fields)
	r.named(start, policy.FromForm, name, value)
	// Browsers write %22 for a quotation mark, and some parsers undo that.
	if decoded, _ := unescape(strings.ReplaceAll(name, "+", "%2B"), keepBroken); decoded != name {
		r.named(start, policy.FromForm, decoded, value)
		cut, _, _ := strings.Cut(decoded, "\x00")
		r.named(start, policy.FromForm, cut, value)
	}
	if cut, _, found := strings.Cut(value, "\x00"); found && !isFile {
		r.named(start, policy.FromForm, name, cut)
	}
}
