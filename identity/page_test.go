package identity

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

var htmlUTF8 = http.Header{"Content-Type": {"text/html; charset=utf-8"}}

// newTestPage returns the places of a page with one for the subject, and one for the
// phone if that is not empty.
func newTestPage(t testing.TB, subject, phone string) page {
	t.Helper()
	p, err := newPage(UpstreamConfig{Subject: subject, Phone: phone})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestUpstreamReadsTheIdentityFromAPage(t *testing.T) {
	const body = `<!DOCTYPE html><html><head><meta charset="UTF-8"><meta name="player-id" content="u-17"></head>
		<body class="page"><header><a class="login me" data-login="budi &amp; sons" href="/account">Budi</a></header>
		<form><input name=email value="budi@example.com"><input name="phone" value="0812-3456-7890"></form></body></html>`
	u := newTestUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header["Accept"]; !slices.Equal(got, []string{"text/html"}) {
			t.Errorf("asked for %q", got)
		}
		w.Header()["Content-Type"] = []string{"text/html"}
		write(200, body)(w, r)
	}, func(c *UpstreamConfig) {
		c.Format = HTML
		c.Subject, c.Login = `meta[name="player-id"]@content`, "header > a.login@data-login"
		c.Email, c.Phone = "form input[name=email]@value", "input[name='phone']@value"
	})
	got, err := u.Identify(t.Context(), request(), cookie("abc"))
	want := Identity{Subject: "u-17", Login: "budi & sons", Email: "budi@example.com", Phone: "0812-3456-7890"}
	if err != nil || got != want {
		t.Errorf("Identify = %q, %q, %q, %q, %v", got.Subject, got.Login, got.Email, got.Phone, err)
	}
}

// Whoever holds a stolen session can write to the victim's page: a biography, a chat.
// If the site lets markup of theirs through, it must not say whose page it is.
func TestAttackMarkupOfAPlayerNeverBecomesTheSubject(t *testing.T) {
	const real = `<p id="me" data-id="victim"></p>`
	const fake = `<p id="me" data-id="thief"></p>`
	p := newTestPage(t, "#me@data-id", "")
	for name, body := range map[string]string{
		"after it":                           real + fake,
		"before it":                          fake + real,
		"inside it":                          `<p id="me" data-id="victim"><i id="me" data-id="thief"></i></p>`,
		"another element with its id":        real + `<b id=me></b>`,
		"the same value":                     real + real,
		"in a template before it":            `<template>` + fake + `</template>` + real,
		"in a template after it":             real + `<template><div>` + fake + `</div></template>`,
		"a template that swallows it":        fake + `<template>` + real,
		"swallowed by a template":            `<template>` + real,
		"in a table, from where it is moved": `<table>` + fake + `<tr><td>` + real + `</table>`,
		"in a drawing":                       `<svg><g id="me" data-id="thief"></g></svg>` + real,
		"in a fallback":                      real + `<object>` + fake + `</object>`,
		"only in a fallback":                 `<object>` + fake + `</object>`,
	} {
		if id, err := p.read(htmlUTF8, []byte(body)); err == nil || err == errNoSubject || id != (Identity{}) || strings.Contains(err.Error(), "thief") {
			t.Errorf("%s: read = %q, %v, want an error", name, id.Subject, err)
		}
	}
	// What a browser takes for text is no element.
	for name, text := range map[string]string{
		"escaped": `&lt;p id="me" data-id="thief"&gt;`, "a comment": `<!--` + fake + `-->`, "a script": `<script>` + fake + `</script>`,
		"a style": `<style>` + fake + `</style>`, "a text area": `<textarea>` + fake + `</textarea>`, "a title": `<title>` + fake + `</title>`,
		"noscript": `<noscript>` + fake + `</noscript>`, "a frame": `<iframe>` + fake + `</iframe>`, "an attribute": `<i title='` + fake + `'></i>`,
		"a comment in a comment": `<!-- <!-- ` + fake + ` --!>`, "CDATA": `<![CDATA[` + `<p id="me" data-id="thief"` + `]]>`,
		"the end of the page": `</p id="me" data-id="thief">`,
	} {
		for _, body := range []string{text + real, real + text} {
			if id, err := p.read(htmlUTF8, []byte(body)); err != nil || id.Subject != "victim" {
				t.Errorf("%s: read(%q) = %q, %v, want the victim", name, body, id.Subject, err)
			}
		}
	}
}

