package challengepages

import (
	"encoding/xml"
	"reflect"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestHiddenCharactersAreMadeVisible(t *testing.T) {
	for _, test := range []struct{ name, in, want string }{
		{"ordinary", "BCA 1234-567 a.n. Dewi Ñuñez 李", "BCA 1234-567 a.n. Dewi Ñuñez 李"},
		{"override", "BCA \u202e4321\u202c", "BCA �4321�"},
		{"isolates", "\u2066\u2067\u2068\u2069", "����"},
		{"marks of direction", "a\u200eb\u200fc\u061c", "a�b�c�"},
		{"zero width", "1\u200b2\u200c3\u200d4\ufeff5\u2060", "1�2�3�4�5�"},
		{"C0", "a\x00b\x1bc\x7f", "a�b�c�"},
		{"C1", "a\u0085b\u009b", "a�b�"},
		{"separators", "a\u2028b\u2029", "a�b�"},
		{"lines", "Jalan 1\r\nJakarta\nIndonesia\r", "Jalan 1 ↵ Jakarta ↵ Indonesia ↵ "},
		{"tab", "a\tb", "a b"},
		{"soft hyphen", "12\u00ad34", "12�34"},
		{"tags", "a\U000e0041", "a�"},
		{"private use", "\ue000", "�"},
		{"unassigned and ignorable", "\u2065\ufff0", "��"},
		{"blank letters", "\u3164\uffa0\u115f\u2800", "����"},
		{"variation selectors", "a\ufe0f\U000e0100", "a��"},
		{"no UTF-8", "a\xff\xc0", "a��"},
		{"accents", "e\u0301\u0323", "e\u0301\u0323"},
		{"tower of accents", "e\u0301\u0301\u0301\u0301a", "e\u0301\u0301��a"},
	} {
		if got := visible(test.in); got != test.want {
			t.Errorf("%s: visible(%q) = %q, want %q", test.name, test.in, got, test.want)
		}
	}
}

func TestLongValueIsCutAndCounted(t *testing.T) {
	if got, want := shown(strings.Repeat("é", maxShown)), strings.Repeat("é", maxShown); got != want {
		t.Errorf("a value that fits became %q", got)
	}
	if got, want := shown(strings.Repeat("é", maxShown+9)), strings.Repeat("é", maxShown)+"… [+9]"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func FuzzVisibleShowsEverything(f *testing.F) {
	f.Add("BCA \u202e4321")
	f.Add("a\xff\u0301\u0301\u0301")
	f.Fuzz(func(t *testing.T, s string) {
		got := visible(s)
		if !utf8.ValidString(got) {
			t.Fatalf("visible(%q) is no UTF-8", s)
		}
		for _, r := range got {
			if !unicode.IsGraphic(r) {
				t.Fatalf("visible(%q) still has %U", s, r)
			}
		}
		if s != "" && got == "" {
			t.Fatalf("visible(%q) is empty", s)
		}
	})
}

// hostile is put into every text that a page takes. It tries to be markup, an
// attribute, a URL, a script, and to turn the sentence around.
const hostile = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>\u202e{{.}}{phone}`javascript:alert(1)"

// fillHostile sets every string in a page to the hostile one.
func fillHostile(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for _, field := range v.Fields() {
			if field.CanSet() {
				fillHostile(field)
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			fillHostile(v.Index(i))
		}
	case reflect.String:
		if v.Type() == reflect.TypeFor[string]() {
			v.SetString(hostile)
		}
	}
}

// An attacker chooses what stands in a request: nothing of it becomes markup, an
// attribute or another form, on any page.
func TestHostileValuesChangeNoPagesStructure(t *testing.T) {
	r := newRenderer(t)
	shape := func(page string) []string {
		all, err := elements(page)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, e := range all {
			name := e.Name.Local
			for _, a := range e.Attr {
				name += " " + a.Name.Local
			}
			names = append(names, name)
		}
		return names
	}
	for _, s := range states() {
		p := reflect.New(reflect.TypeOf(s.page)).Elem()
		p.Set(reflect.ValueOf(s.page))
		copySlices(p)
		fillHostile(p)
		restore(p, s.page)
		page := render(t, r, English, p.Interface().(Page))
		if strings.Contains(readable(page), "\u202e") || strings.Contains(withoutAssets(page), "<script>alert") {
			t.Errorf("%s lets a hostile value through", s.name)
		}
		want := shape(render(t, r, English, neutral(p, s.page)))
		if diff := cmp.Diff(want, shape(page)); diff != "" {
			t.Errorf("%s changes its elements (-neutral +hostile):\n%s", s.name, diff)
		}
		for _, e := range mustElements(t, page) {
			checkLinks(t, s.name, e)
		}
	}
}

func mustElements(t *testing.T, page string) []xml.StartElement {
	t.Helper()
	all, err := elements(page)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func checkLinks(t *testing.T, name string, e xml.StartElement) {
	t.Helper()
	for _, a := range e.Attr {
		switch a.Name.Local {
		case "href", "action", "src", "formaction":
			ok := strings.HasPrefix(a.Value, "/") && !strings.HasPrefix(a.Value, "//")
			for _, prefix := range []string{"?stepgate_language=", "https://casino.example/help", "data:image/png;base64,", "otpauth://totp/"} {
				ok = ok || strings.HasPrefix(a.Value, prefix)
			}
			if !ok {
				t.Errorf("%s: %s leads to %q", name, a.Name.Local, a.Value)
			}
		}
	}
}

// copySlices gives the page slices of its own, so that the states stay as they are.
func copySlices(p reflect.Value) {
	for _, field := range p.Fields() {
		if field.Kind() == reflect.Slice && !field.IsNil() {
			own := reflect.MakeSlice(field.Type(), field.Len(), field.Len())
			reflect.Copy(own, field)
			field.Set(own)
		}
	}
}

// restore puts back what is no free text but picks one of several.
func restore(p reflect.Value, was Page) {
	switch was := was.(type) {
	case Challenge:
		p.FieldByName("Factor").SetString(was.Factor)
		p.FieldByName("Others").Set(reflect.ValueOf(was.Others))
	case Settings:
		for i, e := range was.Enrolments {
			p.FieldByName("Enrolments").Index(i).FieldByName("Factor").SetString(e.Factor)
		}
	case TOTPSetup:
		p.FieldByName("URI").SetString("otpauth://totp/" + hostile)
	}
}

// neutral is the page p with harmless texts: the same pieces, to compare with.
func neutral(p reflect.Value, was Page) Page {
	n := reflect.New(p.Type()).Elem()
	n.Set(p)
	copySlices(n)
	var fill func(reflect.Value)
	fill = func(v reflect.Value) {
		switch v.Kind() {
		case reflect.Struct:
			for _, field := range v.Fields() {
				if field.CanSet() {
					fill(field)
				}
			}
		case reflect.Slice:
			for i := range v.Len() {
				fill(v.Index(i))
			}
		case reflect.String:
			if v.String() == hostile {
				v.SetString("x")
			}
		}
	}
	fill(n)
	restore(n, was)
	return n.Interface().(Page)
}

func TestLinksStayOnTheSite(t *testing.T) {
	for in, want := range map[string]string{
		"/wallet?x=1#y": "/wallet?x=1#y", "/": "/",
		"": "/", "wallet": "/", "//evil.example": "/", `/\evil.example`: "/", "https://evil.example": "/",
		"javascript:alert(1)": "/", "/\t/evil.example": "/", "/\n/evil.example": "/", "\t//evil.example": "/",
	} {
		if got := localPath(in); got != want {
			t.Errorf("localPath(%q) = %q, want %q", in, got, want)
		}
	}
}

// A request for "//evil.example/x" is one to this site. A form with that action
// would carry the player's code to the other.
func TestFormsPostToThisSite(t *testing.T) {
	for in, want := range map[string]string{
		"/wallet/withdraw?a=1": "/wallet/withdraw?a=1",
		"//evil.example/x":     "/.//evil.example/x",
		`/\evil.example/x`:     `/./\evil.example/x`,
		"":                     "", "evil": "", "https://evil.example": "", "/\t/evil.example": "",
	} {
		if got := formAction(in); got != want {
			t.Errorf("formAction(%q) = %q, want %q", in, got, want)
		}
	}
}
