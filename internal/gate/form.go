package gate

import (
	"bytes"
	"io"
	"net/http"
	"net/url"
	"strings"

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

// readForm reads a short form strictly: each field at most once.
func readForm(r *http.Request) (url.Values, bool) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxForm+1))
	if err != nil || len(body) > maxForm {
		return nil, false
	}
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
