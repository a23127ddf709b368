package identity

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
)

func TestUpstreamFindsFieldsBelowTheTop(t *testing.T) {
	const body = `{"data":[{"user":{"id":"no"}},{"user":{"id":12345678901234567890,"names":{"0":"zero"}}}],"data2":{"user":{"id":"no"}},"id":"no","phone":null,
		"unused":{"a":1,"a":2}}`
	u := newTestUpstream(t, write(200, body), func(c *UpstreamConfig) {
		c.Subject, c.Login, c.Email, c.Phone = "data.1.user.id", "data.1.user.names.0", "data.7.email", "phone"
	})
	got, err := u.Identify(t.Context(), request(), cookie("abc"))
	if want := (Identity{Subject: "12345678901234567890", Login: "zero"}); err != nil || got != want {
		t.Errorf("Identify = subject %q, login %q, %v, want %q, %q", got.Subject, got.Login, err, want.Subject, want.Login)
	}
	for _, body := range []string{
		`{"data":[{},{"user":{"id":1}}],"data":[]}`,
		`{"data":[{},{"user":{"id":1},"user":{"id":2}}]}`,
		`{"data":[{},{"user":{"id":1,"id":2}}]}`,
		`{"data":[{},{"user":{"id":1,"names":{},"names":{}}}]}`,
	} {
		if id, err := u.places.read(nil, []byte(body)); !errors.Is(err, errTwice) {
			t.Errorf("read(%s) = %q, %v, want errTwice", body, id.Subject, err)
		}
	}
}

func TestUpstreamTakesOneFieldForTwoUses(t *testing.T) {
	u := newTestUpstream(t, write(200, `{"id":"budi@example.com"}`), func(c *UpstreamConfig) { c.Login, c.Email, c.Phone = "id", "id", "" })
	got, err := u.Identify(t.Context(), request(), cookie("abc"))
	if want := (Identity{Subject: "budi@example.com", Login: "budi@example.com", Email: "budi@example.com"}); err != nil || got != want {
		t.Errorf("Identify = %q, %q, %q, %v", got.Subject, got.Login, got.Email, err)
	}
}

// FuzzAnswer feeds what a hostile or broken site may answer.
func FuzzAnswer(f *testing.F) {
	for _, s := range []string{
		`{"user":{"id":42,"phone":"+62"}}`, `{"user":{"id":"a","id":"b"}}`, `{"user":[{"id":1}]}`, `{"user":{"id":1e3}}`,
		`{"user":{"id":"\ud800"}}`, `[[[[`, `{"user":{"id":null}}`, `{"user":{"id":"0"}}`, "{\"user\":{\"id\":\"\xff\"}}", `{} {}`,
	} {
		f.Add([]byte(s))
	}
	fields, err := newFields(UpstreamConfig{Subject: "user.id", Phone: "user.phone", Login: "user.0"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		id, err := fields.read(nil, body)
		if err != nil {
			if id != (Identity{}) {
				t.Fatalf("read(%q) gives an identity with %v", body, err)
			}
			return
		}
		for _, s := range []string{id.Subject, id.Login, id.Phone} {
			if checkText(s) != nil {
				t.Fatalf("read(%q) gives %q", body, s)
			}
		}
		// What we read is what the standard decoder finds, with numbers kept exact.
		if want := standardSubject(t, body); id.Subject != want {
			t.Fatalf("read(%q) gives subject %q, encoding/json %q", body, id.Subject, want)
		}
	})
}

// standardSubject reads user.id as a generic client of the site does.
func standardSubject(t *testing.T, body []byte) string {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	var top map[string]json.RawMessage
	var user map[string]any
	if err := dec.Decode(&top); err != nil {
		t.Fatalf("encoding/json refuses %q: %v", body, err)
	}
	dec = json.NewDecoder(bytes.NewReader(top["user"]))
	dec.UseNumber()
	if err := dec.Decode(&user); err != nil {
		t.Fatalf("encoding/json refuses the user in %q: %v", body, err)
	}
	return fmt.Sprint(user["id"])
}
