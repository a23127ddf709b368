package challengepages

import (
	"bytes"
	"image"
	"image/png"
	"strings"
	"testing"
)

func TestNewSaysWhatIsWrongWithABrand(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*Brand)
		want   string
	}{
		{"no name", func(b *Brand) { b.Name = " " }, "checking brand name: it is empty"},
		{"long name", func(b *Brand) { b.Name = strings.Repeat("é", MaxBrandName+1) }, "checking brand name: it has 41 characters; at most 40"},
		{"turned name", func(b *Brand) { b.Name = "Exam\u202eple" }, "checking brand name: it has control"},
		{"name with a line end", func(b *Brand) { b.Name = "Example\nX" }, "checking brand name: it has control"},
		{"name with spaces around", func(b *Brand) { b.Name = " Example" }, "spaces at its ends"},
		{"named colour", func(b *Brand) { b.Color = "red" }, `"red" is not of the form #rrggbb`},
		{"short colour", func(b *Brand) { b.Color = "#fff" }, `"#fff" is not of the form #rrggbb`},
		{"colour as a style", func(b *Brand) { b.Color = "#000000;}*{display:none" }, "is not of the form #rrggbb"},
		{"unknown language", func(b *Brand) { b.Languages = []Lang{"id", "fr"} }, `checking languages: there are no messages for "fr": write one of en, id, or add messages/fr.toml`},
		{"language twice", func(b *Brand) { b.Languages = []Lang{"id", "id"} }, `"id" is named twice`},
		{"currency", func(b *Brand) { b.Currency = "Rupiah" }, `"Rupiah" is not an ISO 4217 code`},
		{"small currency", func(b *Brand) { b.Currency = "idr" }, `"idr" is not an ISO 4217 code`},
		{"large logo", func(b *Brand) { b.Logo = make([]byte, MaxLogo+1) }, "checking logo: it has 6145 bytes; at most 6144"},
		{"logo of another kind", func(b *Brand) { b.Logo = []byte("GIF89a") }, "checking logo: reading SVG"},
		{"logo as a page", func(b *Brand) { b.Logo = []byte("<html></html>") }, "its first element is not <svg"},
		{"logo without a namespace", func(b *Brand) { b.Logo = []byte("<svg/>") }, "its first element is not <svg"},
		{"broken SVG", func(b *Brand) { b.Logo = []byte(`<svg xmlns="http://www.w3.org/2000/svg"><g>`) }, "checking logo: reading SVG"},
		{"broken PNG", func(b *Brand) { b.Logo = []byte("\x89PNG\r\n\x1a\nx") }, "checking logo: reading PNG"},
		{"SVG called a PNG", func(b *Brand) { b.Logo, b.LogoType = []byte(logoSVG), "image/png" }, "checking logo: reading PNG"},
		{"JPEG", func(b *Brand) { b.Logo, b.LogoType = []byte(logoSVG), "image/jpeg" }, `type "image/jpeg" is neither`},
		{"support script", func(b *Brand) { b.SupportURL = "javascript:alert(1)" }, "checking support URL: it must be an https"},
		{"support path", func(b *Brand) { b.SupportURL = "/help" }, "checking support URL: it must be an https"},
		{"support without host", func(b *Brand) { b.SupportURL = "https:///help" }, "it has no host"},
		{"support without number", func(b *Brand) { b.SupportURL = "tel:" }, "it has no address"},
	} {
		b := Brand{Name: "Example"}
		test.change(&b)
		if r, err := New(b); err == nil || r != nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: New gave the error %v, want one with %q", test.name, err, test.want)
		}
	}
}

func TestBrandNeedsOnlyAName(t *testing.T) {
	r, err := New(Brand{Name: "Élan"})
	if err != nil {
		t.Fatal(err)
	}
	page := render(t, r, r.Negotiate(""), withdrawal())
	for _, want := range []string{`<html lang="id">`, `<span class="mark" aria-hidden="true">É</span>`, "Rp2.500.000", "07.10\u00a0UTC", "--fill:" + defaultColor} {
		if !strings.Contains(page, want) {
			t.Errorf("page lacks %s", want)
		}
	}
	if strings.Contains(page, "target=") {
		t.Error("page has a support link, and there is no support URL")
	}
}

func TestLogoAndSupportAreOnThePage(t *testing.T) {
	var logo bytes.Buffer
	if err := png.Encode(&logo, image.NewGray(image.Rect(0, 0, 4, 4))); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		logo    []byte
		support string
		want    string
	}{
		{logo.Bytes(), "tel:+622112345", `src="data:image/png;base64,iVBOR`},
		{[]byte(logoSVG), "mailto:help@casino.example", `src="data:image/svg&#43;xml;base64,PHN2`},
	} {
		r := newRenderer(t, func(b *Brand) { b.Logo, b.SupportURL = test.logo, test.support })
		page := render(t, r, English, Outcome{Kind: OutcomeExpired})
		for _, want := range []string{test.want, strings.ReplaceAll(`href="`+test.support+`"`, "+", "&#43;")} {
			if !strings.Contains(page, want) {
				t.Errorf("page lacks %s", want)
			}
		}
	}
}
