package webhook

import (
	"bytes"
	"encoding/json"
	"io"
	"strconv"
	"strings"
)

// maxAnswer is how much of an answer is read, in bytes. One that is longer says
// nothing that can be relied on.
const maxAnswer = 64 << 10

// maxDepth bounds the nesting of an answer's JSON.
const maxDepth = 64

// answer is what a provider answered.
type answer struct {
	status int
	// body is the whole of it; nil if it broke off or was too long.
	body []byte
	// tree is body as JSON, if isJSON.
	tree   any
	isJSON bool
}

// readAnswer reads an answer up to its limit. asJSON says that somebody asks for what
// is in it.
func readAnswer(status int, body io.Reader, asJSON bool) answer {
	a := answer{status: status}
	read, err := io.ReadAll(io.LimitReader(body, maxAnswer+1))
	if err != nil || len(read) > maxAnswer {
		return a
	}
	a.body = append([]byte{}, read...)
	if asJSON {
		a.tree, a.isJSON = decode(a.body)
	}
	return a
}

// decode reads one value of JSON. A name that stands twice in an object gives it two
// meanings, of which others may read the other one: that is not JSON here.
func decode(body []byte) (any, bool) {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	value, ok := decodeValue(d, 0)
	if !ok {
		return nil, false
	}
	_, err := d.Token()
	return value, err == io.EOF
}

func decodeValue(d *json.Decoder, depth int) (any, bool) {
	token, err := d.Token()
	if err != nil || depth > maxDepth {
		return nil, false
	}
	switch token {
	case json.Delim('{'):
		object := map[string]any{}
		for d.More() {
			name, err := d.Token()
			key, ok := name.(string)
			if _, twice := object[key]; err != nil || !ok || twice {
				return nil, false
			}
			if object[key], ok = decodeValue(d, depth+1); !ok {
				return nil, false
			}
		}
		_, err := d.Token()
		return object, err == nil
	case json.Delim('['):
		list := []any{}
		for d.More() {
			element, ok := decodeValue(d, depth+1)
			if !ok {
				return nil, false
			}
			list = append(list, element)
		}
		_, err := d.Token()
		return list, err == nil
	}
	return token, true
}

// path leads to a value: names, and places of lists.
type path []string

// text returns the value at a path as text: a string as it is, a number as it was
// written, true, false or null. ok is false if there is none, or it is a list or an
// object.
func (a answer) text(p path) (text string, ok bool) {
	if !a.isJSON {
		return "", false
	}
	value := a.tree
	for _, step := range p {
		switch at := value.(type) {
		case map[string]any:
			if value, ok = at[step]; !ok {
				return "", false
			}
		case []any:
			place, err := strconv.Atoi(step)
			if err != nil || place < 0 || place >= len(at) || strconv.Itoa(place) != step {
				return "", false
			}
			value = at[place]
		default:
			return "", false
		}
	}
	switch value := value.(type) {
	case string:
		return value, true
	case json.Number:
		return value.String(), true
	case bool:
		return strconv.FormatBool(value), true
	case nil:
		return "null", true
	}
	return "", false
}

// maxID is the longest id of a message that is kept, in bytes.
const maxID = 128

// id returns the provider's name for the message. It ends in logs and records, so one
// that is no plain short word is left out.
func (a answer) id(p path) string {
	if len(p) == 0 {
		return ""
	}
	id, ok := a.text(p)
	if !ok || id == "null" || len(id) > maxID || strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return ""
	}
	return id
}
