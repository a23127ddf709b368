package seal

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// The formats of a ring's document. In format 1 each key is current from when it
// was created. In format 2 each says from when, because for one of them at least
// that is another time. A ring is written in the first that can tell it, so each
// ring has one document, and a ring that was never rotated can still be read by a
// Stepgate that knows format 1 only.
const (
	formatCreated = 1
	formatFrom    = 2
)

// document is a ring as it is kept: one JSON object.
type document struct {
	Format int           `json:"format"`
	Lookup secret        `json:"lookup"`
	Keys   []documentKey `json:"keys"` // the newest first, ids falling
}

type documentKey struct {
	ID      KeyID  `json:"id"`
	Created stamp  `json:"created"`
	From    *stamp `json:"from,omitempty"` // not in format 1
	Secret  secret `json:"secret"`
}

// from is the time from which the key is current.
func (k documentKey) from() time.Time {
	if k.From == nil {
		return k.Created.at
	}
	return k.From.at
}

// secret is 32 bytes, in base64 with padding.
type secret []byte

func (s secret) MarshalText() ([]byte, error) {
	return base64.StdEncoding.AppendEncode(nil, s), nil
}

// UnmarshalText says nothing of what it was given but its length.
func (s *secret) UnmarshalText(text []byte) error {
	b, err := base64.StdEncoding.Strict().AppendDecode(nil, text)
	if err != nil {
		return errors.New("a secret is not in base64")
	}
	if len(b) != secretLength {
		return fmt.Errorf("a secret has %d bytes: want %d", len(b), secretLength)
	}
	*s = b
	return nil
}

// stamp is a time in UTC to the second, as RFC 3339 writes it.
type stamp struct{ at time.Time }

const stampLayout = "2006-01-02T15:04:05Z"

func (s stamp) MarshalText() ([]byte, error) { return []byte(s.at.Format(stampLayout)), nil }

// UnmarshalText does not quote what it was given, as package time would: it may be
// a secret in the wrong field.
func (s *stamp) UnmarshalText(text []byte) error {
	t, err := time.Parse(stampLayout, string(text))
	if err != nil || t.Format(stampLayout) != string(text) || t.IsZero() {
		return errors.New("a time is not in RFC 3339, in UTC and to the second")
	}
	s.at = t
	return nil
}

// Marshal returns the ring's document, which [ParseRing] reads. It holds every key
// and secret: it belongs where nobody reads who may not pass for any player.
func (r *Ring) Marshal() []byte {
	s := r.secrets()
	doc := document{Format: formatCreated, Lookup: s.lookup}
	for _, k := range s.keys {
		if !k.from.Equal(k.created) {
			doc.Format = formatFrom
		}
	}
	for _, k := range s.keys {
		key := documentKey{ID: k.id, Created: stamp{k.created}, Secret: k.secret}
		if doc.Format == formatFrom {
			key.From = &stamp{k.from}
		}
		doc.Keys = append(doc.Keys, key)
	}
	b, err := json.Marshal(doc)
	if err != nil {
		panic("seal: numbers and strings cannot fail to encode: " + err.Error())
	}
	return b
}

// ParseRing reads a ring from its document. A document is what Marshal writes and
// nothing else but white space: a field that is unknown, misspelt or there twice
// would mean that somebody meant another ring than the one that is used.
func ParseRing(doc []byte) (*Ring, error) {
	r, err := parseRing(doc)
	if err != nil {
		return nil, fmt.Errorf("reading key ring: %w", err)
	}
	return r, nil
}

func parseRing(doc []byte) (*Ring, error) {
	var d document
	if err := decodeStrict(doc, &d); err != nil {
		return nil, err
	}
	if err := d.validate(); err != nil {
		return nil, err
	}
	keys := make([]*ringKey, len(d.Keys))
	for i, k := range d.Keys {
		var err error
		if keys[i], err = newRingKey(k.ID, k.Created.at, k.from(), k.Secret); err != nil {
			return nil, err
		}
	}
	r, err := newRing(d.Lookup, keys)
	if err != nil {
		return nil, err
	}
	// encoding/json takes the last of two equal fields, and fields in other cases.
	var compact bytes.Buffer
	if err := json.Compact(&compact, doc); err != nil || !bytes.Equal(compact.Bytes(), r.Marshal()) {
		return nil, errors.New("a field stands twice, or in another order or spelling, or format 2 where 1 would do")
	}
	return r, nil
}

func (d document) validate() error {
	if d.Format != formatCreated && d.Format != formatFrom {
		return fmt.Errorf("format %d: this Stepgate knows formats %d and %d", d.Format, formatCreated, formatFrom)
	}
	if d.Lookup == nil {
		return errors.New("no lookup secret")
	}
	if len(d.Keys) == 0 {
		return errors.New("no keys")
	}
	seen := map[string]bool{string(d.Lookup): true}
	for i, k := range d.Keys {
		switch {
		case k.ID == 0:
			return fmt.Errorf("key %d of the list has no id", i+1)
		case k.Secret == nil:
			return fmt.Errorf("key %d has no secret", k.ID)
		case k.Created.at.IsZero():
			return fmt.Errorf("key %d does not say when it was created", k.ID)
		case (k.From != nil) != (d.Format == formatFrom):
			return fmt.Errorf("key %d: from, when it becomes current, stands in format %d and only there", k.ID, formatFrom)
		case k.from().Before(k.Created.at):
			return fmt.Errorf("key %d is current before it was created", k.ID)
		case i > 0 && k.ID == d.Keys[i-1].ID:
			return fmt.Errorf("key %d stands twice", k.ID)
		case i > 0 && k.ID > d.Keys[i-1].ID:
			return fmt.Errorf("key %d follows key %d: want the newest first", k.ID, d.Keys[i-1].ID)
		case seen[string(k.Secret)]:
			return fmt.Errorf("key %d has the secret of another", k.ID)
		}
		seen[string(k.Secret)] = true
	}
	for s := range seen {
		// A template that was never filled in.
		if s == string(bytes.Repeat([]byte{s[0]}, secretLength)) {
			return errors.New("a secret is one byte over and over: want random bytes")
		}
	}
	return nil
}

// decodeStrict decodes one JSON value with no field that into does not have, and
// nothing behind it.
func decodeStrict(b []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the JSON value")
	}
	return nil
}
