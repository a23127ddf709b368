package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// What two programs that know nothing of us make of the set-up page, by day and by
// night. The page is as wide as a phone.
func TestOthersReadTheQRCodeAndComputeTheCode(t *testing.T) {
	zbarimg, oathtool := tool(t, "zbarimg", "zbar-tools"), tool(t, "oathtool", "oathtool")
	d := startDemo(t)
	b := d.tab(true, "en")
	b.login("dewi")
	b.act("/totp")
	link := regexp.MustCompile(`href="(otpauth://[^"]+)"`).FindStringSubmatch(b.html())
	if link == nil {
		t.Fatalf("the page has no link for authenticators %s", b.page())
	}
	want := strings.ReplaceAll(link[1], "&amp;", "&")
	for _, scheme := range []string{"light", "dark"} {
		b.scheme(scheme)
		b.shot("setup-" + scheme)
		picture, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), scheme+".png")
		if err := os.WriteFile(file, picture, 0o600); err != nil {
			t.Fatal(err)
		}
		read, err := exec.Command(zbarimg, "--quiet", "--raw", file).Output()
		if err != nil {
			t.Fatalf("zbarimg, %s: %v", scheme, err)
		}
		if got := strings.TrimSpace(string(read)); got != want {
			t.Errorf("%s: zbarimg reads %q, the page links to %q", scheme, got, want)
		}
	}
	// The key as it stands on the page, in groups.
	key := setupKey.FindString(b.text())
	code, err := exec.Command(oathtool, "--totp", "--base32", strings.ReplaceAll(key, " ", "")).Output()
	if err != nil {
		t.Fatalf("oathtool: %v", err)
	}
	b.fill("stepgate_code", strings.TrimSpace(string(code)))
	b.press(`form[action="` + securityPath + `/totp/confirm"] button`)
	b.keepKey()
}

// scheme makes it day or night for the browser.
func (b *tab) scheme(name string) {
	b.t.Helper()
	if _, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}},
	}); err != nil {
		b.t.Fatal(err)
	}
	dark, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool](`matchMedia('(prefers-color-scheme: dark)').matches`))
	if err != nil || dark != (name == "dark") {
		b.t.Fatalf("the browser does not show pages %s (%v)", name, err)
	}
}

// tool returns the path of a program of a Debian package.
func tool(t *testing.T, name, debian string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	switch {
	case err == nil:
	case os.Getenv("CI") == "true":
		t.Fatalf("no %s: install it (Debian: apt-get install %s)", name, debian)
	default:
		t.Skipf("no %s: install it (Debian: apt-get install %s)", name, debian)
	}
	return path
}
