package challengepages

import (
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
)

// fault is a folder with a mistake, and what is said of it.
type fault struct {
	name   string
	folder fstest.MapFS
	want   string
}

func checkFaults(t *testing.T, faults []fault) {
	t.Helper()
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			_, err := New(Brand{Name: strings.Repeat("W", 40), Overrides: f.folder})
			if err == nil || !strings.Contains(err.Error(), f.want) {
				t.Errorf("New gave the error\n%v\nwant one with\n%s", err, f.want)
			}
		})
	}
}

func TestNewSaysWhatIsWrongWithATextOfAFolder(t *testing.T) {
	english := func(lines string) fstest.MapFS { return folder("messages/en.toml", "[messages]\n"+lines+"\n") }
	checkFaults(t, []fault{
		{"not TOML", folder("messages/en.toml", "[messages]\n\"a\" = b\n"), `messages/en.toml:2: expected value but found "b" instead`},
		{"key twice", english("\"do.send\" = \"a\"\n\"do.send\" = \"b\""), "messages/en.toml:3: Key 'messages.\"do.send\"' has already been defined"},
		{"unknown key", english("\n\"do.anser\" = \"Go\""), `messages/en.toml:3: message "do.anser": there is none of that name: did you mean "do.answer"?`},
		{"strange key", english("\"zzzzzzzzzz\" = \"Go\""), `messages/en.toml:2: message "zzzzzzzzzz": there is none of that name: remove it`},
		{"key without quotes", english("do.send = \"Go\""), `message "do": there is none of that name`},
		{"table of none", english("\"do.send\" = { here = \"Go\" }"), `message "do.send": "here" is no plural form: put a key with dots in quotes, and write plural forms as { one = "…", other = "…" }`},
		{"number", english("\"do.send\" = 1"), `messages/en.toml:2: message "do.send": it is neither a text nor a table of plural forms: write "do.send" = "…"`},
		{"empty", english("\"do.send\" = \" \""), `messages/en.toml:2: message "do.send": it is empty: write a text, or remove the line`},
		{"HTML", english("\"do.send\" = \"<b>Send</b>\""), `messages/en.toml:2: message "do.send": it has HTML, at "<b", and messages are plain text: leave it out`},
		{"character reference", english("\"do.send\" = \"A&nbsp;B\""), `it has HTML, at "&nbsp;"`},
		{"two lines", english("\"do.send\" = \"A\\nB\""), `it has a line end or another control character: write one line`},
		{"long", english("\"do.send\" = \"" + strings.Repeat("x", 401) + "\""), `it has 401 characters: at most 400 fit a small screen`},
		{"missing value", english("\"hint.sms\" = \"We sent a code.\""), `messages/en.toml:2: message "hint.sms": it lacks the placeholder {phone}: put it where the value belongs`},
		{"unknown value", english("\"hint.sms\" = \"To {phone} of {name}\""), `message "hint.sms": it has the placeholder {name}, for which there is no value: it takes {phone}`},
		{"value of none", english("\"do.send\" = \"Send {n}\""), `message "do.send": it has the placeholder {n}, and nothing is filled in to it: remove it`},
		{"lone brace", english("\"do.send\" = \"Send {\""), `it has a brace that belongs to no placeholder in "Send {": write them as {name}, in small letters`},
		{"plural of another language", folder("messages/id.toml", "[messages]\n\"problem.wrong_code\" = { one = \"{n}\", other = \"{n}\" }"), `id has no plural form "one": write other`},
		{"plural form missing", english("\"problem.wrong_code\" = { other = \"{n} left\" }"), `message "problem.wrong_code": the plural form "one" is missing: en has one, other`},
		{"large messages", folder("messages/en.toml", strings.Repeat("#", maxMessagesFile+1)), `messages/en.toml: it has more than 131072 bytes: make it smaller`},
		{"SMS in another script", english("\"text.code\" = \"{code} – {brand} {minutes}\""), `messages/en.toml: message "text.code" has "–", which is not in the alphabet of SMS (GSM-7)`},
		{"long SMS", english("\"text.code\" = \"{code} {brand} {minutes}" + strings.Repeat(" x", 80) + "\""), `messages/en.toml: message "text.code" takes 183 characters of an SMS with a long code, and 160 fit: shorten it by 23`},
		{"SMS without room for the longest amount", english("\"text.code.for\" = \"{code} {brand} {what} {minutes}" + strings.Repeat("x", 120) + "\""), `message "text.code.for" takes 168 characters`},
		{"SMS that is long in one plural form", english("\"text.code\" = { one = \"{code} {brand} {minutes}" + strings.Repeat(" x", 80) + "\", other = \"{code} {brand} {minutes}\" }"), `message "text.code" takes 182 characters`},
		{"SMS without room for the payee", english("\"text.code.for.payee\" = \"{code} {brand} {what} {payee} {minutes}" + strings.Repeat("x", 120) + "\""), `message "text.code.for.payee" takes 163 characters`},
	})
}

