package gate_test

import (
	"strings"
	"testing"

	"github.com/stepgate/stepgate/internal/gate"
)

func TestAPublicURLIsSchemeAndHostAndNothingElse(t *testing.T) {
	for _, url := range []string{"https://casino.example", "https://casino.example:8443", "https://192.0.2.1", "https://[2001:db8::1]:8443", "http://localhost:9080", "http://127.0.0.1", "http://[::1]:80"} {
		if err := gate.CheckPublicURL(url); err != nil {
			t.Errorf("CheckPublicURL(%q) = %v", url, err)
		}
	}
	for url, want := range map[string]string{
		"":                                  "scheme and host",
		"casino.example":                    "scheme and host",
		"//casino.example":                  "scheme and host",
		"ftp://casino.example":              "scheme and host",
		"https://":                          "scheme and host",
		"https://:443":                      "scheme and host",
		"https://casino.example/":           "nothing else",
		"https://casino.example/n/x":        "nothing else",
		"https://casino.example?":           "nothing else",
		"https://casino.example#":           "nothing else",
		"https://Casino.example":            "nothing else",
		"https://casino.example\x00":        "scheme and host",
		"https://casino.example%2f":         "scheme and host",
		"https://casino.example:":           "a port",
		"https://casino.example:0":          "a port",
		"https://casino.example:65536":      "a port",
		"http://casino.example":             "write https",
		"http://localhost.evil.example":     "write https",
		"http://127.0.0.1.evil.example":     "write https",
		"https://me:rahasia@casino.example": "a user",
	} {
		if err := gate.CheckPublicURL(url); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "rahasia") {
			t.Errorf("CheckPublicURL(%q) = %v, want an error with %q and no password", url, err, want)
		}
	}
}
