package gate

import (
	"net/http/httptest"
	"testing"
)

func TestTheHostIsReadWithoutItsPort(t *testing.T) {
	for in, want := range map[string]string{
		"casino.example": "casino.example", "casino.example:8443": "casino.example", "127.0.0.1:80": "127.0.0.1",
		"[::1]:80": "[::1]", "[::1]": "[::1]", "::1": "::1", "": "", ":80": "",
	} {
		if got := hostname(in); got != want {
			t.Errorf("hostname(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestOnlyTheBrowsersOwnMachineGetsPlainCookies(t *testing.T) {
	for host, want := range map[string]bool{
		"localhost:9080": true, "app.localhost": true, "127.0.0.1": true, "127.8.0.1:1": true, "[::1]:9080": true,
		"casino.example": false, "localhost.evil.example": false, "10.0.0.1": false, "1.example": false, "": false,
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Host = host
		if got := isPlainLoopback(r); got != want {
			t.Errorf("isPlainLoopback(%q) = %t, want %t", host, got, want)
		}
	}
	r := httptest.NewRequest("GET", "https://localhost/", nil)
	if isPlainLoopback(r) {
		t.Error("over TLS localhost gets plain cookies")
	}
}

func TestACookieOfOursThatIsThereTwiceCountsAsNone(t *testing.T) {
	for line, want := range map[string]string{
		"__Host-stepgate-grant=a":                             "a",
		"__Host-stepgate-grant=a; __Host-stepgate-grant=b":    duplicated,
		"__Host-stepgate-grant=a; stepgate-grant=b":           "a",
		"stepgate-grant=b":                                    "",
		"x=1; __Host-stepgate-grant=a; y=\"2; stepgate-grant": "a",
	} {
		var o own
		o.takeCookies(line, false)
		if o.grant != want {
			t.Errorf("the grant of %q = %q, want %q", line, o.grant, want)
		}
	}
}
