package challengepages

import (
	"bytes"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"html/template"
	"image/png"
	"io"
	"io/fs"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/text/currency"
)

// Limits of a brand. They are what keeps a page within its ten kibibytes and on
// a screen of 320 pixels.
const (
	// MaxBrandName is the longest Brand.Name, in characters.
	MaxBrandName = 40
	// MaxLogo is the largest Brand.Logo, in bytes. It travels in every page.
	MaxLogo = 6 << 10

	defaultColor    = "#3b5b7e"
	defaultCurrency = "IDR"
)

// Brand says whose pages these are.
type Brand struct {
	// Name is the site's name as players know it, 1 to [MaxBrandName] characters.
	// It stands on every page and in every SMS.
	Name string
	// Color is the brand's colour, "#rrggbb". Default: a calm blue grey. Text on it,
	// and the links, borders and focus rings taken from it, are computed for
	// contrast, so every colour is safe to use.
	Color string
	// Logo is a picture of at most [MaxLogo] bytes, or nil for the name's first
	// letter on the brand's colour. It is shown on white, in the dark too.
	Logo []byte
	// LogoType is "image/svg+xml" or "image/png"; empty means to find out.
	LogoType string
	// SupportURL is where players get help: https, http, mailto or tel. Empty
	// leaves the link out.
	SupportURL string
	// Languages are those offered, default "id", "en" and those that Overrides adds.
	// The first is the one for players whose browser asks for none of them.
	Languages []Lang
	// Overrides is a folder with messages, templates and style of the operator's own,
	// nil for none; the package comment says what may be in it. New reads all of it,
	// and tries it on every page.
	Overrides fs.FS
	// Currency is the ISO 4217 code of plain amounts, default "IDR".
	Currency string
	// OriginLine says in which countries a code SMS may bind its code to the site.
	// Nil means everywhere but Indonesia.
	OriginLine OriginLine
	// Location is the zone in which times are told. Nil tells them in UTC, and
	// says so.
	Location *time.Location
}

// brandView is what the templates show of a [Brand].
type brandView struct {
	Name string
	// Initial stands in for a logo.
	Initial string
	// Logo is a data: URL, or empty.
	Logo template.URL
	// Support is a checked URL, or empty.
	Support template.URL
}

func newBrandView(b Brand) (brandView, error) {
	if err := checkName(b.Name); err != nil {
		return brandView{}, err
	}
	logo, err := logoURL(b.Logo, b.LogoType)
	if err != nil {
		return brandView{}, err
	}
	support, err := supportURL(b.SupportURL)
	if err != nil {
		return brandView{}, err
	}
	first, _ := utf8.DecodeRuneInString(b.Name)
	return brandView{
		Name:    b.Name,
		Initial: strings.ToUpper(string(first)),
		Logo:    logo,
		Support: support,
	}, nil
}

func checkName(name string) error {
	switch {
	case strings.TrimSpace(name) == "":
		return errors.New("checking brand name: it is empty; give the site's name as players know it")
	case utf8.RuneCountInString(name) > MaxBrandName:
		return fmt.Errorf("checking brand name: it has %d characters; at most %d fit a small screen",
			utf8.RuneCountInString(name), MaxBrandName)
	case visible(name) != name || strings.TrimSpace(name) != name:
		return errors.New("checking brand name: it has control, invisible or direction-changing characters, or spaces at its ends")
	}
	return nil
}

// logoURL turns a logo into a data: URL. An SVG is shown through <img>, where
// browsers run no script in it and load nothing for it, so it is checked for its
// form only.
func logoURL(logo []byte, mediaType string) (template.URL, error) {
	if len(logo) == 0 {
		return "", nil
	}
	if len(logo) > MaxLogo {
		return "", fmt.Errorf("checking logo: it has %d bytes; at most %d, because it travels in every page: simplify the SVG or shrink the PNG",
			len(logo), MaxLogo)
	}
	isPNG := bytes.HasPrefix(logo, []byte("\x89PNG\r\n\x1a\n"))
	if mediaType == "" {
		mediaType = "image/svg+xml"
		if isPNG {
			mediaType = "image/png"
		}
	}
	switch mediaType {
	case "image/png":
		if _, err := png.DecodeConfig(bytes.NewReader(logo)); err != nil {
			return "", fmt.Errorf("checking logo: reading PNG: %w", err)
		}
	case "image/svg+xml":
		if err := checkSVG(logo); err != nil {
			return "", fmt.Errorf("checking logo: reading SVG: %w", err)
		}
	default:
		return "", fmt.Errorf("checking logo: type %q is neither image/svg+xml nor image/png", mediaType)
	}
	return template.URL("data:" + mediaType + ";base64," + base64.StdEncoding.EncodeToString(logo)), nil
}

// checkSVG tells whether b is one well-formed document whose root is an svg
// element of the SVG namespace.
func checkSVG(b []byte) error {
	d := xml.NewDecoder(bytes.NewReader(b))
	root := xml.Name{}
	for {
		t, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if start, ok := t.(xml.StartElement); ok && root.Local == "" {
			root = start.Name
		}
	}
	if root.Local != "svg" || root.Space != "http://www.w3.org/2000/svg" {
		return errors.New(`its first element is not <svg xmlns="http://www.w3.org/2000/svg">`)
	}
	return nil
}

// supportURL checks a URL that html/template may then take as it is: tel: is not
// among the schemes that it lets through by itself.
func supportURL(s string) (template.URL, error) {
	if s == "" {
		return "", nil
	}
	u, err := url.Parse(s)
	if err != nil {
		return "", errors.New("checking support URL: it is not a URL")
	}
	switch u.Scheme {
	case "https", "http":
		if u.Host == "" {
			return "", errors.New("checking support URL: it has no host")
		}
	case "mailto", "tel":
		if u.Opaque == "" {
			return "", errors.New("checking support URL: it has no address")
		}
	default:
		return "", errors.New("checking support URL: it must be an https, http, mailto or tel URL")
	}
	return template.URL(u.String()), nil
}

func checkCurrency(code string) (string, error) {
	if code == "" {
		return defaultCurrency, nil
	}
	unit, err := currency.ParseISO(code)
	if err != nil || unit.String() != code {
		return "", fmt.Errorf("checking currency: %q is not an ISO 4217 code such as IDR", code)
	}
	return code, nil
}
