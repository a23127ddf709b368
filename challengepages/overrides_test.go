package challengepages

import (
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// folder makes a folder of overrides from names and texts by turns.
func folder(namesAndTexts ...string) fstest.MapFS {
	f := fstest.MapFS{}
	for i := 0; i < len(namesAndTexts); i += 2 {
		f[namesAndTexts[i]] = &fstest.MapFile{Data: []byte(namesAndTexts[i+1])}
	}
	return f
}

func withFolder(f fstest.MapFS) func(*Brand) { return func(b *Brand) { b.Overrides = f } }

// builtInFile gives the text of a file that an operator may start from, with one
// piece of it changed.
func builtInFile(t testing.TB, name, old, new string) string {
	t.Helper()
	files, err := BuiltIn()
	if err != nil {
		t.Fatal(err)
	}
	text := string(files[name])
	if !strings.Contains(text, old) {
		t.Fatalf("%s has no %q", name, old)
	}
	return strings.Replace(text, old, new, 1)
}

const thai = `
[language]
name = "ไทย"
fallback = "en"
months = ["มกราคม", "กุมภาพันธ์", "มีนาคม", "เมษายน", "พฤษภาคม", "มิถุนายน", "กรกฎาคม", "สิงหาคม", "กันยายน", "ตุลาคม", "พฤศจิกายน", "ธันวาคม"]

[messages]
"rule.withdrawal" = "ยืนยันการถอนเงิน"
"problem.wrong_code" = "รหัสไม่ถูกต้อง เหลืออีก {n} ครั้ง"
`

func TestFolderAddsALanguageThatEveryPageIsIn(t *testing.T) {
	r := newRenderer(t, withFolder(folder("messages/th.toml", thai)))
	for _, s := range states() {
		page := render(t, r, "th", s.page)
		if !strings.Contains(page, `<html lang="th">`) {
			t.Errorf("%s is not in Thai", s.name)
		}
	}
	page := render(t, r, "th", stateNamed(t, "challenge-sms-wrong"))
	for _, want := range []string{"<h1>ยืนยันการถอนเงิน</h1>", "รหัสไม่ถูกต้อง เหลืออีก 4 ครั้ง", "Rp2,500,000", "We sent a 6-digit code"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if got := r.Negotiate("th-TH,th;q=0.9,en;q=0.8"); got != "th" {
		t.Errorf("a Thai browser gets %s", got)
	}
	if got := r.SMSText("th", SMSText{Code: "123456", Minutes: 5}); !strings.HasPrefix(got, "123456 is your Example code.") {
		t.Errorf("SMS is %q", got)
	}
	page = render(t, r, "th", stateNamed(t, "settings-totp"))
	if !strings.Contains(page, "17\u00a0สิงหาคม\u00a02025") {
		t.Error("the months are not Thai")
	}
}

func TestLanguageNeedsNoFallbackWhereItIsWhole(t *testing.T) {
	text := builtInFile(t, "messages/en.toml", `name = "English"`, "name = \"العربية\"\ndirection = \"rtl\"")
	text = strings.ReplaceAll(text, `{ one = "Wrong code. {n} try left.", other = "Wrong code. {n} tries left." }`,
		`{ zero = "0: {n}", one = "1", two = "2", few = "few: {n}", many = "many: {n}", other = "other: {n}" }`)
	text = strings.ReplaceAll(text, `{ one = "Wrong key. {n} try left.", other = "Wrong key. {n} tries left." }`, `"Wrong key: {n}"`)
	text = strings.ReplaceAll(text, `{ one = "Trust this browser for {days} day", other = "Trust this browser for {days} days" }`, `"Trust: {days}"`)
	r := newRenderer(t, withFolder(folder("messages/ar.toml", text)), func(b *Brand) { b.Languages = []Lang{"ar"} })
	for left, want := range map[int]string{2: "2", 3: "few: 3", 11: "many: 11", 100: "other: 100"} {
		c := withdrawal()
		c.Problem, c.AttemptsLeft = ProblemWrongCode, left
		page := render(t, r, "ar", c)
		if !strings.Contains(page, `role="alert">`+want+"</p>") || !strings.Contains(page, `<html lang="ar" dir="rtl">`) {
			t.Errorf("with %d tries the page does not say %q from right to left", left, want)
		}
	}
}

func TestEveryOtherLanguageIsOffered(t *testing.T) {
	f := folder("messages/th.toml", thai, "messages/zh-Hans.toml", "[language]\nname = \"简体中文\"\nfallback = \"en\"\n"+
		"date = \"{year}年{month}{day}日\"\n")
	r := newRenderer(t, withFolder(f))
	if want := []Lang{"id", "en", "th", "zh-Hans"}; !slices.Equal(r.languages, want) {
		t.Fatalf("languages are %v, want %v", r.languages, want)
	}
	page := render(t, r, "th", withdrawal())
	for _, want := range []string{
		`<button name="stepgate_language" value="id" lang="id">Bahasa Indonesia</button>`,
		`<button name="stepgate_language" value="en" lang="en">English</button>`,
		`<button name="stepgate_language" value="zh-Hans" lang="zh-Hans">简体中文</button>`,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the challenge lacks %s", want)
		}
	}
	if strings.Contains(page, `value="th"`) {
		t.Error("the challenge offers the language that it is in")
	}
	page = render(t, r, "en", stateNamed(t, "settings-totp"))
	for _, want := range []string{`?stepgate_language=id"`, `?stepgate_language=th"`, `?stepgate_language=zh-Hans"`} {
		if !strings.Contains(page, want) {
			t.Errorf("the settings lack %s", want)
		}
	}
}

func TestFolderOverridesOneTextOneTemplateAndTheStyle(t *testing.T) {
	f := folder(
		"messages/en.toml", "[messages]\n\"do.answer\" = \"Yes, go on\"\n\"rule.tip\" = \"Confirm your tip\"\n\"own.hello\" = \"Hello & welcome\"\n",
		"messages/id.toml", "[messages]\n\"own.hello\" = \"Halo\"\n",
		"templates/outcome.html", builtInFile(t, "templates/outcome.html", "<h1>", `<p class="mine">{{$.T "own.hello"}}</p><h1>`),
		"style.css", ".mine { color: red }\n", ".git/x", "ignored", "builtin.css", "not read",
	)
	r := newRenderer(t, withFolder(f))
	c := withdrawal()
	c.Rule = "tip"
	page := render(t, r, English, c)
	for _, want := range []string{">Yes, go on</button>", "<h1>Confirm your tip</h1>", "We sent a 6-digit code", ".mine { color: red }\n</style>"} {
		if !strings.Contains(page, want) {
			t.Errorf("the challenge lacks %q", want)
		}
	}
	if page := render(t, r, Indonesian, c); !strings.Contains(page, ">Konfirmasi</button>") || !strings.Contains(page, "<h1>Konfirmasi bahwa ini Anda</h1>") {
		t.Error("the Indonesian page has other words than before")
	}
	if page := render(t, r, English, Outcome{Kind: OutcomeExpired}); !strings.Contains(page, `<p class="mine">Hello &amp; welcome</p><h1>`) {
		t.Error("the template is not overridden")
	}
}

// The policy allows a style by its hash: of the style that the page really has.
func TestPolicyAllowsTheOperatorsStyle(t *testing.T) {
	plain, styled := newRenderer(t), newRenderer(t, withFolder(folder("style.css", "h1 { color: red }")))
	if plain.CSP(Settings{}) == styled.CSP(Settings{}) {
		t.Error("the policy is the same with another style")
	}
	page := render(t, styled, English, Settings{})
	for _, m := range assetElements.FindAllStringSubmatch(page, -1) {
		if !strings.Contains(styled.CSP(Settings{}), sourceHash(m[2])) {
			t.Errorf("the policy does not allow the page's %s", m[1])
		}
	}
}

// What an operator is given to start from changes nothing while it is unchanged.
func TestExportedFilesGiveTheSamePages(t *testing.T) {
	files, err := BuiltIn()
	if err != nil {
		t.Fatal(err)
	}
	f := fstest.MapFS{}
	for name, text := range files {
		f[name] = &fstest.MapFile{Data: text}
	}
	plain, exported := newRenderer(t), newRenderer(t, withFolder(f))
	for _, s := range states() {
		for _, l := range []Lang{Indonesian, English} {
			if render(t, plain, l, s.page) != render(t, exported, l, s.page) {
				t.Errorf("%s in %s is another page", s.name, l)
			}
		}
	}
}

// An operator's files decide what stands around a value, never what it can do.
func TestHostileOverrideCannotBreakTheEscapingOfValues(t *testing.T) {
	f := folder(
		"messages/en.toml", "[messages]\n\"hint.sms\" = \"\\\"'> {phone} \\\" onmouseover=\\\"{phone}\"\n",
		"templates/challenge.html", builtInFile(t, "templates/challenge.html", `<p class="lead">`,
			`{{with .Details}}<a title={{(index . 0).Value}} href="{{(index . 0).Value}}">{{(index . 0).Value}}</a>{{end}}<p class="lead">`),
	)
	r := newRenderer(t, withFolder(f))
	c := withdrawal()
	c.Phone = `<img src=x onerror=alert(1)>`
	c.Details = []Detail{{"to", `javascript:alert(1)" onload="x <script>`}}
	page := withoutAssets(render(t, r, English, c))
	for _, bad := range []string{"<img", `<script>`, `" onload`, `href="javascript:`, `" onmouseover="`} {
		if i := strings.Index(page, bad); i >= 0 && !strings.HasPrefix(page[i:], "<script></script>") {
			t.Errorf("the page has %s: %s", bad, page[i:min(len(page), i+80)])
		}
	}
	if !strings.Contains(page, "<bdi>&lt;img") {
		t.Error("the number is not isolated")
	}
}

// Sentences are parsed when they are loaded, and not for each page.
func BenchmarkRenderChallenge(b *testing.B) {
	r := newRenderer(b, withFolder(folder("messages/th.toml", thai)))
	for b.Loop() {
		if _, err := r.Render("th", withdrawal()); err != nil {
			b.Fatal(err)
		}
	}
}
