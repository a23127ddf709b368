package webhook

import (
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/stepgate/stepgate/sms"
)

func resolveOne(name string) (string, error) {
	if name != "file./run/secrets/sms" {
		return "", errors.New("no such file")
	}
	return "s3\"{{.to}}", nil
}

func TestATemplateIsWrittenOut(t *testing.T) {
	for _, c := range []struct {
		body           Body
		template, want string
	}{
		{BodyJSON, "\n{\"to\":[{{json .to_digits}}],{{/* a comment */}}\"text\":{{.text | json}}}\n", `{"to":["6281234567890"],"text":"Kode Example Anda: 012345"}`},
		{BodyJSON, `[{{json .to_national}},{{json .code}},{{json .minutes}},{{json .seconds}},{{json .attempt}}]`, `["081234567890","012345",5,300,2]`},
		{BodyJSON, `{"to":{{json .to}},"t":{{if eq .locale "id"}}17{{else}}18{{end}},"v":{{json (printf "%s-%s" .ref .code)}}}`, `{"to":"+6281234567890","t":17,"v":"m-1_a-012345"}`},
		{BodyJSON, `{"to":{{json .to}},"code":{{json .code}},"key":{{secret "file./run/secrets/sms" | json}}}`, `{"to":"+6281234567890","code":"012345","key":"s3\"{{.to}}"}`},
		{BodyJSON, `{"url":"https://a.example/?to={{urlquery .to}}&c={{urlquery .code}}"}`, `{"url":"https://a.example/?to=%2B6281234567890&c=012345"}`},
		{BodyForm, `to={{urlquery .to}}&text={{urlquery .brand ": " .text}}`, `to=%2B6281234567890&text=Example%3A+Kode+Example+Anda%3A+012345`},
	} {
		p, err := parseTemplate(c.template, c.body, resolveOne)
		if err != nil {
			t.Errorf("parsing %s: %v", c.template, err)
			continue
		}
		if got, err := p.render(valuesOf(message)); err != nil || string(got) != c.want {
			t.Errorf("%s gives %s, %v, want %s", c.template, got, err, c.want)
		}
	}
}

