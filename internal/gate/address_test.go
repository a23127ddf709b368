package gate_test

import (
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/stepgate/stepgate/internal/smsguard"
)

// Over a unix socket that no proxy speaks for nobody has an address. That must not be a
// way around the limits by address, and no header is.
func TestWhoHasNoAddressSharesOneLimit(t *testing.T) {
	w := newWorld(t)
	w.gate.SMS.Guard = newGuard(t, w, smsguard.Limits{smsguard.PerAddress: {{Max: 2, Window: time.Hour}}})
	address := ""
	w.gate.ClientIP = func(*http.Request) string { return address }
	for i, c := range []struct {
		player, address string
		sent            bool
	}{
		{"budi", "", true}, {"agus", "", true}, {"sari", "", false}, {"budi", "@", true}, {"sari", "192.0.2.1", true}, {"agus", "", false},
	} {
		address = c.address
		before := w.phone.count()
		r := w.browser(c.player).request("POST", withdraw, formType, form("amount", strconv.Itoa(i), "account", "x"))
		for _, name := range []string{"X-Forwarded-For", "X-Real-Ip", "Forwarded"} {
			r.Header.Set(name, "203.0.113."+strconv.Itoa(i+1))
		}
		wantStatus(t, w.browser(c.player).do(r), http.StatusUnauthorized)
		if sent := w.phone.count() > before; sent != c.sent {
			t.Errorf("code %d, for %s at %q, was sent: %v, want %v", i+1, c.player, c.address, sent, c.sent)
		}
	}
}
