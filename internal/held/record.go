package held

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
)

// record is the form in which a request is stored. Queries and header values may
// have bytes that are not UTF-8, and JSON would replace those in a string: what is
// released would not be what was shown (invariant I4).
type record struct {
	Method []byte              `json:"method"`
	Host   []byte              `json:"host"`
	URI    []byte              `json:"uri"`
	Header map[string][][]byte `json:"header,omitempty"`
	Body   []byte              `json:"body,omitempty"`
}

// MarshalJSON encodes the request for a record that is sealed, byte for byte.
func (h Request) MarshalJSON() ([]byte, error) {
	r := record{Method: []byte(h.Method), Host: []byte(h.Host), URI: []byte(h.URI), Body: h.Body}
	if len(h.Header) > 0 {
		r.Header = make(map[string][][]byte, len(h.Header))
	}
	for name, values := range h.Header {
		for _, v := range values {
			r.Header[name] = append(r.Header[name], []byte(v))
		}
	}
	return json.Marshal(r)
}

// UnmarshalJSON reads what MarshalJSON wrote and refuses fields that it does not
// know.
func (h *Request) UnmarshalJSON(b []byte) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	var r record
	if err := d.Decode(&r); err != nil {
		return fmt.Errorf("decoding held request: %w", err)
	}
	*h = Request{
		Method: string(r.Method), Host: string(r.Host), URI: string(r.URI),
		Header: make(map[string][]string, len(r.Header)), Body: r.Body,
	}
	for name, values := range r.Header {
		for _, v := range values {
			h.Header[name] = append(h.Header[name], string(v))
		}
	}
	return nil
}

// String keeps the request out of logs.
func (h Request) String() string { return fmt.Sprintf("held request(%d bytes)", len(h.Body)) }

// Format keeps the request out of logs under every verb.
func (h Request) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, h.String()) }

// LogValue keeps the request out of log/slog.
func (h Request) LogValue() slog.Value { return slog.StringValue(h.String()) }
