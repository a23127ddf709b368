package gate

import (
	"bytes"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/stepgate/stepgate/challengepages"
)

// maxForm is the longest form of ours, in bytes.
const maxForm = 8 << 10

// takeForm returns the form of a challenge page that was posted back to the URL
// at which the page stood. What is not such a form is left as it was. The marker
// is the first field of the form, so the decision needs its first bytes only and
// no form of the site can be taken for ours by a field of its own further on.
func takeForm(r *http.Request) (url.Values, bool) {
	if r.Method != http.MethodPost || r.Body == nil || r.ContentLength <= 0 || r.ContentLength > maxForm ||
		!strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		return nil, false
	}
	const marker = challengepages.FieldChallenge + "="
	head := make([]byte, min(len(marker), int(r.ContentLength)))
	n, err := io.ReadFull(r.Body, head)
	rest := r.Body
	r.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(head[:n]), rest), rest}
	if err != nil || string(head) != marker {
		return nil, false
	}
	return readForm(r)
}

// readForm reads a short form strictly: each field at most once. The body can be read
// again.
func readForm(r *http.Request) (url.Values, bool) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxForm+1))
	if err != nil || len(body) > maxForm {
		return nil, false
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, false
	}
	for _, values := range form {
		if len(values) != 1 {
			return nil, false
		}
	}
	return form, true
}

// maxAgain is the longest form of the site that a page repeats, in bytes.
const maxAgain = 64 << 10

// again returns the fields of the form that a request carries, in their order, for
// the page of an outage to send once more; nil where it carries none, or one that a
// page would not repeat as it is. It needs neither the store nor the site.
func again(r *http.Request) []challengepages.Field {
	kind, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || r.Method != http.MethodPost || kind != "application/x-www-form-urlencoded" || r.Body == nil ||
		params["charset"] != "" && !strings.EqualFold(params["charset"], "utf-8") {
		return nil
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxAgain+1))
	if err != nil || len(body) == 0 || len(body) > maxAgain {
		return nil
	}
	var fields []challengepages.Field
	for pair := range strings.SplitSeq(string(body), "&") {
		name, value, _ := strings.Cut(pair, "=")
		name, err1 := url.QueryUnescape(name)
		value, err2 := url.QueryUnescape(value)
		// HTML has no NUL, and browsers leave out a field without a name.
		if err1 != nil || err2 != nil || name == "" || !utf8.ValidString(name+value) || strings.ContainsRune(name+value, 0) {
			return nil
		}
		fields = append(fields, challengepages.Field{Name: name, Value: value})
	}
	return fields
}

// isURLEncoded reports whether a request carries an ordinary form.
func isURLEncoded(r *http.Request) bool {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return err == nil && kind == "application/x-www-form-urlencoded"
}
