package identity

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode"
)

var (
	cookieOnly = finder(Session{Cookie, "casino_session"})
	bearerOnly = finder(Session{Kind: Bearer})
	both       = finder(Session{Cookie, "casino_session"}, Session{Kind: Bearer})
)

func finder(sessions ...Session) Finder {
	f, err := NewFinder(sessions...)
	if err != nil {
		panic(err)
	}
	return f
}

func TestCredentialFindsTheSessionAmongOtherCookies(t *testing.T) {
	tests := []struct {
		name   string
		cookie []string
		want   string
	}{
		{"alone", []string{"casino_session=abc"}, "abc"},
		{"first", []string{"casino_session=abc; theme=dark"}, "abc"},
		{"last", []string{"theme=dark; casino_session=abc"}, "abc"},
		{"no blank after the semicolon", []string{"theme=dark;casino_session=abc;x=1"}, "abc"},
		{"second header", []string{"theme=dark", "casino_session=abc"}, "abc"},
		{"blanks before", []string{" \tcasino_session=abc; x=1"}, "abc"},
		{"equals signs in the value", []string{"casino_session=YWJj=="}, "YWJj=="},
		{"quotes are part of the value", []string{`casino_session="abc"`}, `"abc"`},
		{"percent-encoding stays", []string{"casino_session=s%3Aabc.def%2B"}, "s%3Aabc.def%2B"},
		{"comma in the value", []string{"casino_session=a,b"}, "a,b"},
		{"longer names", []string{"casino_session_id=1; xcasino_session=2; casino_session.sig=3; casino_session-x=4; casino_session=abc"}, "abc"},
		{"prefixed name", []string{"__Host-casino_session=1; casino_session=abc"}, "abc"},
		{"name in another value", []string{"last=/page?casino_session=1; q=casino_session; casino_session=abc"}, "abc"},
		{"name without a value", []string{"casino_session; casino_session=abc"}, "abc"},
		{"words in another value", []string{"title=my casino_session here; casino_session=abc"}, "abc"},
		{"JSON in another cookie", []string{`cart={"a":"1","b":"x\"y"}; casino_session=abc`}, "abc"},
		{"quoted JSON as Django writes it", []string{`messages="[[\"__json\"\0540\05425\054\"Hi\"]]"; casino_session=abc`}, "abc"},
		{"quote left open after it", []string{`casino_session=abc; x="y`}, "abc"},
		{"stray quote", []string{`size=5"; casino_session=abc`}, "abc"},
		{"empty pairs", []string{";;; casino_session=abc;"}, "abc"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := cookieOnly.find(http.Header{"Cookie": tt.cookie})
			if want := (Credential{Kind: Cookie, Name: "casino_session", Value: tt.want}); err != nil || got != want {
				t.Errorf("find(%q) = %q, %v, want %q", tt.cookie, got.Value, err, tt.want)
			}
		})
	}
}

func TestCredentialIsAnonymousWithoutASession(t *testing.T) {
	for _, cookie := range [][]string{
		nil, {}, {""}, {"theme=dark"}, {"casino_session="}, {"casino_session= \t"}, {"casino_session"}, {"xcasino_session=abc"}, {";"},
		{`x="open; casino=1`},
	} {
		got, err := both.find(http.Header{"Cookie": cookie})
		if !errors.Is(err, ErrAnonymous) || got != (Credential{}) {
			t.Errorf("find(%q) = %q, %v, want ErrAnonymous", cookie, got.Value, err)
		}
	}
}

