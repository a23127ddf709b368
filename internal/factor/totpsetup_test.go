package factor

import (
	"bytes"
	"image/color"
	"image/png"
	"net/url"
	"strings"
	"testing"

	"github.com/pquerna/otp"
)

func TestTOTPURIIsWhatAuthenticatorAppsRead(t *testing.T) {
	secret := []byte("12345678901234567890")
	const key = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
	tests := []struct{ issuer, account, want string }{
		{"Example", "budi", "otpauth://totp/Example:budi?secret=" + key + "&issuer=Example"},
		{"Example Casino", "budi@example.com", "otpauth://totp/Example%20Casino:budi%40example.com?secret=" + key + "&issuer=Example%20Casino"},
		{"A&B", "a+b", "otpauth://totp/A%26B:a%2Bb?secret=" + key + "&issuer=A%26B"},
		{"A:B", "c:d/e?f#g", "otpauth://totp/A%20B:c%20d%2Fe%3Ff%23g?secret=" + key + "&issuer=A%20B"},
		{"Kasíno", "日本", "otpauth://totp/Kas%C3%ADno:%E6%97%A5%E6%9C%AC?secret=" + key + "&issuer=Kas%C3%ADno"},
	}
	for _, tt := range tests {
		if got := TOTPURI(tt.issuer, tt.account, secret); got != tt.want {
			t.Errorf("TOTPURI(%q, %q)\n got %s\nwant %s", tt.issuer, tt.account, got, tt.want)
		}
	}
}

// A login name is the player's own choice; it must not put another issuer or
// another secret into the URI.
func TestTOTPURIKeepsHostileNamesInTheirPlace(t *testing.T) {
	secret := []byte("12345678901234567890")
	for _, account := range []string{"x?secret=AAAA", "x&issuer=Evil", "x#", "x%3Fsecret=AAAA", "Evil:x", "../x", "x\r\ny"} {
		key, err := otp.NewKeyFromURL(TOTPURI("Example Casino", account, secret))
		if err != nil {
			t.Fatalf("account %q: %v", account, err)
		}
		want := strings.ReplaceAll(account, ":", " ")
		if key.Secret() != TOTPSecretText(secret) || key.Issuer() != "Example Casino" || key.AccountName() != want ||
			key.Type() != "totp" || key.Digits() != otp.DigitsSix || key.Period() != 30 || key.Algorithm() != otp.AlgorithmSHA1 {
			t.Errorf("account %q reads back as issuer %q, account %q", account, key.Issuer(), key.AccountName())
		}
		u, err := url.Parse(key.URL())
		if err != nil || len(u.Query()) != 2 || u.Fragment != "" {
			t.Errorf("account %q: URI %s has other parts", account, key.URL())
		}
	}
}

func TestTOTPQRCodeIsASquareWithAQuietZone(t *testing.T) {
	uri := TOTPURI("Example Casino", "budi", []byte("12345678901234567890"))
	for _, size := range []int{MinQRSize, 200, 333, MaxQRSize} {
		b, err := TOTPQRCode(uri, size)
		if err != nil {
			t.Fatalf("TOTPQRCode(%d): %v", size, err)
		}
		img, err := png.Decode(bytes.NewReader(b))
		if err != nil {
			t.Fatalf("TOTPQRCode(%d) is no PNG: %v", size, err)
		}
		if got := img.Bounds().Size(); got.X != size || got.Y != size {
			t.Fatalf("TOTPQRCode(%d) is %v", size, got)
		}
		dark := 0
		for y := range size {
			for x := range size {
				if img.At(x, y) == (color.RGBA{A: 255}) || img.At(x, y) == color.Gray16(color.Black) {
					dark++
					if edge := min(x, y, size-1-x, size-1-y); edge < size/10 {
						t.Fatalf("TOTPQRCode(%d) is dark at %d,%d: inside the quiet zone", size, x, y)
					}
				}
			}
		}
		if share := float64(dark) / float64(size*size); share < 0.1 || share > 0.5 {
			t.Errorf("TOTPQRCode(%d): %.0f%% of it is dark", size, share*100)
		}
	}
}

func TestTOTPQRCodeErrorsDoNotRepeatTheSecret(t *testing.T) {
	const secret = "GEZDGNBVGY3TQOJQ"
	for _, tt := range []struct {
		name, uri string
		size      int
	}{
		{"too small", "otpauth://totp/x?secret=" + secret, MinQRSize - 1},
		{"too large", "otpauth://totp/x?secret=" + secret, MaxQRSize + 1},
		{"not a URI", "otpauth://totp/%zz?secret=" + secret, 200},
		{"too long", "otpauth://totp/x?secret=" + strings.Repeat(secret, 1000), 200},
		{"too dense", "otpauth://totp/x?secret=" + strings.Repeat(secret, 100), MinQRSize},
	} {
		if b, err := TOTPQRCode(tt.uri, tt.size); err == nil || b != nil || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: TOTPQRCode = %d bytes, %v, want an error without the secret", tt.name, len(b), err)
		}
	}
}
