package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// awaitFile returns what is in a file that the browser saves.
func awaitFile(t *testing.T, path string) string {
	t.Helper()
	limit := time.After(20 * time.Second)
	for tick := time.Tick(20 * time.Millisecond); ; {
		if content, err := os.ReadFile(path); err == nil && len(content) > 0 {
			return string(content)
		}
		select {
		case <-tick:
		case <-limit:
			t.Fatalf("the browser has not saved %s", path)
		}
	}
}

// R59: the key can be kept in the ways that a player has: the clipboard, a file and
// paper. Each holds the key, and says of which site it is.
func TestTheRecoveryKeyIsCopiedSavedAndPrinted(t *testing.T) {
	pdftotext := tool(t, "pdftotext", "poppler-utils")
	d := startDemo(t)
	b := d.tab(true, "en")
	folder := t.TempDir()
	if _, err := chromedp.CallBrowser(b.ctx, browser.SetDownloadBehavior, browser.SetDownloadBehaviorParams{
		Behavior: "allow", DownloadPath: folder,
	}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"clipboard-read", "clipboard-write"} {
		if _, err := chromedp.CallBrowser(b.ctx, browser.SetPermission, browser.SetPermissionParams{
			Permission: &browser.PermissionDescriptor{Name: name, AllowWithoutSanitization: name == "clipboard-write"}, Setting: "granted",
		}); err != nil {
			t.Fatal(err)
		}
	}
	b.login("dewi")
	b.act("/totp")
	b.confirmAuthenticator()
	m := recoveryKey.FindStringSubmatch(b.html())
	if m == nil {
		t.Fatalf("no recovery key %s", b.page())
	}
	key := m[1]

	b.run(chromedp.Click(chromedp.CSS(`[data-copy]`)))
	// The button says so once the clipboard has it, and to a screen reader as well.
	b.run(chromedp.WaitVisible(chromedp.CSS(`button[role="status"]`)))
	b.wantText("Copied")
	b.shot("recovery-key-copied")
	if got, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](`navigator.clipboard.readText()`, chromedp.EvalAwaitPromise)); err != nil || got != key {
		t.Errorf("the clipboard has %q (%v), want the key %q", got, err, key)
	}
	b.run(chromedp.Click(chromedp.CSS(`[data-save]`)))
	if got := awaitFile(t, filepath.Join(folder, "recovery-key.txt")); got != fmt.Sprintf("Recovery key for Kasino Melati: %s\r\n", key) {
		t.Errorf("the file says %q", got)
	}

	printed, err := chromedp.Call(b.ctx, page.PrintToPDF, page.PrintToPDFParams{})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "key.pdf")
	if err := os.WriteFile(file, printed.Data, 0o600); err != nil {
		t.Fatal(err)
	}
	text, err := exec.Command(pdftotext, "-layout", file, "-").Output()
	if err != nil {
		t.Fatalf("pdftotext: %v", err)
	}
	// On paper the key may be broken where a line ends.
	if paper := strings.Join(strings.Fields(string(text)), ""); !strings.Contains(paper, key) || !strings.Contains(string(text), "Kasino Melati") {
		t.Errorf("the paper says:\n%s\nwant the key %s and the site", text, key)
	}
	if _, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Media: "print"}); err != nil {
		t.Fatal(err)
	}
	b.shot("recovery-key-paper")
}

// R59: a new key takes the place of the old one at once, and the phone hears of it.
func TestANewRecoveryKeyEndsTheOldOne(t *testing.T) {
	ways(t, func(t *testing.T, script bool, language string) {
		d := startDemo(t)
		b := d.tab(script, language)
		old := b.registers()
		b.act("/recovery-key")
		b.shot("recovery-new-challenge-" + language)
		b.code(d.code())
		key := b.keepKey()
		b.shot("recovery-new-" + language)
		if key == old {
			t.Fatal("the new key is the old one")
		}
		b.askWithdrawal("100000")
		b.useKey(old)
		b.shot("recovery-old-" + language)
		d.wantWithdrawals("agus")
		b.code(key)
		b.keepKey()
		d.wantWithdrawals("agus", 100_000)
	})
}