// The attacker's own stepped-up session is "mine"; the one he stole is "stolen".
// Every line is read as the stolen one by some parser that is in use.
func TestInvariantI2NoSpellingBringsASecondSessionPastUs(t *testing.T) {
	second := map[string]string{
		"same name, last wins (PHP, Django) or first (Express)": "casino_session=stolen",
		"same name, same value":                                 "casino_session=mine",
		"same name, no value":                                   "casino_session=",
		"other case (ASP.NET)":                                  "Casino_Session=stolen",
		"percent-encoded (Rack 1, ASP.NET Core)":                "%63asino%5fsession=stolen",
		"percent-encoded in capitals":                           "%43ASINO%5FSESSION=stolen",
		"dot for underscore (PHP)":                              "casino.session=stolen",
		"blank for underscore (PHP)":                            "casino session=stolen",
		"plus for underscore (PHP before 7.2.34)":               "casino+session=stolen",
		"encoded blank for underscore":                          "casino%20session=stolen",
		"bracket for underscore (PHP)":                          "casino[session=stolen",
		"array (PHP)":                                           "casino_session[]=stolen",
		"array with a key (PHP)":                                "casino_session[0]=stolen",
		"encoded array (PHP)":                                   "casino_session%5B%5D=stolen",
		"encoded NUL ends the name (PHP before 7.2.34)":         "casino_session%00x=stolen",
		"encoded blank before it (PHP)":                         "%20casino_session=stolen",
		"plus before it (PHP)":                                  "+casino_session=stolen",
		"equals sign before it (Werkzeug before 2.2.3)":         "=casino_session=stolen",
		"many equals signs before it":                           "===casino_session=stolen",
		"no-break space before it (Node, latin-1)":              "\xa0casino_session=stolen",
		"no-break space before it (Django, UTF-8)":              "\u00a0casino_session=stolen",
		"ideographic space after it (JavaScript's trim)":        "casino_session\u3000=stolen",
		"byte order mark before it (JavaScript's trim)":         "\ufeffcasino_session=stolen",
		"blank before the equals sign (Go, Python)":             "casino_session =stolen",
		"tab before the equals sign":                            "casino_session\t=stolen",
		"quoted name":                                           `"casino_session"=stolen`,
		"comma separates (RFC 2109, Rack 1)":                    "x=1,casino_session=stolen",
		"comma and blank separate":                              "x=1, casino_session=stolen",
		"blank separates (Python's SimpleCookie)":               "x=1 casino_session=stolen",
		"tab separates (Python's SimpleCookie)":                 "x=1\tcasino_session=stolen",
		"after a comma, spelt otherwise":                        "x=1,%43asino.session[]=stolen",
		"in a quoted value":                                     `x="1, casino_session=stolen"`,
	}
	for about, pair := range second {
		t.Run(about, func(t *testing.T) {
			for _, cookies := range [][]string{
				{"casino_session=mine; " + pair}, {pair + "; casino_session=mine"},
				{"casino_session=mine;" + pair}, {pair + ";casino_session=mine"},
				{"casino_session=mine", pair}, {pair, "casino_session=mine"},
				{"x=1; casino_session=mine; y=2", "z=3; " + pair},
			} {
				got, err := cookieOnly.find(http.Header{"Cookie": cookies})
				if !errors.Is(err, ErrAmbiguous) || got != (Credential{}) {
					t.Errorf("find(%q) = %q, %v, want ErrAmbiguous", cookies, got.Value, err)
				}
			}
		})
	}
}

func TestInvariantI2NoSpellingHidesTheSessionFromTheSite(t *testing.T) {
	for about, cookie := range map[string]string{
		"inside a quoted value":                     `x="; casino_session=mine; y="`,
		"inside a quoted value, blank before it":    `x= "; casino_session=mine; y="`,
		"inside a quoted value after a comma":       `x=1,y="; casino_session=mine; z="`,
		"quote ended for those without a backslash": `x="\"; casino_session=mine; y="`,
		"quote ended for those with a backslash":    `x="a\""; casino_session=mine; y="`,
		"its own value left open":                   `casino_session="mine; y="`,
		"two in the value, by comma":                `casino_session=mine,casino_session=stolen`,
		"two in the value, by blank":                `casino_session=mine casino_session=stolen`,
		"blank before the value":                    `casino_session= mine`,
		"blank after the value":                     "casino_session=mine\t; x=1",
		"only another spelling":                     `CASINO_SESSION=mine`,
		"only in an array":                          `casino_session[]=mine`,
	} {
		got, err := cookieOnly.find(http.Header{"Cookie": {cookie}})
		if !errors.Is(err, ErrAmbiguous) {
			t.Errorf("%s: find(%q) = %q, %v, want ErrAmbiguous", about, cookie, got.Value, err)
		}
	}
}

