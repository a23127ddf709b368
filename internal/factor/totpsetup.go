package factor

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"net/url"
	"strings"

	"github.com/pquerna/otp"
)

// The sizes that TOTPQRCode draws, in pixels.
const (
	MinQRSize = 128
	MaxQRSize = 2048
)

// TOTPSecretText returns the secret as a player types it into an authenticator
// app that cannot scan: base32 (RFC 4648) without padding. It is the secret.
func TOTPSecretText(secret []byte) string { return base32NoPadding.EncodeToString(secret) }

// TOTPURI returns the key URI that authenticator apps read from a QR code or a
// link (the "Key Uri Format" of Google Authenticator). It contains the secret.
//
// issuer, the site's brand, stands both before the account in the label, where
// Microsoft Authenticator takes the name from, and as a parameter, by which
// Google Authenticator tells accounts apart; some apps refuse a URI in which the
// two differ. Neither may hold a colon, so colons become spaces. Everything but
// unreserved characters is percent-encoded, a space as %20: several apps show a
// "+" as it is. Algorithm, digits and period are the format's defaults and are
// left out, because no app reads their absence in another way and a smaller code
// is easier to scan.
func TOTPURI(issuer, account string, secret []byte) string {
	issuer = labelPart(issuer)
	return "otpauth://totp/" + issuer + ":" + labelPart(account) +
		"?secret=" + TOTPSecretText(secret) + "&issuer=" + issuer
}

func labelPart(s string) string {
	s = strings.TrimSpace(strings.ReplaceAll(s, ":", " "))
	return strings.ReplaceAll(url.QueryEscape(s), "+", "%20")
}

// TOTPQRCode draws a key URI as a QR code, as a black and white PNG of size by
// size pixels, from MinQRSize to MaxQRSize. The picture contains the secret.
func TOTPQRCode(uri string, size int) ([]byte, error) {
	if size < MinQRSize || size > MaxQRSize {
		return nil, fmt.Errorf("drawing a QR code of %d pixels: want %d to %d", size, MinQRSize, MaxQRSize)
	}
	key, err := otp.NewKeyFromURL(uri)
	if err != nil {
		return nil, errors.New("drawing a QR code: not a URI") // the cause quotes the URI
	}
	// The encoder draws no quiet zone, and without one a code on a dark page cannot
	// be scanned. ISO/IEC 18004 wants four modules; a tenth of the picture is as
	// much from 33 modules on, and a key URI never has fewer.
	margin := (size + 9) / 10
	code, err := key.Image(size-2*margin, size-2*margin)
	if err != nil {
		return nil, errors.New("drawing a QR code: the URI does not fit")
	}
	picture := image.NewPaletted(image.Rect(0, 0, size, size), color.Palette{color.White, color.Black})
	draw.Draw(picture, code.Bounds().Add(image.Pt(margin, margin)), code, image.Point{}, draw.Src)
	var b bytes.Buffer
	if err := png.Encode(&b, picture); err != nil {
		return nil, fmt.Errorf("encoding a QR code: %w", err)
	}
	return b.Bytes(), nil
}