func TestNewSaysWhatIsWrongWithALanguageOfAFolder(t *testing.T) {
	checkFaults(t, []fault{
		{"unknown table", folder("messages/en.toml", "\n[mesages]\n"), `messages/en.toml:2: there is no "mesages" here, only the tables [language] and [messages]: did you mean "messages"?`},
		{"unknown setting", folder("messages/en.toml", "[language]\nnmae = \"x\"\n"), `messages/en.toml:2: [language] has no "nmae": did you mean "name"?`},
		{"eleven months", folder("messages/en.toml", "[language]\nmonths = [\"Jan\"]\n"), `messages/en.toml:2: months under [language]: there are 1: write the names of all twelve`},
		{"time without minutes", folder("messages/en.toml", "[language]\nclock = \"{hour}\"\n"), `messages/en.toml:2: clock under [language]: it lacks the placeholder {minute}`},
		{"long separator", folder("messages/en.toml", "[language]\nthousands = \"ten\"\n"), `thousands under [language]: "ten" is no separator: write one character, such as a point`},
		{"equal separators", folder("messages/en.toml", "[language]\nthousands = \".\"\n"), `decimal under [language]: it is the same as thousands`},
		{"direction", folder("messages/en.toml", "[language]\ndirection = \"up\"\n"), `direction under [language]: "up" is no direction: write ltr or rtl`},
		{"fallback of a built-in language", folder("messages/en.toml", "[language]\nfallback = \"id\"\n"), `messages/en.toml:2: en is built in, and what is not in this file stays as it is: remove fallback`},
		{"fallback to nothing", folder("messages/th.toml", "[language]\nfallback = \"fr\"\n"), `messages/th.toml:2: there is no built-in language "fr" to fall back to: write id or en`},
		{"fallback without a name", folder("messages/th.toml", "[language]\nfallback = \"en\"\n"), `messages/th.toml:1: [language] lacks name`},
		{"language in parts", folder("messages/th.toml", builtInFile(t, "messages/en.toml", "\"do.send\" = \"Send SMS code\"\n", "")), `messages are missing: write them, or fallback = "en" under [language]: do.send`},
		{"no language", folder("messages/klingonese.toml", ""), `naming messages/klingonese.toml: "klingonese" is no language: write a BCP 47 tag, such as th or zh-Hans`},
		{"language spelt otherwise", folder("messages/zh-hans.toml", "[language]\nname = \"x\"\nfallback = \"en\"\n"), `"zh-hans" is not how the tag of that language is written: write zh-Hans`},
		{"other kind of file", folder("messages/en.yaml", ""), `messages/en.yaml: messages are in files such as messages/th.toml: rename it, or remove it`},
	})
}

func TestNewSaysWhatIsWrongWithATemplateOfAFolder(t *testing.T) {
	challenge := func(old, new string) fstest.MapFS {
		return folder("templates/challenge.html", builtInFile(t, "templates/challenge.html", old, new))
	}
	checkFaults(t, []fault{
		{"unknown file", folder("styles.css", ""), `styles.css: a folder of pages has messages/, templates/ and style.css only: did you mean "style.css"?`},
		{"unknown template", folder("templates/chalenge.html", ""), `templates/chalenge.html: there is no template of that name to override: did you mean "challenge.html"?`},
		{"large template", folder("templates/challenge.html", strings.Repeat(" ", maxTemplateFile+1)), `templates/challenge.html: it has more than 32768 bytes`},
		{"template that does not parse", challenge("{{with .View}}\n", "{{with .View}}\n{{if}}\n"), `templates/challenge.html:3: missing value for if: compare it with the built-in template, which "stepgate pages export" writes`},
		{"template without its name", folder("templates/outcome.html", "<h1>Hello</h1>"), `templates/outcome.html:1: it does not define "outcome": begin the part with {{define "outcome"}}, as the built-in file does`},
		{"template with a name too many", challenge("{{define", `{{define "mine"}}{{end}}{{define`), `templates/challenge.html:1: it defines "mine", which the built-in file does not`},
		{"template that shows what is not there", challenge("\n{{with .Details}}", "\n\n{{.Detials}}\n{{with .Details}}"), `templates/challenge.html:6: <.Detials>: can't evaluate field Detials`},
		{"template with an unknown message", challenge(`{{$.T "do.answer"}}`, `{{$.T "do.anser"}}`), `finding message "do.anser" in "id": there is none`},
		{"template that shows a placeholder", challenge(`{{$.T "do.answer"}}`, `{{$.T "hint.sms"}}`), `message "hint.sms" needs a value for {phone}, and T fills nothing in`},
		{"template that is broken HTML", challenge(`<h1>`, `<h1 title="`), `templates/challenge.html:`},
		{"template that a branch breaks", challenge(`<h1>`, `{{if .Send}}<a href="{{end}}<h1>`), `templates/challenge.html:3: {{if}} branches end in different contexts`},
		{"template without a field", challenge(`<input type="hidden" name="stepgate_factor" value="{{$.View.Factor}}">`, ""), `templates/challenge.html: the page "challenge held totp" lacks a form with the fields stepgate_challenge, stepgate_factor, stepgate_code, stepgate_action, which the gate needs: keep it as in the built-in template`},
		{"template without any code field", challenge(`{{template "code" .}}`, ""), `lacks a form with the fields stepgate_challenge, stepgate_factor, stepgate_code`},
		{"form that begins otherwise", challenge(`<input type="hidden" name="stepgate_challenge" value="{{.ID}}">`, `<input name="tip"><input type="hidden" name="stepgate_challenge" value="{{.ID}}">`),
			`has a form that does not begin with the field stepgate_challenge, by which the gate knows it: put it first`},
		{"style attribute", challenge("<h1>", "<h1 style=\"color:red\">"), `templates/challenge.html:3: it has a style attribute, which the page's policy blocks`},
		{"event handler", challenge("<h1>", "<h1 onclick=\"x()\">"), `templates/challenge.html:3: it has an event handler`},
		{"script", challenge("<h1>", "<script>alert(1)</script><h1>"), `templates/challenge.html:3: it has a script`},
		{"script of another site", challenge("<h1>", "<script src=\"//x.example\"></script><h1>"), `templates/challenge.html:3: it has a script`},
		{"picture", challenge("<h1>", "<img src=\"/logo.png\"><h1>"), `templates/challenge.html:3: it has a picture that is loaded`},
		{"tracker", challenge("<h1>", "<iframe></iframe><h1>"), `templates/challenge.html:3: it has an element that loads or redirects`},
	})
}