func TestCredentialReadsABearerTokenInOneWayOnly(t *testing.T) {
	tests := []struct {
		name          string
		authorization []string
		want          string
		err           error
	}{
		{"token", []string{"Bearer abc.DEF-1_2~3+4/5=="}, "abc.DEF-1_2~3+4/5==", nil},
		{"scheme in any case", []string{"bEARER abc"}, "abc", nil},
		{"more blanks", []string{"Bearer   abc"}, "abc", nil},
		{"none", nil, "", ErrAnonymous},
		{"no token", []string{"Bearer"}, "", ErrAnonymous},
		{"only a blank", []string{"Bearer "}, "", ErrAnonymous},
		{"other scheme", []string{"Basic YWJjOmRlZg=="}, "", ErrAnonymous},
		{"two headers", []string{"Bearer mine", "Bearer stolen"}, "", ErrAmbiguous},
		{"two equal headers", []string{"Bearer mine", "Bearer mine"}, "", ErrAmbiguous},
		{"two headers, one of another scheme", []string{"Basic YWJjOmRlZg==", "Bearer stolen"}, "", ErrAmbiguous},
		{"list", []string{"Bearer mine, Bearer stolen"}, "", ErrAmbiguous},
		{"list without a blank", []string{"Bearer mine,stolen"}, "", ErrAmbiguous},
		{"two tokens", []string{"Bearer mine stolen"}, "", ErrAmbiguous},
		{"after another scheme (Laravel)", []string{"Basic YWJjOmRlZg==, Bearer stolen"}, "", ErrAmbiguous},
		{"before the scheme", []string{"x bearer stolen"}, "", ErrAmbiguous},
		{"tab for the blank", []string{"Bearer\tstolen"}, "", ErrAmbiguous},
		{"no-break space for the blank", []string{"Bearer\u00a0stolen"}, "", ErrAmbiguous},
		{"quoted token", []string{`Bearer "stolen"`}, "", ErrAmbiguous},
		{"colon for the blank", []string{"Bearer:stolen"}, "", ErrAmbiguous},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := both.find(http.Header{"Authorization": tt.authorization})
			if !errors.Is(err, tt.err) || got.Value != tt.want {
				t.Errorf("find(%q) = %q, %v, want %q, %v", tt.authorization, got.Value, err, tt.want, tt.err)
			}
			if err == nil && (got.Kind != Bearer || got.Name != "Authorization") {
				t.Errorf("find(%q) = %v, want a bearer credential", tt.authorization, got)
			}
		})
	}
}

func TestInvariantI2ACookieAndABearerTokenAreBothFound(t *testing.T) {
	h := http.Header{"Cookie": {"casino_session=mine"}, "Authorization": {"Bearer stolen"}}
	got, err := both.find(h)
	if want := []Credential{cookie("mine"), {Kind: Bearer, Name: "Authorization", Value: "stolen"}}; err != nil || !slices.Equal(slices.Collect(got.All()), want) {
		t.Errorf("find = %v, %v, want both", slices.Collect(got.All()), err)
	}
	// What the site does not take as a session is none of our business.
	if got, err := cookieOnly.find(h); err != nil || got.Value != "mine" {
		t.Errorf("find without bearer = %v, %v, want the cookie", got, err)
	}
	if got, err := bearerOnly.find(h); err != nil || got.Value != "stolen" {
		t.Errorf("find without cookie = %v, %v, want the token", got, err)
	}
	h.Set("Authorization", "Basic YWJjOmRlZg==")
	if got, err := both.find(h); err != nil || got.Value != "mine" {
		t.Errorf("find beside Basic = %v, %v, want the cookie", got, err)
	}
}

// lenientCookies is every cookie that any parser we know of finds: all ways to
// split, and for each pair all ways to read its name, with its value.
func lenientCookies(header string) map[string][]string {
	found := map[string][]string{}
	for _, separators := range []string{";", ";,", ";, \t"} {
		for _, pair := range strings.FieldsFunc(header, func(r rune) bool { return strings.ContainsRune(separators, r) }) {
			for _, lead := range []string{"", "="} {
				name, value, ok := strings.Cut(strings.TrimLeft(pair, lead+" \t"), "=")
				if !ok {
					continue
				}
				for _, n := range lenientNames(name) {
					found[n] = append(found[n], strings.Trim(value, " \t"))
				}
			}
		}
	}
	return found
}

