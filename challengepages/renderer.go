package challengepages

import (
	"bytes"
	"fmt"
	"html/template"
	"time"

	"golang.org/x/text/language"
)

// Renderer renders pages for one brand. It is immutable and safe for concurrent
// use.
type Renderer struct {
	brand      brandView
	languages  []Lang
	matcher    language.Matcher
	catalogues map[Lang]*catalogue
	currency   string
	location   *time.Location
	originLine OriginLine
	templates  *template.Template
	// The challenge has ten kibibytes for everything, so it goes without the style
	// and script that only the other pages need.
	challengeAssets, assets assets
	csp, cspReleasing       string
}

// assets are what is inlined in a page.
type assets struct {
	Style  template.CSS
	Script template.JS
}

// New checks a brand and makes its renderer. Errors say what is wrong with the
// brand and what to write instead; those about a file of [Brand.Overrides] begin
// with its name and line.
func New(b Brand) (*Renderer, error) {
	brand, err := newBrandView(b)
	if err != nil {
		return nil, err
	}
	color, err := parseColor(b.Color)
	if err != nil {
		return nil, err
	}
	sources, err := readSources(b.Overrides)
	if err != nil {
		return nil, err
	}
	languages, err := checkLanguages(b.Languages, sources.catalogues)
	if err != nil {
		return nil, err
	}
	code, err := checkCurrency(b.Currency)
	if err != nil {
		return nil, err
	}
	templates, err := sources.parseTemplates()
	if err != nil {
		return nil, err
	}
	small, err := readAssets(color, sources.style, []string{"style.css"}, []string{"script.js"})
	if err != nil {
		return nil, err
	}
	full, err := readAssets(color, sources.style, []string{"style.css", "more.css"}, []string{"script.js", "more.js"})
	if err != nil {
		return nil, err
	}
	r := &Renderer{
		brand:           brand,
		languages:       languages,
		matcher:         newMatcher(languages),
		catalogues:      sources.catalogues,
		currency:        code,
		location:        b.Location,
		originLine:      b.OriginLine,
		templates:       templates,
		challengeAssets: small,
		assets:          full,
		csp:             contentSecurityPolicy("'self'", small, full),
		cspReleasing:    contentSecurityPolicy("'self' https:", small, full),
	}
	if r.originLine == nil {
		r.originLine = DefaultOriginLine
	}
	if b.Overrides != nil {
		if err := r.tryOverrides(b); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// CSP is the Content-Security-Policy that goes with a page. It allows the page's
// own style and script by their hashes, pictures from data: URLs (logo and QR
// code), and forms to the site itself; nothing else.
//
// Browsers hold form-action against every redirect that follows a form. A page
// whose form may release a request of the site therefore allows any encrypted
// target: the site may answer a withdrawal by sending the player on to its payment
// provider, and the player would see the request done and the page blocked.
func (r *Renderer) CSP(p Page) string {
	switch p := p.(type) {
	case Challenge:
		return r.cspReleasing
	case RecoveryKey:
		if p.Used {
			return r.cspReleasing
		}
	case Outcome:
		if len(p.Again) > 0 {
			return r.cspReleasing
		}
	}
	return r.csp
}

// frame is what every page has, around the view of its own.
type frame struct {
	Lang        Lang
	RightToLeft bool
	Title       string
	Brand       brandView
	assets
	// Switch is the way to the other languages, nil where there is none or where
	// the page could not be shown again.
	Switch *languageSwitch
	// Help tells whether the footer has the support link.
	Help bool
	View any

	words *words
}

// T gives a message to a template. One that needs a value is an error: a player
// would read the placeholder.
func (f *frame) T(key string) (string, error) {
	if names := f.words.messages[key].other.names(); len(names) > 0 {
		return "", fmt.Errorf("message %q needs a value for {%s}, and T fills nothing in: show the field of the view that has it", key, names[0])
	}
	return f.words.text(key), nil
}

// Render gives a whole HTML document. An unknown language means the brand's
// first. It fails only on a page of another package, on an outcome or a method
// that does not exist, and on a set-up URI that is none.
func (r *Renderer) Render(lang Lang, p Page) ([]byte, error) {
	lang, _ = r.Lang(string(lang))
	w := &words{catalogue: r.catalogues[lang], currency: r.currency, brand: r.brand.Name, location: r.location}
	f := &frame{Lang: lang, RightToLeft: w.format.rightToLeft, Brand: r.brand, assets: r.assets, Help: true, words: w}
	if err := r.fill(f, p); err != nil {
		return nil, fmt.Errorf("rendering page: %w", err)
	}
	f.Title += " – " + r.brand.Name
	var page bytes.Buffer
	if err := r.templates.ExecuteTemplate(&page, p.templateName(), f); err != nil {
		return nil, fmt.Errorf("rendering page: %w", err)
	}
	if w.err != nil {
		return nil, fmt.Errorf("rendering page: %w", w.err)
	}
	return page.Bytes(), nil
}

// fill sets what depends on the kind of page. Pages that show something once have
// no language switch: it would lose them.
func (r *Renderer) fill(f *frame, p Page) error {
	switch p := p.(type) {
	case Challenge:
		r.fillChallenge(f, p)
		return nil
	case Outcome:
		return r.fillOutcome(f, p)
	case Settings:
		r.fillSettings(f, p)
		return nil
	case TOTPSetup:
		return r.fillTOTPSetup(f, p)
	case SMSSetup:
		r.fillSMSSetup(f, p)
		return nil
	case RecoveryKey:
		r.fillRecoveryKey(f, p)
		return nil
	case Help:
		r.fillHelp(f, p)
		return nil
	case Freeze:
		r.fillFreeze(f, p)
		return nil
	}
	return fmt.Errorf("there is no page of type %T", p)
}

// Brand returns the site's name as players know it.
func (r *Renderer) Brand() string { return r.brand.Name }
