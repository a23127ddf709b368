package caddymodule

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/stepgate/stepgate/challengepages"
)

// Brand says whose pages players see, and in which languages.
type Brand struct {
	// The site's name as players know it, up to 40 characters. It stands on every
	// page, in every SMS, and in authenticator apps. Required.
	Name string `json:"name,omitempty"`

	// The brand's colour, as `#rrggbb`. Colours of text, links and borders are
	// computed from it for contrast. Default: a calm blue grey.
	Color string `json:"color,omitempty"`

	// The file of the logo, SVG or PNG of at most 6 KiB; it travels in every page.
	// It is read when the configuration is loaded, so a changed file needs `reload
	// --force`. Default: the name's first letter on the brand's colour.
	Logo string `json:"logo,omitempty"`

	// The languages that are offered, `id`, `en` and those of `pages`; the first is
	// for players whose browser asks for none of them. Default: all, `id` first.
	Languages []challengepages.Lang `json:"languages,omitempty"`

	// The folder of messages, templates and style of your own, such as
	// `/etc/stepgate/pages`; the README says what may be in it, and `stepgate pages
	// export` writes the built-in ones to start from. It is read when the configuration
	// is loaded, and refused if any page does not work with it; after a change of a
	// file alone, `reload --force`. Default: none.
	Pages string `json:"pages,omitempty"`

	// Where players get help: a URL that begins with https:, http:, mailto: or tel:.
	// Default: none, and the pages show no such link.
	SupportURL string `json:"support_url,omitempty"`

	// The currency of plain amounts, as an ISO 4217 code. Default: `IDR`.
	Currency string `json:"currency,omitempty"`

	// The time zone in which times are told, such as `Asia/Jakarta`. Default: UTC,
	// and the pages say so.
	TimeZone string `json:"time_zone,omitempty"`
}

// load returns the brand as the pages take it.
func (b *Brand) load() (challengepages.Brand, error) {
	pages := challengepages.Brand{
		Name: b.Name, Color: b.Color, SupportURL: b.SupportURL, Languages: b.Languages, Currency: b.Currency,
	}
	var err error
	if b.TimeZone != "" {
		if pages.Location, err = location(b.TimeZone); err != nil {
			return challengepages.Brand{}, err
		}
	}
	if b.Logo != "" {
		if pages.Logo, err = readLogo(b.Logo); err != nil {
			return challengepages.Brand{}, fmt.Errorf("reading logo: %w", err)
		}
	}
	if b.Pages != "" {
		if pages.Overrides, err = openPages(b.Pages); err != nil {
			return challengepages.Brand{}, fmt.Errorf("reading pages: %w", err)
		}
	}
	return pages, nil
}

// openPages gives the folder of pages. Errors about its files name them from there.
func openPages(path string) (fs.FS, error) {
	path, err := caddy.NewReplacer().ReplaceOrErr(path, true, true)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("%s is no folder: name the one that has messages/, templates/ or style.css", path)
	}
	return os.DirFS(path), nil
}

func location(name string) (*time.Location, error) {
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("time zone %q is not known: write a name of the IANA database, such as Asia/Jakarta", name)
	}
	return zone, nil
}

// readLogo reads a little more than a logo may have, so that one that is too
// large is refused by name and not cut off.
func readLogo(path string) ([]byte, error) {
	path, err := caddy.NewReplacer().ReplaceOrErr(path, true, true)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, challengepages.MaxLogo+1))
}