func TestAPageWithoutASubjectNamesNobody(t *testing.T) {
	p := newTestPage(t, "#me@data-id", "#me@data-phone")
	for _, body := range []string{
		``, `<p>Welcome</p>`, `<p id="me">`, `<p id=me data-id="">`, `<p id=me data-id=" ">`, `<p id=me data-id=0>`, `<p id=ME data-id=1>`, `<p class=me data-id=1>`,
		`{"id":1}`, `<p id="me" data-id="1"`,
	} {
		if id, err := p.read(htmlUTF8, []byte(body)); err != errNoSubject || id != (Identity{}) {
			t.Errorf("read(%q) = %q, %v, want errNoSubject", body, id.Subject, err)
		}
	}
}

func TestAPageThatCanBeReadInTwoWaysIsAnError(t *testing.T) {
	const good = `<p id="me" data-id="1" data-phone="2"></p>`
	p := newTestPage(t, "#me@data-id", ".phone@data-phone")
	for name, answer := range map[string]struct {
		contentType []string
		body        string
	}{
		"no content type":             {nil, good},
		"two content types":           {[]string{"text/html", "text/html"}, good},
		"JSON":                        {[]string{"application/json"}, good},
		"text":                        {[]string{"text/plain; charset=utf-8"}, good},
		"XHTML":                       {[]string{"application/xhtml+xml"}, good},
		"another charset":             {[]string{"text/html; charset=iso-8859-1"}, good},
		"UTF-7":                       {[]string{"text/html; charset=utf-7"}, good},
		"UTF-16":                      {[]string{"text/html; charset=utf-16"}, good},
		"charset twice":               {[]string{"text/html; charset=utf-8; charset=utf-16"}, good},
		"another charset in the page": {[]string{"text/html"}, `<meta charset="windows-1252">` + good},
		"another charset in the page, the old way": {[]string{"text/html"}, `<meta http-equiv=content-type content="text/html; charset=gbk">` + good},
		"bytes that are not UTF-8":                 {[]string{"text/html"}, good + "\xff"},
		"a phone twice":                            {htmlUTF8["Content-Type"], good + `<i class=phone data-phone=1></i><i class=phone data-phone=2></i>`},
		"a control character":                      {htmlUTF8["Content-Type"], `<p id="me" data-id="1&#10;2">`},
		"NUL":                                      {htmlUTF8["Content-Type"], "<p id=\"me\" data-id=\"1\x002\">"},
		"half a surrogate pair":                    {htmlUTF8["Content-Type"], `<p id="me" data-id="&#xD800;">`},
		"too long a subject":                       {htmlUTF8["Content-Type"], `<p id="me" data-id="` + strings.Repeat("4", maxFieldLength+1) + `">`},
		"nested without end":                       {htmlUTF8["Content-Type"], strings.Repeat("<div>", maxAnswer/5)},
	} {
		if id, err := p.read(http.Header{"Content-Type": answer.contentType}, []byte(answer.body)); err == nil || err == errNoSubject || id != (Identity{}) {
			t.Errorf("%s: read = %q, %v, want an error", name, id.Subject, err)
		}
	}
	for _, contentType := range []string{"text/html", "TEXT/HTML;charset=UTF-8", `text/html; charset="utf-8"`} {
		if id, err := p.read(http.Header{"Content-Type": {contentType}}, []byte(`<meta charset=utf-8>`+good)); err != nil || id.Subject != "1" {
			t.Errorf("read of %s = %q, %v, want 1", contentType, id.Subject, err)
		}
	}
}

