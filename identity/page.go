package identity

import (
	"bytes"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/PuerkitoBio/goquery"
	"github.com/andybalholm/cascadia"
)

const (
	maxSelectorLength = 256 // bytes
	// unseen is what a browser does not show, or keeps apart from its page.
	unseen = "template, noscript, noembed, noframes, iframe, object"
)

// page says where in a page of the site to find an identity. A place without a
// selector leads nowhere.
type page struct {
	subject, login, email, phone spot
}

// spot is an attribute of one element.
type spot struct {
	name      string // of the field, for errors
	selector  cascadia.Selector
	attribute string
}

func newPage(c UpstreamConfig) (page, error) {
	var p page
	for _, f := range []struct {
		name, text string
		to         *spot
	}{{"subject", c.Subject, &p.subject}, {"login", c.Login, &p.login}, {"email", c.Email, &p.email}, {"phone", c.Phone, &p.phone}} {
		if f.text == "" {
			continue
		}
		var err error
		if *f.to, err = newSpot(f.name, f.text); err != nil {
			return page{}, fmt.Errorf("place of the %s in the site's page is %q: %w", f.name, f.text, err)
		}
	}
	return p, nil
}

func newSpot(name, text string) (spot, error) {
	at := strings.LastIndexByte(text, '@')
	if at < 0 {
		return spot{}, errors.New("want a CSS selector, @ and an attribute, such as #account@data-id")
	}
	selector, attribute := strings.TrimSpace(text[:at]), text[at+1:]
	if len(selector) > maxSelectorLength {
		return spot{}, fmt.Errorf("want a selector of at most %d bytes", maxSelectorLength)
	}
	if attribute == "" || strings.ContainsFunc(attribute, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '_'
	}) {
		return spot{}, errors.New("want the name of an attribute in lower case after the last @, such as data-id")
	}
	if err := checkSelector(selector); err != nil {
		return spot{}, err
	}
	compiled, err := cascadia.Compile(selector)
	if err != nil {
		return spot{}, errors.New("its selector is not CSS: want one such as #account or meta[name=user-id]")
	}
	return spot{name, compiled, attribute}, nil
}

// checkSelector refuses what chooses an element by where it stands or what it says,
// and what chooses one of several: whoever can write to a page could take the place
// of the element that is meant.
func checkSelector(s string) error {
	quote := byte(0)
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\':
			i++
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case c == ':':
			return errors.New("its selector has a pseudo-class, which goes by position or text: name the element by its id, class or attributes")
		case c == ',':
			return errors.New("its selector has alternatives: want one element")
		case c == '+' || c == '~' && (i+1 == len(s) || s[i+1] != '='):
			return errors.New("its selector goes by siblings: name the element by its id, class or attributes")
		case c == '#' && i+1 < len(s) && s[i+1] == '=', c == '!':
			// What the library knows beyond CSS: [a#=b] is a regular expression, [a!=b] the
			// contrary of a value.
			return errors.New("its selector is not CSS: want one such as #account or meta[name=user-id]")
		}
	}
	return nil
}

func (page) accept() string { return "text/html" }

func (p page) read(header http.Header, body []byte) (Identity, error) {
	if err := checkPage(header, body); err != nil {
		return Identity{}, err
	}
	doc, err := goquery.NewDocumentFromReader(bytes.NewReader(body))
	if err != nil {
		return Identity{}, errors.New("its page is not HTML") // the error might quote it
	}
	if err := checkMeta(header, doc); err != nil {
		return Identity{}, err
	}
	var id Identity
	for _, f := range []struct {
		from spot
		to   *string
	}{{p.subject, &id.Subject}, {p.login, &id.Login}, {p.email, &id.Email}, {p.phone, &id.Phone}} {
		if f.from.selector == nil {
			continue
		}
		if *f.to, err = f.from.read(doc); err != nil {
			return Identity{}, fmt.Errorf("the %s in its page %w", f.from.name, err)
		}
	}
	return named(id)
}

// read returns what stands at one spot of a page, "" if the page has no such element
// or attribute. It never takes one of several, and nothing that no browser shows.
func (s spot) read(doc *goquery.Document) (string, error) {
	found := doc.FindMatcher(s.selector)
	switch {
	case found.Length() == 0:
		return "", nil
	case found.Length() > 1:
		return "", errors.New("stands in more than one element that its selector matches")
	case found.Closest(unseen).Length() > 0:
		return "", errors.New("stands in a template, or in what only some browsers show")
	}
	value := found.AttrOr(s.attribute, "")
	return value, checkText(value)
}

// checkPage refuses what a browser might read in another way than as HTML in UTF-8.
func checkPage(header http.Header, body []byte) error {
	kinds := header["Content-Type"]
	if len(kinds) != 1 {
		return errors.New("its answer does not say once what it is: want Content-Type: text/html")
	}
	kind, parameters, err := mime.ParseMediaType(kinds[0])
	switch {
	case err != nil || kind != "text/html":
		return errors.New("its answer is no page: want Content-Type: text/html")
	case parameters["charset"] != "" && !isUTF8(parameters["charset"]):
		return errors.New("its page is in another charset than UTF-8, which is the only one that can be read")
	case !utf8.Valid(body):
		return errors.New("its page is not UTF-8, which is the only charset that can be read")
	}
	return nil
}

// checkMeta refuses a page that names its charset itself, and another than UTF-8. It
// counts only where the header names none.
func checkMeta(header http.Header, doc *goquery.Document) error {
	if _, parameters, err := mime.ParseMediaType(header.Get("Content-Type")); err != nil || parameters["charset"] != "" {
		return err
	}
	var other error
	doc.Find("meta").Each(func(_ int, meta *goquery.Selection) {
		charset, ok := meta.Attr("charset")
		if content, _ := meta.Attr("content"); !ok && strings.EqualFold(strings.TrimSpace(meta.AttrOr("http-equiv", "")), "Content-Type") {
			_, parameters, err := mime.ParseMediaType(content)
			charset, ok = parameters["charset"], err != nil || parameters["charset"] != ""
		}
		if ok && !isUTF8(charset) {
			other = errors.New("its page says that it is in another charset than UTF-8, which is the only one that can be read")
		}
	})
	return other
}

func isUTF8(charset string) bool {
	charset = strings.TrimSpace(charset)
	return strings.EqualFold(charset, "utf-8") || strings.EqualFold(charset, "utf8")
}