func lenientNames(name string) []string {
	names := []string{name, strings.Trim(name, " \t"), strings.TrimFunc(name, unicode.IsSpace)}
	if decoded, err := url.QueryUnescape(name); err == nil { // Rack, PHP before 7.2.34
		names = append(names, decoded, strings.TrimFunc(decoded, unicode.IsSpace), phpName(decoded))
	}
	if decoded, err := url.PathUnescape(name); err == nil { // ASP.NET Core
		names = append(names, decoded)
	}
	return append(names, phpName(name))
}

// phpName is the name under which PHP registers a variable.
func phpName(name string) string {
	name = strings.TrimLeft(name, " \t")
	name, _, _ = strings.Cut(name, "\x00")
	name = strings.NewReplacer(".", "_", " ", "_").Replace(name)
	if i := strings.IndexByte(name, '['); i > 0 && strings.IndexByte(name[i:], ']') > 0 {
		return name[:i]
	}
	return strings.ReplaceAll(name, "[", "_")
}

// FuzzCredentialAgreesWithEveryParser holds that no parser reads another session
// than the one that we return.
func FuzzCredentialAgreesWithEveryParser(f *testing.F) {
	for _, s := range []string{
		"casino_session=a", "x=1; casino_session=a; y=2", "casino_session=a; Casino.Session=b", "casino_session=a,casino_session=b",
		"casino_session=a casino_session=b", "=casino_session=b; casino_session=a", "casino%5Fsession=b;casino_session=a",
		`x="; casino_session=a; y="`, "casino_session=a; casino[session=b", "casino_session%00=b; casino_session=a", "+casino_session=b",
	} {
		f.Add(s)
	}
	const name = "casino_session"
	f.Fuzz(func(t *testing.T, header string) {
		if strings.ContainsFunc(header, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
			return // net/http refuses such a header
		}
		got, err := cookieOnly.find(http.Header{"Cookie": {header}})
		if errors.Is(err, ErrAmbiguous) {
			return
		}
		for n, values := range lenientCookies(header) {
			if !strings.EqualFold(n, name) {
				continue
			}
			for _, v := range values {
				// A parser that splits at more places reads a part of our value, and does
				// so as well when it is asked whose session it is.
				if !strings.HasPrefix(got.Value, v) {
					t.Fatalf("of %q we read %q (%v), another parser %q", header, got.Value, err, v)
				}
			}
		}
		// A parser that we agree with even to the letter, with its own source.
		if c, stdErr := (&http.Request{Header: http.Header{"Cookie": {header}}}).Cookie(name); stdErr == nil && c.Value != strings.Trim(got.Value, `"`) {
			t.Fatalf("of %q we read %q, net/http %q", header, got.Value, c.Value)
		}
	})
}

func TestCredentialIsFoundWithoutAllocation(t *testing.T) {
	h := benchmarkHeader()
	c := both
	if n := testing.AllocsPerRun(100, func() {
		if _, err := c.find(h); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("find allocates %v times, want 0", n)
	}
}

// A header of nothing but separators and half names must not cost more than its
// length: at the megabyte that net/http accepts, quadratic time would be hours, in
// which this test does not end.
func TestCredentialTakesTimeInProportionToTheHeader(t *testing.T) {
	for _, unit := range []string{",", " ", "=", "casino_session,", "casino_session ", "+", "%20", "casino_", `="`, ";", "_", "["} {
		header := strings.Repeat(unit, http.DefaultMaxHeaderBytes/len(unit))
		_, err := cookieOnly.find(http.Header{"Cookie": {header}})
		if !errors.Is(err, ErrAnonymous) {
			t.Errorf("find of many %q = %v, want ErrAnonymous", unit, err)
		}
	}
}

func benchmarkHeader() http.Header {
	return http.Header{"Cookie": {
		"_ga=GA1.2.1234567890.1700000000; _gid=GA1.2.987654321.1700000000; theme=dark; lang=id; consent=%7B%22a%22%3Atrue%7D; " +
			"casino_session=s%3A4f9d2c7b1e8a5036.9c1f0b7d2e6a; __Host-stepgate=AbCdEfGhIjKlMnOpQrStUvWxYz0123456789AbCdEfGhIjKlMnOpQrStUvWxYz",
	}}
}

func BenchmarkCredential(b *testing.B) {
	h := benchmarkHeader()
	c := both
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.find(h); err != nil {
			b.Fatal(err)
		}
	}
}
