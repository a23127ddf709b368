package caddymodule

import (
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/stepgate/stepgate/challengepages"
)

// parseApp reads the global option:
//
//	stepgate {
//		store <module> ...
//		keys  file <path>|env <name>
//		brand <name> {
//			color       <rrggbb>|"#<rrggbb>"
//			logo        <path>
//			languages   <tag> ...
//			pages       <folder>
//			support_url <url>
//			currency    <code>
//			time_zone   <zone>
//		}
//		sms {
//			...
//		}
//		notify <url> {
//			secret  <secret>
//			timeout <duration>
//		}
//		first_enrolment hold <duration>|login [<duration>]|support
//		strict_totp
//	}
func parseApp(d *caddyfile.Dispenser, existing any) (any, error) {
	d.Next() // "stepgate"
	if existing != nil {
		return nil, d.Errf("stepgate stands twice in the global options: write one block")
	}
	a := new(App)
	err := parseBlock(d, "stepgate", []option{
		{name: "store", parse: a.parseStore},
		{name: "keys", parse: a.parseKeys},
		{name: "brand", parse: a.parseBrand},
		{name: "sms", parse: a.parseSMS},
		{name: "notify", parse: a.parseNotify},
		{name: "first_enrolment", parse: a.parseFirstEnrolment},
		flag("strict_totp", &a.StrictTOTP),
	})
	if err != nil {
		return nil, err
	}
	if a.Brand == nil {
		return nil, d.Errf(`stepgate needs a brand: write the site's name as players know it, such as brand "Example Casino"`)
	}
	var warnings []caddyconfig.Warning
	value := caddyconfig.JSON(a, &warnings)
	if len(warnings) > 0 {
		return nil, d.Errf("encoding stepgate: %s", warnings[0].Message)
	}
	return httpcaddyfile.App{Name: appName, Value: value}, nil
}

func (a *App) parseStore(d *caddyfile.Dispenser) error {
	if _, err := argument(d, "the name of a store, such as bolt"); err != nil {
		return err
	}
	var err error
	a.StoreRaw, err = guest(d, storeNamespace, "store")
	return err
}

// parseBrand reads a brand. Each line is tried on the pages as it is read, so that
// an error names it.
func (a *App) parseBrand(d *caddyfile.Dispenser) error {
	b := new(Brand)
	a.Brand = b
	var err error
	if b.Name, err = argument(d, `the site's name as players know it, such as brand "Example Casino"`); err != nil {
		return err
	}
	if err := b.try(d); err != nil {
		return err
	}
	tried := func(o option) option {
		parse := o.parse
		o.parse = func(d *caddyfile.Dispenser) error {
			if err := parse(d); err != nil {
				return err
			}
			return b.try(d)
		}
		return o
	}
	var languages caddyfile.Dispenser
	err = parseBlock(d, "brand", []option{
		tried(option{name: "color", parse: b.parseColor}),
		text("logo", "the file of an SVG or PNG", &b.Logo),
		{name: "languages", parse: func(d *caddyfile.Dispenser) error {
			err := b.parseLanguages(d)
			languages = *d // a copy, which goes on pointing here
			return err
		}},
		text("pages", "a folder such as /etc/stepgate/pages", &b.Pages),
		tried(text("support_url", "a URL such as https://casino.example/help", &b.SupportURL)),
		tried(text("currency", "an ISO 4217 code such as IDR", &b.Currency)),
		tried(text("time_zone", "a time zone such as Asia/Jakarta", &b.TimeZone)),
	})
	if err != nil || b.Pages != "" || len(b.Languages) == 0 {
		return err
	}
	// What languages there are depends on whether there is a folder, on a later line.
	return b.tryWith(&languages, b.Languages)
}

// try reports what is wrong with what has been read so far. Logo and pages are left
// alone: their files may be on another machine. So are the languages, which may be
// among the pages.
func (b *Brand) try(d *caddyfile.Dispenser) error { return b.tryWith(d, nil) }

func (b *Brand) tryWith(d *caddyfile.Dispenser, languages []challengepages.Lang) error {
	read := *b
	read.Logo, read.Pages, read.Languages = "", "", languages
	brand, err := read.load()
	if err == nil {
		_, err = challengepages.New(brand)
	}
	if err != nil {
		return d.WrapErr(err)
	}
	return nil
}

// parseColor reads a colour without its "#", or in quotes: the Caddyfile takes "#"
// at the beginning of a word for a comment.
func (b *Brand) parseColor(d *caddyfile.Dispenser) error {
	value, err := argument(d, `a colour such as 0b6e4f: without #, which begins a comment, or in quotes, "#0b6e4f"`)
	b.Color = "#" + strings.TrimPrefix(value, "#")
	return err
}

func (b *Brand) parseLanguages(d *caddyfile.Dispenser) error {
	names, err := arguments(d, "one or more tags, such as id and en")
	for _, name := range names {
		b.Languages = append(b.Languages, challengepages.Lang(name))
	}
	return err
}
