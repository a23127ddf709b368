package challengepages

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/page"
	cdpruntime "github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// missing skips a test that lacks a tool, or fails it where nothing may be
// missing.
func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is missing, and CI has to have it", what)
	}
	t.Skipf("%s is missing", what)
}

// browser is one tab of a real browser, with what it complained of.
type browser struct {
	ctx  context.Context
	base string

	mu         sync.Mutex // guards complaints
	complaints []string
}

// openBrowser starts a browser in front of the given handler. It is stopped after
// the limit, whatever it waits for.
func openBrowser(t *testing.T, h http.Handler, limit time.Duration) *browser {
	t.Helper()
	if testing.Short() {
		t.Skip("a browser takes its time")
	}
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if p, err := exec.LookPath(name); err == nil {
			path = p
			break
		}
	}
	if path == "" {
		missing(t, "a browser (chromium, chromium-browser or google-chrome)")
	}
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU)
	alloc, stopAlloc := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(stopAlloc)
	ctx, stop := chromedp.NewContext(alloc)
	t.Cleanup(stop)

	b := &browser{ctx: ctx, base: server.URL}
	if err := chromedp.Listen(ctx, b.listen); err != nil {
		t.Fatalf("starting the browser: %v", err)
	}
	// The browser's life hangs on the context that started it, so the limit is set
	// on another.
	limited, stopTimer := context.WithTimeout(ctx, limit)
	t.Cleanup(stopTimer)
	b.ctx = limited
	call(t, b, cdplog.Enable, cdp.Empty{})
	// As if the window were in front: focus rings show.
	call(t, b, emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true})
	return b
}

// call sends one command of the DevTools protocol.
func call[P, R any](t *testing.T, b *browser, c cdp.Command[P, R], params P) R {
	t.Helper()
	result, err := chromedp.Call(b.ctx, c, params)
	if err != nil {
		t.Fatalf("driving the browser: %v", err)
	}
	return result
}

// evaluate runs a script in the page, waits for its promise, and gives its value.
func evaluate[T any](t *testing.T, b *browser, script string) T {
	t.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatalf("running a script in the browser: %v", err)
	}
	return v
}

// listen collects console errors, exceptions, and what the browser itself logs,
// among it CSP violations.
func (b *browser) listen(event any) {
	complaint := ""
	switch e := event.(type) {
	case *cdpruntime.EventConsoleAPICalled:
		if e.Type == cdpruntime.ConsoleAPICalledTypeError || e.Type == cdpruntime.ConsoleAPICalledTypeWarning {
			complaint = fmt.Sprintf("console: %v", e.Args)
		}
	case *cdpruntime.EventExceptionThrown:
		complaint = "exception: " + e.ExceptionDetails.Text
	case *cdplog.EventEntryAdded:
		if e.Entry.Level == cdplog.EntryLevelError || e.Entry.Level == cdplog.EntryLevelWarning {
			complaint = fmt.Sprintf("log: %s: %s", e.Entry.Source, e.Entry.Text)
		}
	}
	if complaint != "" {
		b.mu.Lock()
		b.complaints = append(b.complaints, complaint)
		b.mu.Unlock()
	}
}

// takeComplaints gives what was collected since the last call.
func (b *browser) takeComplaints() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.complaints
	b.complaints = nil
	return c
}

// await asks the page until a condition holds. It works without scripts in the
// page, and ends at the latest with the browser.
func (b *browser) await(t *testing.T, condition string) {
	t.Helper()
	for {
		// A page that is just being replaced cannot be asked.
		holds, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool](condition))
		if holds {
			return
		}
		if b.ctx.Err() != nil {
			t.Fatalf("waiting for %s: %v", condition, errors.Join(err, b.ctx.Err()))
		}
	}
}

// open loads a page of the site.
func (b *browser) open(t *testing.T, path string) {
	t.Helper()
	if err := chromedp.Do(b.ctx, chromedp.Navigate(b.base+path)); err != nil {
		t.Fatalf("loading %s: %v", path, err)
	}
}

func (b *browser) width(t *testing.T, pixels int) {
	t.Helper()
	call(t, b, emulation.SetDeviceMetricsOverride,
		emulation.SetDeviceMetricsOverrideParams{Width: int64(pixels), Height: 700, DeviceScaleFactor: 1})
}

// scheme prefers the light or the dark colours.
func (b *browser) scheme(t *testing.T, name string) {
	t.Helper()
	call(t, b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}}})
}

// site serves each state under /{lang}/{state}, with the policy that belongs to
// it.
func site(t *testing.T, r *Renderer) http.Handler {
	t.Helper()
	mux := http.NewServeMux()
	for _, lang := range []Lang{Indonesian, English} {
		for _, s := range states() {
			page, err := r.Render(lang, s.page)
			if err != nil {
				t.Fatalf("rendering %s in %s: %v", s.name, lang, err)
			}
			mux.HandleFunc("GET /"+string(lang)+"/"+s.name, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/html; charset=utf-8")
				w.Header().Set("Content-Security-Policy", r.CSP(s.page))
				_, _ = w.Write(page)
			})
		}
	}
	// Browsers ask for it by themselves.
	mux.HandleFunc("GET /favicon.ico", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	return mux
}

