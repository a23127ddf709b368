package challengepages

import (
	"fmt"
	"math"
	"strings"
	"testing"
)

func TestContrastIsThatOfWCAG(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want float64
	}{
		{"#000000", "#ffffff", 21}, {"#ffffff", "#ffffff", 1}, {"#777777", "#ffffff", 4.48}, {"#767676", "#ffffff", 4.54},
		{"#ff0000", "#ffffff", 4.00}, {"#0000ff", "#ffffff", 8.59}, {"#ffff00", "#000000", 19.56},
	} {
		a, b := mustColor(t, test.a), mustColor(t, test.b)
		if got := contrast(a, b); math.Abs(got-test.want) > 0.01 || got != contrast(b, a) {
			t.Errorf("contrast(%s, %s) = %.2f, want %.2f", test.a, test.b, got, test.want)
		}
	}
}

func mustColor(t *testing.T, s string) rgb {
	t.Helper()
	c, err := parseColor(s)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// WCAG 1.4.3 and 1.4.11, for 4,096 brands.
func TestEveryBrandColourCanBeReadInLightAndDark(t *testing.T) {
	for r := 0; r < 256; r += 17 {
		for g := 0; g < 256; g += 17 {
			for b := 0; b < 256; b += 17 {
				brand := rgb{float64(r), float64(g), float64(b)}
				p := newPalette(brand)
				check := func(what string, a, b rgb, want float64) {
					if got := contrast(a, b); got < want {
						t.Errorf("brand %s: %s has a contrast of %.2f, want %.1f", brand, what, got, want)
					}
				}
				check("text on the brand", p.on, p.fill, 4.5)
				for _, s := range []struct {
					name       string
					shades     shades
					card, page rgb
				}{{"light", p.light, lightCard, lightPage}, {"dark", p.dark, darkCard, darkPage}} {
					check(s.name+" button", s.shades.on, s.shades.button, 4.5)
					check(s.name+" button against its card", s.shades.button, s.card, 1.3)
					for _, surface := range []rgb{s.card, s.page} {
						check(s.name+" link", s.shades.link, surface, 4.5)
						check(s.name+" border", s.shades.edge, surface, 3)
					}
				}
			}
		}
	}
}

func TestGoodBrandColourStaysAsItIs(t *testing.T) {
	brand := mustColor(t, "#0b6e4f")
	if p := newPalette(brand); p.fill != brand || p.light.link != brand || p.light.edge != brand || p.dark.button != brand {
		t.Errorf("a colour that can be read was changed: %+v", p)
	}
}

// The colours that do not come from the brand, and the surfaces that the
// computation takes for granted.
func TestStylesheetHasTheColoursThatWereComputedFor(t *testing.T) {
	style, err := embedded.ReadFile("templates/style.css")
	if err != nil {
		t.Fatal(err)
	}
	light, dark, found := strings.Cut(string(style), "@media (prefers-color-scheme: dark)")
	if !found {
		t.Fatal("there is no dark scheme")
	}
	for _, s := range []struct {
		name, text string
		page, card rgb
	}{{"light", light, lightPage, lightCard}, {"dark", dark, darkPage, darkCard}} {
		get := func(name string) rgb {
			_, rest, found := strings.Cut(s.text, "--"+name+": ")
			if !found {
				t.Fatalf("%s has no --%s", s.name, name)
			}
			return mustColor(t, rest[:7])
		}
		if get("page") != s.page || get("card") != s.card {
			t.Errorf("%s: surfaces are %s and %s, computed for %s and %s", s.name, get("page"), get("card"), s.page, s.card)
		}
		for _, surface := range []string{"page", "card", "tint"} {
			for name, want := range map[string]float64{"ink": 7, "soft": 4.5, "bad": 4.5, "good": 4.5, "care": 4.5} {
				if got := contrast(get(name), get(surface)); got < want {
					t.Errorf("%s: --%s on --%s has a contrast of %.2f, want %.1f", s.name, name, surface, got, want)
				}
			}
		}
		if got := contrast(get("box"), s.card); got < 3 {
			t.Errorf("%s: the field's border has a contrast of %.2f", s.name, got)
		}
	}
}

func TestBrandColoursReachTheStylesheet(t *testing.T) {
	page := render(t, newRenderer(t, func(b *Brand) { b.Color = "#FFD400" }), English, Outcome{Kind: OutcomeExpired})
	p := newPalette(mustColor(t, "#ffd400"))
	want := fmt.Sprintf("<style>:root{--fill:#ffd400;--on:#000000;--link:%s;--edge:%s;", p.light.link, p.light.edge)
	if !strings.Contains(page, want) {
		t.Errorf("page lacks %s", want)
	}
}