func TestATemplateThatCouldBreakIsRefusedAtLoad(t *testing.T) {
	for _, c := range []struct {
		body           Body
		template, want string
	}{
		{BodyJSON, `{"to":{{.to}}}`, "printed by json or urlquery only"},
		{BodyJSON, `{"to":"{{printf "%s" .to}}"}`, "printed by json or urlquery only"},
		{BodyJSON, `{"to":{{json .to | print}}}`, "printed by json or urlquery only"},
		{BodyJSON, "{\n\"to\":{{js .to}}}", "template:2:"},
		{BodyJSON, `{"to":"{{json .to}}"}`, "is no JSON"},
		{BodyJSON, `{"to":{{json .to}},}`, "is no JSON"},
		{BodyJSON, `{"to":{{json .to}}} {}`, "is no JSON"},
		{BodyJSON, `{"to":{{json .to}},"to":1}`, "name twice"},
		{BodyJSON, `{"{{urlquery .text}}":{{json .to}}}`, "change what fields there are"},
		{BodyJSON, `{"to":{{json .to}}{{if eq .text "Kode Example Anda: 123456"}},"a":1{{end}}}`, "change what fields there are"},
		{BodyForm, "to={{json .to}}&text={{urlquery .text}} ", ""},
		{BodyForm, "to={{urlquery .to}}&text={{json .text}}", "is no form"},
		{BodyForm, "to={{urlquery .to}}&\ntext={{urlquery .text}}", "is no form"},
		{BodyForm, "to={{urlquery .to}}&{{urlquery .text}}=1", "change what fields there are"},
		{BodyJSON, `{"to":{{json .phone}}}`, "write one of .attempt, .brand"},
		{BodyJSON, `{"to":{{json .to.digits}}}`, "did you mean .to_digits?"},
		{BodyJSON, `{"to":{{json .txt}}}`, "did you mean .text?"},
		{BodyJSON, `{"to":{{json .}}}`, "values such as .text"},
		{BodyJSON, `{"to":{{json $}}}`, "values such as .text"},
		{BodyJSON, `{"to":{{$x := .to}}{{json $x}}}`, "no variables"},
		{BodyJSON, `{"to":{{with .to}}{{json .}}{{end}}}`, "only values and if"},
		{BodyJSON, `{"to":{{range .to}}1{{end}}}`, "only values and if"},
		{BodyJSON, `{{define "a"}}1{{end}}{"to":{{template "a"}}}`, "parts of its own"},
		{BodyJSON, `{"to":{{json (index .to 1)}}}`, "functions of a template are"},
		{BodyJSON, `{"to":{{json (call .to)}}}`, "functions of a template are"},
		{BodyJSON, `{"to":{{json nil}}}`, "values such as .text"},
		{BodyJSON, `{"to":{{jsn .to}}}`, "jsn"},
		{BodyJSON, `{"to":{{json .to}`, "template:1"},
		{BodyJSON, `{"to":{{json .to}},"a":{{if lt .to 1}}1{{end}}}`, "cannot be written out"},
		{BodyJSON, `{"key":{{secret .to | json}}}`, "one constant"},
		{BodyJSON, `{"key":{{"file./run/secrets/sms" | secret | json}}}`, "one constant"},
		{BodyJSON, `{"key":{{secret "to" | json}}}`, "write .to for"},
		{BodyJSON, `{"key":{{secret "file./etc/other" | json}}}`, "no such file"},
		{BodyJSON, `{"key":{{secret "http.request.host" | json}}}`, "no placeholder"},
		{BodyJSON, ` `, "is no JSON"},
	} {
		_, err := parseTemplate(c.template, c.body, resolveOne)
		if c.want == "" {
			if err != nil {
				t.Errorf("parsing %s: %v", c.template, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("parsing %s: %v, want an error with %q", c.template, err, c.want)
		}
	}
}

// A branch that no sample goes through is checked when it is gone through.
func TestABodyThatComesOutBrokenIsNotSent(t *testing.T) {
	p := &provider{t: t, status: 200}
	s := newSender(t, Config{URL: serve(t, p), Template: `{"to":{{json .to}},"text":{{json .text}}{{if eq .locale "fr"}},"a":"{{json .brand}}"{{end}}}`})
	m := message
	m.Locale = "fr"
	if _, err := s.Send(t.Context(), m); sms.ClassOf(err) != sms.BadRequest || len(p.got) > 0 {
		t.Errorf("Send = %v, and the provider got %v, want bad_request and nothing", err, p.got)
	}
}

func TestATemplateSaysToWhomAndWhat(t *testing.T) {
	for template, want := range map[string]string{`{"text":{{json .text}}}`: "to whom", `{"to":{{json .to}}}`: "what a message is", `{"to":{{json .to_digits}},"code":{{json .code}}}`: ""} {
		_, err := New(Config{URL: "https://api.example.net/", Template: template})
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: New = %v, want %q", template, err, want)
		}
	}
}

// Whatever template passes, and whatever a message says, no word of the message becomes
// the name of a field.
func FuzzTemplate(f *testing.F) {
	for _, template := range []string{
		`{"to":{{json .to}},"text":{{json .text}}}`, `{"a":"{{urlquery .text}}"}`, `{{json .text}}`, `[{{.text | printf "%q" | json}}]`, `{"a":{{if .text}}{{json .text}}{{else}}0{{end}}}`,
		`{"a":{{secret "env.X" | json}}}`, `a={{urlquery .text}}&b=1`, `{{urlquery .text}}`, `{"{{json .text}}`, `{{define "x"}}{{end}}`, `{{json . }}`, `{{`, `{"a":"{{json .text}}"}`,
	} {
		f.Add(template, "plain")
		f.Add(template, `","x":"`)
	}
	f.Fuzz(func(t *testing.T, template, words string) {
		const mark = "mark-7f3a"
		if strings.Contains(template, mark) {
			t.Skip("the mark is the message's")
		}
		m := message
		m.Text = words + `","` + mark + `":"` + words + `&` + mark + `=1`
		for _, body := range []Body{BodyJSON, BodyForm} {
			p, err := parseTemplate(template, body, func(string) (string, error) { return "s", nil })
			if err != nil {
				continue
			}
			out, err := p.render(valuesOf(m))
			if err != nil {
				continue
			}
			if body == BodyForm {
				form, err := url.ParseQuery(string(out))
				if err != nil {
					t.Fatalf("%q gives %q: %v", template, out, err)
				}
				if form.Has(mark) {
					t.Errorf("%q gives %q with a field of the message's", template, out)
				}
				continue
			}
			var tree any
			if err := json.Unmarshal(out, &tree); err != nil {
				t.Fatalf("%q gives %q: %v", template, out, err)
			}
			if strings.Contains(names(tree), mark) {
				t.Errorf("%q gives %q with a field of the message's", template, out)
			}
		}
	})
}

// names returns the names in a value of JSON.
func names(tree any) string {
	all := ""
	switch tree := tree.(type) {
	case map[string]any:
		for name, value := range tree {
			all += name + "\n" + names(value)
		}
	case []any:
		for _, value := range tree {
			all += names(value)
		}
	}
	return all
}

// Whatever stands in a value, taking it apart loses nothing, and no brace is sent that
// was meant as a placeholder.
func FuzzPlaceholders(f *testing.F) {
	for _, s := range []string{"{to}", "a{to.digits}b{text}", "{", "}", "{}", "{{to}}", "{to", "to}", "{file.}", "{env.X}{file./a/{b}}", "\\{to}", "é{ref}\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		parsed, err := parseText(s, func(name string) (string, error) { return "[" + name + "]", nil })
		if err != nil {
			if !strings.ContainsAny(s, "{}") {
				t.Errorf("%q without a brace: %v", s, err)
			}
			return
		}
		marked := values{}
		for name := range placeholders {
			marked[name] = "[" + name + "]"
		}
		got := parsed.as(marked)
		if want := strings.NewReplacer("{", "[", "}", "]").Replace(s); got != want {
			t.Errorf("%q comes out as %q, want %q", s, got, want)
		}
	})
}

func FuzzCondition(f *testing.F) {
	for _, line := range []string{"status 200-299", "json a.0.b == 0", "json a in b c", "body contains x", "json a contains", "status 2", "json", "", "json a..b != c"} {
		f.Add(line)
	}
	a := readAnswer(200, strings.NewReader(`{"a":[{"b":0}]}`), true)
	f.Fuzz(func(t *testing.T, line string) {
		c, err := ParseCondition(strings.Fields(line))
		if err != nil {
			return
		}
		p, err := c.parse()
		if err != nil {
			t.Fatalf("%q is read, and then refused: %v", line, err)
		}
		_ = p.holds(a)
	})
}