// As browsers do; some scrapers take the last.
func TestTheFirstOfTwoEqualAttributesCounts(t *testing.T) {
	p := newTestPage(t, "#me@data-id", "")
	for _, body := range []string{`<p id="me" data-id="1" data-id="2">`, `<p id="me" data-id="1" DATA-ID="2">`, `<p id=me id=you data-id=1>`} {
		if id, err := p.read(htmlUTF8, []byte(body)); err != nil || id.Subject != "1" {
			t.Errorf("read(%s) = %q, %v, want 1", body, id.Subject, err)
		}
	}
}

func TestASelectorNamesOneElementByWhatItIs(t *testing.T) {
	for _, good := range []string{
		"#me@id", "meta[name=user-id]@content", `meta[name="user:id, +~@x"]@content`, "body.page > header .me@data-id", "a[href^='/users/']@href",
		`#a\:b@data-id`, "[data-user-id]@data-user-id", "a[class~=me]@href", "html@lang",
	} {
		if _, err := newSpot("subject", good); err != nil {
			t.Errorf("newSpot(%q) = %v", good, err)
		}
	}
	for _, bad := range []string{
		"", "@", "#me", "#me@", "@id", "#me@data id", "#me@DATA-ID", "#me@onclick()", "#me@x:href", "li:first-child@id", "li:nth-of-type(2)@id", "p:contains(x)@id",
		"p:matches(.*)@id", "a:not(.x)@href", "p::before@id", "#a, #b@id", "#a + b@id", "#a ~ b@id", "[id#=m.*]@id", "[id!=x]@id", "#@id", "[@id", "p >@id", "p}@id",
		strings.Repeat("p ", maxSelectorLength) + "@id",
	} {
		if s, err := newSpot("subject", bad); err == nil {
			t.Errorf("newSpot(%q) = %v, want an error", bad, s)
		}
	}
}

// FuzzPage feeds what a site may answer, with markup that players have got into it.
// Whatever a player appends to a page that names somebody, it never names another.
func FuzzPage(f *testing.F) {
	for _, s := range []string{
		`<p id="me" data-id="42">`, `<body id=me data-id=42>`, `<template><p id=me data-id=42></template>`, `<p id=me data-id=42><!--`, `<p id=me data-id=42><textarea>`,
		`<table><tr id=me data-id=42><td>`, `<select><option id=me data-id=42>`, `<svg><p id=me data-id=42>`, `<p id=me data-id=42 data-id=43>`, `<html id=me data-id=1><html data-id=2>`,
		`<frameset id=me data-id=42>`, `<noscript id=me data-id=42>`, `<p id=me data-id=42><math><annotation-xml encoding=text/html>`, "<p id=me data-id='\xff'>", `<plaintext id=me data-id=42>`,
	} {
		f.Add([]byte(s))
	}
	p := newTestPage(f, "#me@data-id", "p@data-phone")
	f.Fuzz(func(t *testing.T, body []byte) {
		id, err := p.read(htmlUTF8, body)
		if err != nil {
			if id != (Identity{}) {
				t.Fatalf("read(%q) gives an identity with %v", body, err)
			}
			return
		}
		if checkText(id.Subject) != nil || checkText(id.Phone) != nil || strings.TrimSpace(id.Subject) == "" {
			t.Fatalf("read(%q) gives %q, %q", body, id.Subject, id.Phone)
		}
		for _, fake := range []string{`<p id="me" data-id="thief">`, `<body id="me" data-id="thief">`, `--></template></svg><p id="me" data-id="thief">`} {
			if after, err := p.read(htmlUTF8, slices.Concat(body, []byte(fake))); err == nil && after.Subject != id.Subject || err == errNoSubject {
				t.Fatalf("read(%q) gives %q, with %s after it %q, %v", body, id.Subject, fake, after.Subject, err)
			}
		}
	})
}
