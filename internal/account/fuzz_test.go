package account_test

import (
	"testing"
	"time"

	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/seal"
)

// FuzzNoticeLink: no text but the one that was sent freezes anything, in no second
// spelling, and none breaks the book.
func FuzzNoticeLink(f *testing.F) {
	now := func() time.Time { return time.Date(2026, 3, 1, 5, 0, 0, 0, time.UTC) }
	ring, err := seal.NewRing(random(1), now())
	if err != nil {
		f.Fatal(err)
	}
	ring.Clock = now
	book := account.NewBook(newMemory(func() bool { return false }), ring, random(2), now)
	_, alert, err := book.Support(f.Context(), book.ID("budi"), account.SupportReset)
	if err != nil {
		f.Fatal(err)
	}
	good := alert.Token
	for _, token := range []string{"", "x", good, good + "\n", good + "=", good[:len(good)-1] + "_", good[1:]} {
		f.Add(token)
	}
	f.Fuzz(func(t *testing.T, token string) {
		n, ok, err := book.Notice(t.Context(), token)
		if err != nil || ok != (token == good) || ok && n.Kind != account.KindSupport {
			t.Errorf("Notice(%q) = %v, %v", token, ok, err)
		}
		if token == good {
			return // it works once
		}
		if _, froze, err := book.Freeze(t.Context(), token, account.Client{}); froze || err != nil {
			t.Errorf("Freeze(%q) = %v, %v", token, froze, err)
		}
	})
}
