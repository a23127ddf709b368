package seal

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestDocumentIsTheWholeRing(t *testing.T) {
	r := rotate(t, newTestRing(t, 1), 2)
	doc := r.Marshal()
	parsed, err := ParseRing(doc)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(parsed.IDs(), r.IDs()) || parsed.MAC(Subject, "budi") != r.MAC(Subject, "budi") {
		t.Error("ParseRing(Marshal()) is another ring")
	}
	for _, id := range r.IDs() {
		a, errA := r.Key(id, Cookie)
		b, errB := parsed.Key(id, Cookie)
		if errA != nil || errB != nil || !bytes.Equal(a, b) {
			t.Errorf("Key(%d) is not the same, %v, %v", id, errA, errB)
		}
	}
	if again := parsed.Marshal(); !bytes.Equal(again, doc) {
		t.Errorf("Marshal(ParseRing()) = %d bytes, want the same %d", len(again), len(doc))
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, doc, "", "\t"); err != nil {
		t.Fatal(err)
	}
	if _, err := ParseRing(indented.Bytes()); err != nil {
		t.Errorf("ParseRing() of an indented document = %v", err)
	}
}

func TestRetiredKeyOpensNothing(t *testing.T) {
	r := rotate(t, newTestRing(t, 1), 2)
	sealed, err := newTestRing(t, 1).Seal(testRandom(9), "a", []byte("plain"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Open("a", sealed); err != nil {
		t.Fatalf("Open() before = %v", err)
	}
	var doc document
	if err := json.Unmarshal(r.Marshal(), &doc); err != nil {
		t.Fatal(err)
	}
	doc.Keys = doc.Keys[:1]
	b, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	retired, err := ParseRing(b)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := retired.Open("a", sealed); err != ErrOpen {
		t.Errorf("Open() after = %v, want ErrOpen", err)
	}
}

// testSecret is a secret in base64 that differs for each n.
func testSecret(n byte) string {
	b := bytes.Repeat([]byte{n}, 32)
	b[0] = 0xaa
	return base64.StdEncoding.EncodeToString(b)
}

// badDocument is one that must be refused with an error that says what is wrong.
type badDocument struct{ name, doc, want string }

// badDocuments returns a good document and what can be wrong with it.
func badDocuments() (good string, bad []badDocument) {
	const created = `"created":"2026-01-02T03:04:05Z"`
	key := func(id int) string {
		return fmt.Sprintf(`{"id":%d,%s,"secret":%q}`, id, created, testSecret(byte(id)))
	}
	ring := func(lookup string, keys ...string) string {
		return fmt.Sprintf(`{"format":1,"lookup":%q,"keys":[%s]}`, lookup, strings.Join(keys, ","))
	}
	lookup := testSecret(100)
	good = ring(lookup, key(2), key(1))
	later := ring(lookup, strings.Replace(key(2), created, created+`,"from":"2026-01-02T05:04:05Z"`, 1),
		strings.Replace(key(1), created, created+`,"from":"2026-01-02T03:04:05Z"`, 1))
	later = strings.Replace(later, `"format":1`, `"format":2`, 1)
	short := base64.StdEncoding.EncodeToString(make([]byte, 31))
	return good, []badDocument{
		{"nothing", ``, "EOF"},
		{"no JSON", testSecret(1), "invalid character"},
		{"null", `null`, "format 0"},
		{"list", `[]`, "cannot unmarshal"},
		{"no format", strings.Replace(good, `"format":1,`, ``, 1), "format 0"},
		{"newer format", strings.Replace(good, `"format":1`, `"format":3`, 1), "format 3"},
		{"format 2 without from", strings.Replace(good, `"format":1`, `"format":2`, 1), "stands in format 2"},
		{"format 1 with from", strings.Replace(good, created, created+`,"from":"2026-01-02T03:04:05Z"`, 1), "stands in format 2"},
		{"format 2 with from on one key", strings.Replace(later, `,"from":"2026-01-02T03:04:05Z"`, ``, 1), "stands in format 2"},
		{"format 2 that format 1 could tell", strings.Replace(later, "05:04:05", "03:04:05", 1), "format 2 where 1 would do"},
		{"null from", strings.Replace(good, created, created+`,"from":null`, 1), "spelling"},
		{"empty from", strings.Replace(later, "2026-01-02T05:04:05Z", "", 1), "RFC 3339"},
		{"from with an offset", strings.Replace(later, "05:04:05Z", "05:04:05+00:00", 1), "UTC"},
		{"from with a fraction", strings.Replace(later, "05:04:05Z", "05:04:05.0Z", 1), "second"},
		{"current before it was created", strings.Replace(later, "05:04:05", "03:04:04", 1), "before it was created"},
		{"from before created", strings.Replace(later, created+`,"from":"2026-01-02T05:04:05Z"`, `"from":"2026-01-02T05:04:05Z",`+created, 1), "another order"},
		{"no lookup secret", strings.Replace(good, `"lookup":"`+lookup+`",`, ``, 1), "no lookup secret"},
		{"null lookup secret", strings.Replace(good, `"`+lookup+`"`, `null`, 1), "no lookup secret"},
		{"empty lookup secret", ring("", key(1)), "0 bytes"},
		{"short lookup secret", ring(short, key(1)), "31 bytes"},
		{"long secret", ring(base64.StdEncoding.EncodeToString(make([]byte, 33)), key(1)), "33 bytes"},
		{"no keys", ring(lookup), "no keys"},
		{"null keys", `{"format":1,"lookup":"` + lookup + `","keys":null}`, "no keys"},
		{"null key", ring(lookup, `null`), "no id"},
		{"no id", ring(lookup, `{`+created+`,"secret":"`+testSecret(1)+`"}`), "no id"},
		{"id 0", ring(lookup, key(0)), "no id"},
		{"negative id", ring(lookup, key(-1)), "cannot unmarshal"},
		{"id of 33 bits", ring(lookup, key(1<<32)), "cannot unmarshal"},
		{"no secret", ring(lookup, `{"id":1,`+created+`}`), "key 1 has no secret"},
		{"short key", ring(lookup, `{"id":1,`+created+`,"secret":"`+short+`"}`), "31 bytes"},
		{"no creation time", ring(lookup, `{"id":1,"secret":"`+testSecret(1)+`"}`), "created"},
		{"same id twice", ring(lookup, key(1), strings.Replace(key(1), testSecret(1), testSecret(9), 1)), "key 1 stands twice"},
		{"oldest first", ring(lookup, key(1), key(2)), "newest first"},
		{"same secret twice", ring(lookup, key(2), strings.Replace(key(1), testSecret(1), testSecret(2), 1)), "secret of another"},
		{"lookup secret as key", ring(testSecret(1), key(1)), "secret of another"},
		{"key of zeros", ring(lookup, strings.Replace(key(1), testSecret(1), base64.StdEncoding.EncodeToString(make([]byte, 32)), 1)), "over and over"},
		{"secret as creation time", strings.Replace(good, "2026-01-02T03:04:05Z", testSecret(50), 1), "RFC 3339"},
		{"unknown field", strings.Replace(good, `"format"`, `"current":1,"format"`, 1), "unknown field"},
		{"unknown field of a key", strings.Replace(good, `"id":2`, `"id":2,"retired":true`, 1), "unknown field"},
		{"field twice", strings.Replace(good, `"format":1`, `"format":1,"lookup":"`+testSecret(101)+`"`, 1), "twice"},
		{"keys twice", strings.Replace(good, `"format":1`, `"format":1,"keys":[`+key(3)+`]`, 1), "twice"},
		{"field in capitals", strings.Replace(good, `"lookup"`, `"LOOKUP"`, 1), "spelling"},
		{"time with an offset", strings.Replace(good, `05Z`, `05+07:00`, 1), "UTC"},
		{"time with a fraction", strings.Replace(good, `05Z`, `05.5Z`, 1), "second"},
		{"base64 of another alphabet", strings.Replace(good, lookup, base64.URLEncoding.EncodeToString(bytes.Repeat([]byte{0xff}, 32)), 1), "base64"},
		{"base64 without padding", strings.Replace(good, lookup, strings.TrimRight(lookup, "="), 1), "base64"},
		{"base64 with bits to spare", strings.Replace(good, lookup, lookup[:42]+"R=", 1), "base64"},
		{"base64 with a line break", strings.Replace(good, lookup, lookup[:10]+`\n`+lookup[10:], 1), "spelling"},
		{"two documents", good + good, "follows"},
		{"something behind", good + "x", "follows"},
	}
}

func TestParseRingRefusesAllButItsOwnForm(t *testing.T) {
	good, bad := badDocuments()
	if _, err := ParseRing([]byte(good)); err != nil {
		t.Fatalf("ParseRing() of a good document = %v", err)
	}
	for _, tt := range bad {
		t.Run(tt.name, func(t *testing.T) {
			r, err := ParseRing([]byte(tt.doc))
			if err == nil || r != nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("ParseRing() = %v, %v, want an error with %q", r, err, tt.want)
			}
			for n := range byte(110) {
				if strings.Contains(err.Error(), testSecret(n)[:8]) {
					t.Errorf("ParseRing() shows a secret: %v", err)
				}
			}
		})
	}
}

// FuzzParseRing checks that a document that is accepted is, but for white space,
// the one document of its ring.
func FuzzParseRing(f *testing.F) {
	f.Add(newTestRing(f, 1).Marshal())
	f.Add(rotate(f, newTestRing(f, 1), 2).Marshal())
	f.Add(rotateLater(f, newTestRing(f, 1), 2, time.Hour).Marshal())
	f.Fuzz(func(t *testing.T, doc []byte) {
		r, err := ParseRing(doc)
		if err != nil {
			return
		}
		var compact bytes.Buffer
		if err := json.Compact(&compact, doc); err != nil {
			t.Fatalf("ParseRing accepted what is no JSON: %v", err)
		}
		if again := r.Marshal(); !bytes.Equal(again, compact.Bytes()) {
			t.Errorf("Marshal(ParseRing(%q)) = %q", doc, again)
		}
		if !slices.Contains(r.IDs(), r.Current()) || slices.Contains(r.IDs(), 0) {
			t.Errorf("ParseRing(%q) has the ids %v", doc, r.IDs())
		}
	})
}
