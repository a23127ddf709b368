package challengepages

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
)

// rgb is a colour of the sRGB space, 0 to 255 each.
type rgb struct{ r, g, b float64 }

var (
	black = rgb{0, 0, 0}
	white = rgb{255, 255, 255}

	// The surfaces of the two schemes. The stylesheet has the same values; a test
	// holds them together.
	lightPage, lightCard = rgb{0xf4, 0xf5, 0xf7}, white
	darkPage, darkCard   = rgb{0x0e, 0x11, 0x16}, rgb{0x17, 0x1b, 0x22}
)

// Contrast ratios of WCAG 2.2: 1.4.3 for text, 1.4.11 for what marks a control.
const (
	textContrast = 4.5
	edgeContrast = 3.0
	// linkContrast is more than 1.4.3 asks for: a grey brand's links would look
	// disabled otherwise.
	linkContrast = 5.5
	// fillContrast is how far the main button has to stand out from its card to
	// look like one. Below it, the brand's colour is as good as the card's, and
	// button and links are black or white.
	fillContrast = 1.3
)

var hexColor = regexp.MustCompile(`^#[0-9a-fA-F]{6}$`)

func parseColor(s string) (rgb, error) {
	if s == "" {
		s = defaultColor
	}
	if !hexColor.MatchString(s) {
		return rgb{}, fmt.Errorf("checking brand colour: %q is not of the form #rrggbb", s)
	}
	n, err := strconv.ParseUint(s[1:], 16, 32)
	if err != nil {
		return rgb{}, fmt.Errorf("checking brand colour: %w", err)
	}
	return rgb{float64(n >> 16), float64(n >> 8 & 0xff), float64(n & 0xff)}, nil
}

// String gives the colour as "#rrggbb".
func (c rgb) String() string {
	return fmt.Sprintf("#%02x%02x%02x", int(c.r), int(c.g), int(c.b))
}

// luminance is WCAG's relative luminance, 0 to 1.
func (c rgb) luminance() float64 {
	linear := func(v float64) float64 {
		v /= 255
		if v <= 0.04045 {
			return v / 12.92
		}
		return math.Pow((v+0.055)/1.055, 2.4)
	}
	return 0.2126*linear(c.r) + 0.7152*linear(c.g) + 0.0722*linear(c.b)
}

// contrast is WCAG's contrast ratio of two colours, 1 to 21.
func contrast(a, b rgb) float64 {
	la, lb := a.luminance(), b.luminance()
	return (max(la, lb) + 0.05) / (min(la, lb) + 0.05)
}

// textOn picks the text colour for a background: white where that can be read,
// else black. One of the two always reaches 4.5:1, because no background is closer
// than 4.58:1 to both.
func textOn(background rgb) rgb {
	if contrast(white, background) >= textContrast {
		return white
	}
	return black
}

// reach moves c towards black or white, away from the surfaces, by the least that
// gives it the wanted contrast with all of them. Its hue stays recognisable.
func reach(c rgb, wanted float64, surfaces ...rgb) rgb {
	towards := black
	if surfaces[0].luminance() < 0.18 {
		towards = white
	}
	const steps = 100
	for i := range steps + 1 {
		t := float64(i) / steps
		mixed := rgb{
			math.Round(c.r + (towards.r-c.r)*t),
			math.Round(c.g + (towards.g-c.g)*t),
			math.Round(c.b + (towards.b-c.b)*t),
		}
		worst := math.Inf(1)
		for _, s := range surfaces {
			worst = min(worst, contrast(mixed, s))
		}
		if worst >= wanted {
			return mixed
		}
	}
	return towards
}

// palette is what the stylesheet takes from a brand's colour.
type palette struct {
	// fill is the brand's colour itself, on is the text on it.
	fill, on    rgb
	light, dark shades
}

// shades are what depends on the scheme.
type shades struct {
	link, edge rgb // of text and focus, of borders
	button, on rgb // of the main button, and of the text on it
}

func newPalette(brand rgb) palette {
	return palette{
		fill:  brand,
		on:    textOn(brand),
		light: newShades(brand, lightCard, lightPage),
		dark:  newShades(brand, darkCard, darkPage),
	}
}

func newShades(brand, card, page rgb) shades {
	s := shades{
		link:   reach(brand, linkContrast, card, page),
		edge:   reach(brand, edgeContrast, card, page),
		button: brand,
	}
	if contrast(brand, card) < fillContrast {
		s.link, s.button = textOn(card), textOn(card)
	}
	s.on = textOn(s.button)
	return s
}

// css gives the palette as the custom properties that style.css uses.
func (p palette) css() string {
	return fmt.Sprintf(":root{--fill:%s;--on:%s;%s}@media(prefers-color-scheme:dark){:root{%s}}",
		p.fill, p.on, p.light.css(), p.dark.css())
}

func (s shades) css() string {
	return fmt.Sprintf("--link:%s;--edge:%s;--go:%s;--go-on:%s", s.link, s.edge, s.button, s.on)
}
