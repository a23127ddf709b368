package webhook

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Body says how the fields of a message are written.
type Body string

// The kinds of bodies.
const (
	// BodyJSON is an object; dotted names of fields nest.
	BodyJSON Body = "json"
	// BodyForm is application/x-www-form-urlencoded.
	BodyForm Body = "form"
	// BodyQuery is no body: the fields stand in the query of the URL.
	BodyQuery Body = "query"
)

// CheckBody reports a kind of body that is none, and what to write.
func CheckBody(b Body) error {
	known := []string{string(BodyJSON), string(BodyForm), string(BodyQuery)}
	if !slices.Contains(known, string(b)) {
		return unknownName("kind of body", string(b), "%s", known)
	}
	return nil
}

// FieldType is the type of a field in a JSON body.
type FieldType string

// The types of fields.
const (
	FieldString FieldType = "string"
	FieldNumber FieldType = "number"
	FieldBool   FieldType = "bool"
)

// Field is one field of a message.
type Field struct {
	// The name. In a JSON body dots nest, and a number is the place in a list, from 0:
	// `messages.0.to`. Required.
	Name string `json:"name"`
	// The value, with placeholders of the message such as `{to}` and `{text}`, and of
	// secrets, `{env.NAME}` and `{file.PATH}`, which are read at load. It is encoded as
	// the body needs. Required.
	Value string `json:"value"`
	// The type in a JSON body: `string`, `number` or `bool`. Default: `string`.
	Type FieldType `json:"type,omitempty"`
}

// Check reports what is wrong with a field by itself.
func (f Field) Check() error {
	_, err := f.parse(func(string) (string, error) { return "0", nil })
	return err
}

// field is a Field taken apart.
type field struct {
	name  string
	value text
	kind  FieldType
}

func (f Field) parse(resolve Resolve) (field, error) {
	parsed := field{name: f.Name, kind: f.Type}
	if f.Name == "" || strings.ContainsAny(f.Name, "{}") {
		return field{}, errors.New("a field has a fixed name: write one such as field to {to}")
	}
	var err error
	if parsed.value, err = parseText(f.Value, resolve); err != nil {
		return field{}, fmt.Errorf("field %s: %w", f.Name, err)
	}
	switch f.Type {
	case "":
		parsed.kind = FieldString
	case FieldString:
	case FieldBool:
		if f.Value != "true" && f.Value != "false" {
			return field{}, fmt.Errorf("field %s is a bool: write true or false", f.Name)
		}
	case FieldNumber:
		for _, m := range samples {
			if _, err := parsed.encode(valuesOf(m)); err != nil {
				return field{}, fmt.Errorf("field %s is a number and can come out as something else, such as with a leading 0: leave out number, or use {minutes}, {seconds}, {attempt} or {to.digits}", f.Name)
			}
		}
	default:
		return field{}, unknownName("type of a field", string(f.Type), "%s", []string{string(FieldString), string(FieldNumber), string(FieldBool)})
	}
	return parsed, nil
}

// encode returns the field's value as encoding/json takes it.
func (f field) encode(v values) (any, error) {
	s := f.value.as(v)
	switch f.kind {
	case FieldNumber:
		// A number of JSON and nothing beside it: no sign, space, hex or infinity that
		// another parser of numbers would take.
		if s == "" || s[0] != '-' && (s[0] < '0' || s[0] > '9') || strings.TrimSpace(s) != s || !json.Valid([]byte(s)) {
			return nil, fmt.Errorf("field %s does not come out as a number", f.name)
		}
		return json.Number(s), nil
	case FieldBool:
		return s == "true", nil
	default:
		return s, nil
	}
}

// fields are those of one message, in the order in which they are written.
type fields []field

func parseFields(list []Field, body Body, resolve Resolve) (fields, error) {
	var parsed fields
	for _, f := range list {
		p, err := f.parse(resolve)
		if err != nil {
			return nil, err
		}
		if body != BodyJSON && p.kind != FieldString {
			return nil, fmt.Errorf("field %s is a %s, which only a JSON body knows: leave out %s", f.Name, p.kind, p.kind)
		}
		if slices.ContainsFunc(parsed, func(other field) bool { return other.name == p.name }) {
			return nil, fmt.Errorf("field %s stands twice: write it once", f.Name)
		}
		parsed = append(parsed, p)
	}
	if body == BodyJSON {
		// Whether the names fit each other does not depend on the message.
		if _, err := parsed.object(valuesOf(samples[0])); err != nil {
			return nil, err
		}
	}
	return parsed, nil
}

func (fs fields) uses(set map[string]bool) {
	for _, f := range fs {
		f.value.uses(set)
	}
}

// form returns the fields for a form or a query.
func (fs fields) form(v values) url.Values {
	form := url.Values{}
	for _, f := range fs {
		form.Set(f.name, f.value.as(v))
	}
	return form
}

// object returns the fields as JSON.
func (fs fields) object(v values) ([]byte, error) {
	root := &node{}
	for _, f := range fs {
		value, err := f.encode(v)
		if err != nil {
			return nil, err
		}
		if err := root.put(strings.Split(f.name, "."), value); err != nil {
			return nil, fmt.Errorf("field %s %w", f.name, err)
		}
	}
	whole, err := root.value()
	if err != nil {
		return nil, err
	}
	if _, ok := whole.([]any); ok {
		return nil, errors.New("the body begins with a list: fields begin with a name, and what must be a list needs a template")
	}
	return json.Marshal(whole)
}

// node is a value of JSON that grows: a leaf, or what is below names or places.
type node struct {
	leaf  any
	below map[string]*node
}

func (n *node) put(path []string, leaf any) error {
	if len(path) == 0 {
		if n.below != nil {
			return errors.New("has a value, and another field is below it: rename one of them")
		}
		n.leaf = leaf
		return nil
	}
	if path[0] == "" {
		return errors.New("has two dots in a row, or one at an end")
	}
	if n.leaf != nil {
		return errors.New("is below another field, which has a value: rename one of them")
	}
	if n.below == nil {
		n.below = map[string]*node{}
	}
	if n.below[path[0]] == nil {
		n.below[path[0]] = &node{}
	}
	return n.below[path[0]].put(path[1:], leaf)
}

// value returns what has grown. Names that are numbers are places of a list, which
// must all be there.
func (n *node) value() (any, error) {
	if n.leaf != nil {
		return n.leaf, nil
	}
	list := make([]any, len(n.below))
	object := make(map[string]any, len(n.below))
	places := 0
	for name, child := range n.below {
		value, err := child.value()
		if err != nil {
			return nil, err
		}
		object[name] = value
		if place, err := strconv.Atoi(name); err == nil {
			places++
			if place >= 0 && place < len(list) && strconv.Itoa(place) == name {
				list[place] = value
			}
		}
	}
	switch {
	case places == 0:
		return object, nil
	case places < len(list):
		return nil, errors.New("names and places of a list stand side by side in the fields: a level has either")
	case slices.Contains(list, nil):
		return nil, errors.New("a list in the fields has a gap: count its places from 0")
	}
	return list, nil
}
