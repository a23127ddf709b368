package challengepages

import (
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/google/go-cmp/cmp"
)

// What a keyboard reaches: everything that can be pressed or filled in, in the order
// of the page, and each with a mark that shows where one is (WCAG 2.2: 2.1.1, 2.4.3,
// 2.4.7, 2.4.11).
const (
	nameOfElement = `(e => e.tagName + ' ' + (e.id || e.name || e.textContent.trim().slice(0, 40)))`
	reachable     = `[...document.querySelectorAll('a[href], button, input, summary')]
		.filter(e => e.checkVisibility() && e.type != 'hidden' && !e.disabled).map(` + nameOfElement + `)`
	focused = `(() => {
		const e = document.activeElement;
		if (e == document.body || e == document.documentElement) return '';
		const box = e.getBoundingClientRect(), style = getComputedStyle(e);
		const seen = style.outlineStyle != 'none' && parseFloat(style.outlineWidth) >= 2 && box.bottom > 0 && box.top < innerHeight;
		return ` + nameOfElement + `(e) + (seen ? '' : ' (cannot be seen)');
	})()`
)

func TestEveryPageCanBeUsedByKeyboardAlone(t *testing.T) {
	b := openBrowser(t, site(t, newRenderer(t)), 4*time.Minute)
	b.width(t, 390)
	for _, s := range states() {
		t.Run(s.name, func(t *testing.T) {
			b.open(t, "/en/"+s.name)
			// A page that puts the cursor into its field does so after it has loaded.
			b.await(t, `!document.querySelector('[autofocus]') || document.activeElement.autofocus`)
			evaluate[chromedp.Void](t, b, `document.querySelectorAll('details').forEach(d => d.open = true); document.activeElement.blur()`)
			// From the top, wherever the cursor was.
			evaluate[chromedp.Void](t, b, `(() => { const a = document.body; a.tabIndex = -1; a.focus(); a.removeAttribute('tabindex') })()`)
			want := evaluate[[]string](t, b, reachable)
			var got []string
			for range len(want) + 1 {
				if err := chromedp.Do(b.ctx, chromedp.KeyEvent(kb.Tab)); err != nil {
					t.Fatal(err)
				}
				name := evaluate[string](t, b, focused)
				if name == "" {
					break
				}
				got = append(got, name)
			}
			if len(got) > len(want) {
				got = got[:len(want)] // around, to the first
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("Tab goes another way (-page +Tab):\n%s", diff)
			}
		})
	}
}

// Text of twice the size, as those have it who see badly, on a phone (WCAG 1.4.4).
func TestPagesHoldAtTwiceTheTextSize(t *testing.T) {
	b := openBrowser(t, site(t, newRenderer(t, withLongBrand)), 4*time.Minute)
	for _, lang := range []Lang{Indonesian, English} {
		for _, s := range states() {
			b.width(t, 390)
			b.open(t, "/"+string(lang)+"/"+s.name)
			evaluate[chromedp.Void](t, b, `document.documentElement.style.fontSize = '200%'; document.querySelectorAll('details').forEach(d => d.open = true)`)
			m := evaluate[measured](t, b, measure)
			if m.Width > m.Room {
				t.Errorf("%s in %s: the content is %d px wide, in a window of %d", s.name, lang, m.Width, m.Room)
			}
		}
	}
}
