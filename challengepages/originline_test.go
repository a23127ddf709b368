package challengepages

import (
	"strings"
	"testing"
)

func TestTheOriginLineIsOnEverywhereButInIndonesia(t *testing.T) {
	for _, test := range []struct {
		name   string
		line   OriginLine
		region string
		want   bool
	}{
		{"by default abroad", nil, "SG", true},
		{"by default in Indonesia", nil, "ID", false},
		{"by default where nobody knows", nil, "", false},
		{"everywhere", func(string) bool { return true }, "ID", true},
		{"off", func(string) bool { return false }, "SG", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newRenderer(t, func(b *Brand) { b.OriginLine = test.line })
			text := r.SMSText(English, SMSText{Code: "123456", Minutes: 5, Region: test.region, Host: "casino.example"})
			if got := strings.HasSuffix(text, ".\n\n@casino.example #123456"); got != test.want {
				t.Errorf("%q ends in the line: %v, want %v", text, got, test.want)
			}
			if !test.want && strings.ContainsAny(text, "@#\n") {
				t.Errorf("%q has a part of the line", text)
			}
		})
	}
}

// A browser fills the code in on the host that the line names. A name that is only
// nearly the site's would be another's.
func TestOnlyTheNameOfAHostGetsIntoTheOriginLine(t *testing.T) {
	r := newRenderer(t)
	for host, want := range map[string]bool{
		"casino.example": true, "accounts.example.co.id": true, "xn--kasno-zsa.example": true, "a-b.c1.example": true,
		"": false, "localhost": false, "casino.example:8443": false, "Casino.example": false, "kasíno.example": false,
		"casino.example ": false, "casino.example #1\n@evil.example": false, "-casino.example": false, "casino..example": false,
		"casino.example.": false, "https://casino.example": false, "[::1]": false, strings.Repeat("a.", 200) + "example": false,
	} {
		text := r.SMSText(English, SMSText{Code: "1", Minutes: 5, Region: "SG", Host: host})
		if got := strings.HasSuffix(text, "\n\n@"+host+" #1"); got != want || !want && strings.Contains(text, "@") {
			t.Errorf("host %q: the line is there: %v, want %v: %q", host, got, want, text)
		}
	}
}

func TestAHostThatHasNoRoomInATextIsFound(t *testing.T) {
	const long = "masuk.perusahaan-keuangan-nusantara-sejahtera.co.id"
	for _, test := range []struct {
		name, host string
		change     func(*Brand)
		want       string // of the error; none if empty
	}{
		{"ordinary", "accounts.example.co.id", func(*Brand) {}, ""},
		{"long", long, func(*Brand) {},
			`messages/id.toml: message "text.code" takes 171 characters of an SMS with the line "@` + long + ` #000000", and 160 fit: shorten it by 11, or turn the line off`},
		{"long, in a language with room", long, func(b *Brand) { b.Languages = []Lang{English} }, ""},
		{"with a text of the operator", "accounts.example.co.id", func(b *Brand) {
			b.Overrides = folder("messages/en.toml", "[messages]\n\"text.code\" = \"{code} {brand} {minutes}"+strings.Repeat("x", 120)+"\"\n")
		}, `messages/en.toml: message "text.code" takes `},
		{"with a port", "casino.example:8443", func(*Brand) {}, `"casino.example:8443": it is not the name of a host: write it in lower case and without port`},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := Brand{Name: "Example"}
			test.change(&b)
			r, err := New(b)
			if err != nil {
				t.Fatal(err)
			}
			err = r.CheckHost(test.host)
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("CheckHost gave the error %v, want %q", err, test.want)
			}
		})
	}
}
