package challengepages

import (
	"fmt"
	"html"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// TestContactSheetIsDrawn draws every page in every state, at three widths, light
// and dark, in both languages, into shots/, and a sheet of each combination for a
// person to look at. It runs when STEPGATE_SHOTS=1 is set.
func TestContactSheetIsDrawn(t *testing.T) {
	if os.Getenv("STEPGATE_SHOTS") != "1" {
		t.Skip("STEPGATE_SHOTS=1 is not set")
	}
	if err := os.MkdirAll("shots", 0o755); err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/", site(t, newRenderer(t, withLongBrand)))
	mux.Handle("GET /shots/", http.StripPrefix("/shots/", http.FileServer(http.Dir("shots"))))
	b := openBrowser(t, mux, 10*time.Minute)
	for _, lang := range []Lang{Indonesian, English} {
		for _, theme := range []string{"light", "dark"} {
			for _, width := range []int{320, 390, 1280} {
				b.drawSheet(t, lang, theme, width)
			}
		}
	}
}

// drawSheet draws each state once, and then all of them side by side.
func (b *browser) drawSheet(t *testing.T, lang Lang, theme string, width int) {
	t.Helper()
	suffix := fmt.Sprintf("-%s-%s-%d", lang, theme, width)
	var sheet strings.Builder
	sheet.WriteString(`<!doctype html><style>body{display:flex;flex-wrap:wrap;gap:16px;align-items:start;background:#888;font:16px sans-serif}figure{margin:0}img{zoom:.5}</style>`)
	for _, s := range states() {
		b.scheme(t, theme)
		b.width(t, width)
		b.open(t, "/"+string(lang)+"/"+s.name)
		b.draw(t, s.name+suffix)
		name := html.EscapeString(s.name)
		fmt.Fprintf(&sheet, `<figure><figcaption>%s</figcaption><img src="%s%s.png"></figure>`, name, name, suffix)
	}
	if err := os.WriteFile(filepath.Join("shots", "sheet"+suffix+".html"), []byte(sheet.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	b.width(t, 8*(width/2+16)+16)
	b.open(t, "/shots/sheet"+suffix+".html")
	b.draw(t, "sheet"+suffix)
}

// draw writes the whole page that is open to a PNG file in shots/.
func (b *browser) draw(t *testing.T, name string) {
	t.Helper()
	picture, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
	if err != nil {
		t.Fatalf("drawing %s: %v", name, err)
	}
	if err := os.WriteFile(filepath.Join("shots", name+".png"), picture, 0o644); err != nil {
		t.Fatal(err)
	}
}