func TestNewSaysWhatIsWrongWithAStyleOfAFolder(t *testing.T) {
	checkFaults(t, []fault{
		{"style that ends", folder("style.css", "a {}\n</style><script>"), `style.css:2: it has a "<", which could end the style`},
		{"style that imports", folder("style.css", "@import 'x.css';"), `style.css:1: it has an @import`},
		{"style that loads", folder("style.css", "a { background: url(/x.png) }"), `style.css:1: it has a url() that is loaded`},
		{"large style", folder("style.css", strings.Repeat(" ", maxStyleFile+1)), `style.css: it has more than 8192 bytes`},
	})
}

func TestFolderKeepsTheChallengeSmall(t *testing.T) {
	brand := Brand{Name: "Example", Logo: []byte(strings.Replace(logoSVG, "</svg>", "<!--"+noise(5<<10)+"--></svg>", 1))}
	brand.Overrides = folder("style.css", "h1 { color: red }")
	if _, err := New(brand); err != nil {
		t.Errorf("a small style is refused: %v", err)
	}
	brand.Overrides = folder("style.css", noise(maxStyleFile))
	_, err := New(brand)
	const want = "bytes compressed, and phones on slow networks get at most 10240: shorten style.css, the template or the logo"
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("New gave the error %v, want one with %s", err, want)
	}
}

// noise is text that does not compress well.
func noise(n int) string {
	b := make([]byte, n)
	for i, x := 0, uint32(1); i < n; i++ {
		x = x*1664525 + 1013904223
		b[i] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[x>>26]
	}
	return string(b)
}

func TestFolderThatIsNotThereIsAnError(t *testing.T) {
	_, err := New(Brand{Name: "Example", Overrides: missingFolder{}})
	if err == nil || !strings.Contains(err.Error(), "listing folder") {
		t.Errorf("New gave the error %v", err)
	}
}

func TestEveryFaultOfAFolderIsTold(t *testing.T) {
	_, err := New(Brand{Name: "Example", Overrides: folder(
		"messages/en.toml", "[messages]\n\"do.send\" = \"\"\n\"do.anser\" = \"x\"\n", "messages/x.yaml", "", "style.css", "<",
	)})
	for _, want := range []string{"messages/en.toml:2: ", "messages/en.toml:3: ", "messages/x.yaml: ", "style.css:1: "} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New gave the error %v, which lacks %s", err, want)
		}
	}
}

func TestOfferedLanguageHasToHaveMessages(t *testing.T) {
	_, err := New(Brand{Name: "Example", Languages: []Lang{"th", "fr"}, Overrides: folder("messages/th.toml", thai)})
	const want = `checking languages: there are no messages for "fr": write one of en, id, th, or add messages/fr.toml to the folder of pages`
	if err == nil || err.Error() != want {
		t.Errorf("New gave the error %v, want %s", err, want)
	}
}

type missingFolder struct{}

func (missingFolder) Open(name string) (fs.File, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}
