package challengepages

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden pages in testdata anew")

func render(t testing.TB, r *Renderer, l Lang, p Page) string {
	t.Helper()
	page, err := r.Render(l, p)
	if err != nil {
		t.Fatalf("Render(%s, %T): %v", l, p, err)
	}
	return string(page)
}

func TestPagesAreAsTheGoldensSay(t *testing.T) {
	r := newRenderer(t)
	for _, lang := range []Lang{Indonesian, English} {
		for _, s := range states() {
			if !s.golden {
				continue
			}
			t.Run(string(lang)+"/"+s.name, func(t *testing.T) {
				// Style and script have their own tests, and would make each golden
				// change with each of them.
				got := withoutAssets(render(t, r, lang, s.page))
				file := filepath.Join("testdata", s.name+"."+string(lang)+".html")
				if *update {
					if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(string(want), got); diff != "" {
					t.Errorf("page is not as in %s; if it is meant to be, run with -update (-want +got):\n%s", file, diff)
				}
			})
		}
	}
}

var assetElements = regexp.MustCompile(`(?s)<(style|script)>(.*?)</(?:style|script)>`)

func withoutAssets(page string) string {
	return assetElements.ReplaceAllString(page, "<$1></$1>")
}

func TestSamePageGivesTheSameBytes(t *testing.T) {
	a, b := newRenderer(t, withLongBrand), newRenderer(t, withLongBrand)
	for _, s := range states() {
		if render(t, a, English, s.page) != render(t, b, English, s.page) {
			t.Errorf("%s differs from one time to the next", s.name)
		}
	}
	if a.CSP(Settings{}) != b.CSP(Settings{}) {
		t.Error("the policy differs from one time to the next")
	}
}

// elements gives the start tags of a page, and an error where they do not nest.
func elements(page string) ([]xml.StartElement, error) {
	d := xml.NewDecoder(strings.NewReader(withoutAssets(page)))
	d.Strict = false
	var open []string
	var all []xml.StartElement
	for {
		token, err := d.RawToken()
		if errors.Is(err, io.EOF) {
			if len(open) > 0 {
				return nil, errors.New("never closed: " + strings.Join(open, ", "))
			}
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		switch e := token.(type) {
		case xml.StartElement:
			all = append(all, e.Copy())
			if !slices.Contains([]string{"meta", "input", "img", "wbr"}, e.Name.Local) {
				open = append(open, e.Name.Local)
			}
		case xml.EndElement:
			if len(open) == 0 {
				return nil, errors.New("closed without being open: " + e.Name.Local)
			}
			last := open[len(open)-1]
			if last != e.Name.Local {
				return nil, errors.New(e.Name.Local + " closes " + last)
			}
			open = open[:len(open)-1]
		}
	}
}

func attribute(e xml.StartElement, name string) string {
	for _, a := range e.Attr {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

func TestEveryPageIsWellFormedAndNamesItsTaskAndSite(t *testing.T) {
	r := newRenderer(t, withLongBrand)
	for _, lang := range []Lang{Indonesian, English} {
		for _, s := range states() {
			page := render(t, r, lang, s.page)
			all, err := elements(page)
			if err != nil {
				t.Errorf("%s in %s: %v", s.name, lang, err)
			}
			if got := attribute(all[0], "lang"); got != string(lang) {
				t.Errorf("%s: lang is %q, want %q", s.name, got, lang)
			}
			if !strings.Contains(page, " – "+longBrand+"</title>") {
				t.Errorf("%s: the title does not end in the site's name", s.name)
			}
			ids := map[string]bool{}
			for _, e := range all {
				id := attribute(e, "id")
				if id != "" && ids[id] {
					t.Errorf("%s: id %q stands twice", s.name, id)
				}
				ids[id] = true
			}
			for _, e := range all {
				for _, name := range []string{"for", "aria-describedby", "form"} {
					for id := range strings.FieldsSeq(attribute(e, name)) {
						if !ids[id] {
							t.Errorf("%s: %s refers to %q, which is not there", s.name, name, id)
						}
					}
				}
			}
		}
	}
}

// R42, and the promise that nothing but the page's own style and script runs.
func TestPolicyAllowsExactlyThePagesOwnStyleAndScript(t *testing.T) {
	r := newRenderer(t, withLongBrand)
	policy := r.CSP(Settings{})
	if !strings.HasPrefix(policy, "default-src 'none'; ") || strings.Contains(policy, "unsafe") {
		t.Errorf("policy is %q", policy)
	}
	for _, directive := range []string{"img-src data:", "form-action 'self'", "base-uri 'none'", "frame-ancestors 'none'", "object-src 'none'"} {
		if !slices.Contains(strings.Split(policy, "; "), directive) {
			t.Errorf("policy %q lacks %s", policy, directive)
		}
	}
	if releasing := r.CSP(Challenge{}); releasing != strings.Replace(policy, "form-action 'self'", "form-action 'self' https:", 1) {
		t.Errorf("the policy of a challenge is %q", releasing)
	}
	allowed := map[string]bool{}
	for _, hash := range regexp.MustCompile(`'(sha256-[^']+)'`).FindAllStringSubmatch(policy, -1) {
		allowed[hash[1]] = false
	}
	for _, s := range states() {
		page := render(t, r, English, s.page)
		found := assetElements.FindAllStringSubmatch(page, -1)
		if len(found) != 2 {
			t.Fatalf("%s has %d styles and scripts, want one of each", s.name, len(found))
		}
		for _, f := range found {
			sum := sha256.Sum256([]byte(f[2]))
			hash := "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
			if _, ok := allowed[hash]; !ok {
				t.Errorf("%s: the policy does not allow the page's %s", s.name, f[1])
			}
			allowed[hash] = true
		}
		if strings.Contains(page, " style=") || regexp.MustCompile(`\son[a-z]+=`).MatchString(withoutAssets(page)) {
			t.Errorf("%s has an inline style or handler, which the policy forbids", s.name)
		}
	}
	for hash, used := range allowed {
		if !used {
			t.Errorf("the policy allows %s, which no page has", hash)
		}
	}
}

func TestChallengeFitsTenKibibytes(t *testing.T) {
	const limit = 10 << 10
	// Without a logo as it is; with the largest logo there may be, compressed.
	plain := newRenderer(t, func(b *Brand) { b.Name = longBrand })
	logo := newRenderer(t, func(b *Brand) {
		b.Name, b.Logo = longBrand, []byte(strings.Replace(logoSVG, "</svg>", "<!--"+noise(MaxLogo-len(logoSVG)-len("<!---->"))+"--></svg>", 1))
	})
	for _, lang := range []Lang{Indonesian, English} {
		for _, s := range challengeStates() {
			if n := len(render(t, plain, lang, s.page)); n > limit {
				t.Errorf("%s in %s has %d bytes, more than %d", s.name, lang, n, limit)
			}
			var wire bytes.Buffer
			z := gzip.NewWriter(&wire)
			if _, err := io.WriteString(z, render(t, logo, lang, s.page)); err != nil {
				t.Fatal(err)
			}
			if err := z.Close(); err != nil {
				t.Fatal(err)
			}
			if wire.Len() > limit {
				t.Errorf("%s in %s with the largest logo has %d compressed bytes, more than %d", s.name, lang, wire.Len(), limit)
			}
		}
	}
}

func TestRenderRefusesWhatIsNoPage(t *testing.T) {
	r := newRenderer(t)
	for name, p := range map[string]Page{
		"unknown outcome":         Outcome{Kind: "party"},
		"unknown factor":          Challenge{Factor: "telepathy"},
		"unknown way":             Challenge{Factor: "totp", Others: []string{"telepathy"}},
		"unknown problem":         Challenge{Factor: "totp", Problem: "bored"},
		"unknown notice":          Settings{Notice: "party"},
		"set-up URI as a script":  TOTPSetup{URI: "javascript:alert(1)"},
		"pointer instead of page": &Outcome{Kind: OutcomeExpired},
	} {
		if page, err := r.Render(English, p); err == nil || page != nil {
			t.Errorf("%s: Render gave a page of %d bytes and error %v, want an error only", name, len(page), err)
		}
	}
}

func TestUnknownLanguageIsTheBrandsFirst(t *testing.T) {
	r := newRenderer(t, func(b *Brand) { b.Languages = []Lang{English} })
	if page := render(t, r, "xx", Outcome{Kind: OutcomeExpired}); !strings.Contains(page, `<html lang="en">`) {
		t.Error("the page is not in English")
	}
}