// measured is what measure finds on a page.
type measured struct {
	Width, Room int      // of the content, and of the window
	Headings    int      // h1 elements
	Small       []string // targets lower than 44 pixels
	First       string   // id of the first element that Tab reaches
}

const measure = `(() => {
	const targets = [...document.querySelectorAll('a, button, input, summary')].filter(e => e.checkVisibility() && e.type != 'hidden');
	// A box is pressed by its label as well.
	const height = e => Math.max(...[e, ...(e.type == 'checkbox' ? e.labels : [])].map(t => t.getBoundingClientRect().height));
	return {
		Width: document.documentElement.scrollWidth, Room: document.documentElement.clientWidth,
		Headings: document.querySelectorAll('h1').length,
		Small: targets.filter(e => height(e) < 44).map(e => e.outerHTML.slice(0, 90) + ' ' + height(e)),
		First: (targets.find(e => !e.disabled) || {}).id || '',
	}
})()`

// Options for axe. Contrast is the slow rule, and all that differs between light and
// dark; it does not depend on the language.
const (
	axeAll           = `{}`
	axeContrast      = `{runOnly: ['color-contrast']}`
	axeButContrast   = `{rules: {'color-contrast': {enabled: false}}}`
	axeViolationsFmt = `axe.run(document, %s).then(r => r.violations.map(v =>
		v.id + ': ' + v.nodes.map(n => n.html + ' ' + n.failureSummary).join('; ')))`
)

// violations runs axe and gives what it found.
func (b *browser) violations(t *testing.T, options string) []string {
	t.Helper()
	return evaluate[[]string](t, b, fmt.Sprintf(axeViolationsFmt, options))
}

// loadAxe has axe-core in every page that is opened from now on.
func (b *browser) loadAxe(t *testing.T) {
	t.Helper()
	axe, err := os.ReadFile("../e2e/node_modules/axe-core/axe.min.js")
	if errors.Is(err, fs.ErrNotExist) {
		missing(t, "axe-core (npm install --no-save --prefix e2e axe-core@4)")
	}
	if err != nil {
		t.Fatal(err)
	}
	call(t, b, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: string(axe)})
}

// TestPagesHoldInARealBrowser looks at every page in every state, in both
// languages, with the longest brand: on the smallest phone in light and dark, and
// on wider screens.
func TestPagesHoldInARealBrowser(t *testing.T) {
	b := openBrowser(t, site(t, newRenderer(t, withLongBrand)), 5*time.Minute)
	b.loadAxe(t)
	for _, lang := range []Lang{Indonesian, English} {
		for _, s := range states() {
			t.Run(string(lang)+"/"+s.name, func(t *testing.T) {
				b.width(t, 320)
				b.scheme(t, "light")
				b.open(t, "/"+string(lang)+"/"+s.name)
				evaluate[chromedp.Void](t, b, `document.querySelectorAll('details').forEach(d => d.open = true)`)
				b.checkLayout(t, s, 320)
				var found []string
				if lang == English {
					found = b.violations(t, axeButContrast)
				} else {
					found = b.violations(t, axeAll)
					b.scheme(t, "dark")
					found = append(found, b.violations(t, axeContrast)...)
				}
				for _, v := range found {
					t.Errorf("axe: %s", v)
				}
				for _, width := range []int{390, 1280} {
					b.width(t, width)
					b.checkLayout(t, s, width)
				}
				for _, c := range b.takeComplaints() {
					t.Errorf("the browser complains: %s", c)
				}
			})
		}
	}
}

func (b *browser) checkLayout(t *testing.T, s state, width int) {
	t.Helper()
	c, isChallenge := s.page.(Challenge)
	asks := isChallenge && (c.Factor != "sms" || c.Sent)
	if asks {
		// The focus comes with the first frame, some time after the page has loaded.
		b.await(t, `document.activeElement.id == 'c'`)
	}
	m := evaluate[measured](t, b, measure)
	if m.Room > width || m.Width > m.Room {
		t.Errorf("at %d px the content is %d px wide, in a window of %d", width, m.Width, m.Room)
	}
	if m.Headings != 1 {
		t.Errorf("there are %d h1 elements, want 1", m.Headings)
	}
	if len(m.Small) > 0 {
		t.Errorf("at %d px targets are lower than 44 px: %s", width, strings.Join(m.Small, "\n"))
	}
	if asks && m.First != "c" {
		t.Errorf("Tab begins at %q, want the code field", m.First)
	}
}
