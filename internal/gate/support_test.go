package gate_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/audit"
	"github.com/stepgate/stepgate/internal/gate"
	"github.com/stepgate/stepgate/internal/notify"
	"github.com/stepgate/stepgate/policy"
)

// support is an agent's desk in a world.
func (w *world) support() *gate.Support {
	return &gate.Support{
		SMS: w.gate.SMS, Pages: w.gate.Pages, NoticeURL: w.gate.NoticeURL(), Failed: func(error) {},
		Observe: func(e audit.Event) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.events = append(w.events, e)
		},
	}
}

// R21, R62: what support does is told to the phone that was there, with the way to
// object, and to the operator.
func TestSupportsActsAreToldWithALink(t *testing.T) {
	w := newNoticeWorld(t)
	key := w.enrolSMS("budi")
	s := w.support()
	var told []notify.Notice
	s.Notify = func(_ context.Context, n notify.Notice) error { told = append(told, n); return nil }
	w.clock.add(time.Hour)
	player, err := s.Do(t.Context(), w.back, "id-budi", "reset")
	if err != nil || len(player.Enrolments) != 0 || player.RecoveryKey != nil {
		t.Fatalf("reset = %+v, %v", player, err)
	}
	link := w.link("+6281234567890")
	if len(told) != 1 || told[0].Subject != "id-budi" || told[0].Kind != "support" || !strings.HasSuffix(told[0].Link, link) {
		t.Errorf("the operator was told %+v", told)
	}
	wantStatus(t, w.browser("").post(link), http.StatusOK)
	if w.account("budi").Frozen == nil {
		t.Error("the link does not freeze the account")
	}
	b, err := json.Marshal(player)
	if err != nil || strings.Contains(string(b), key) || strings.Contains(string(b), "81234567890") {
		t.Errorf("the agent is shown %s", b)
	}
}

func TestSupportLiftsAFreezeAndUnlocks(t *testing.T) {
	w := newNoticeWorld(t)
	w.enrolSMS("budi")
	w.clock.add(time.Hour)
	w.browser("budi").changeNumber()
	wantStatus(t, w.browser("").post(w.link("+6281234567890")), http.StatusOK)
	s := w.support()
	player, err := s.Do(t.Context(), w.back, "id-budi", "lift")
	if err != nil || !player.FrozenSince.IsZero() || len(player.Enrolments) != 0 {
		t.Errorf("lift = %+v, %v, want what was bound since gone", player, err)
	}

	w.enrolTOTP("sari")
	thief := w.browser("sari")
	for range account.DisableAfter {
		res := thief.get("/statement")
		thief.answer("/statement", challengeID(t, text(t, res)), "totp", "000000")
		w.clock.add(time.Hour)
	}
	if player, err = s.Do(t.Context(), w.back, "id-sari", "show"); err != nil || !slices.Contains(player.Disabled, policy.TOTP) {
		t.Fatalf("show = %+v, %v, want a disabled authenticator", player, err)
	}
	if player, err = s.Do(t.Context(), w.back, "id-sari", "unlock"); err != nil || len(player.Disabled) != 0 {
		t.Errorf("unlock = %+v, %v", player, err)
	}
}

// Doing nothing must not end the player's grants or close what holds after support.
func TestSupportDoesNothingWhereThereIsNothingToDo(t *testing.T) {
	w := newWorld(t)
	w.enrolTOTP("sari")
	before := w.account("sari")
	for act, want := range map[string]error{"lift": gate.ErrNothingToDo, "unlock": gate.ErrNothingToDo, "dance": gate.ErrUnknownAct, "": gate.ErrUnknownAct} {
		if _, err := w.support().Do(t.Context(), w.back, "id-sari", act); !errors.Is(err, want) {
			t.Errorf("%q = %v, want %v", act, err, want)
		}
	}
	if _, err := w.support().Do(t.Context(), w.back, "nobody", "reset"); !errors.Is(err, gate.ErrUnknownPlayer) {
		t.Errorf("reset of nobody = %v", err)
	}
	if after := w.account("sari"); after.Epoch != before.Epoch || len(after.Changed) != len(before.Changed) {
		t.Error("the account has changed")
	}
}

// A rule that holds after support is closed then.
func TestARuleHoldsAfterSupport(t *testing.T) {
	w := newWorld(t)
	set := rules()
	set[0].Holds = []policy.Hold{{For: time.Hour, After: []policy.Cause{policy.CauseSupport}}}
	w.rules(set)
	w.enrolTOTP("sari")
	if _, err := w.support().Do(t.Context(), w.back, "id-sari", "reset"); err != nil {
		t.Fatal(err)
	}
	b := w.browser("sari")
	wantStatus(t, b.withdraw("1"), http.StatusForbidden)
	w.clock.add(time.Hour)
	wantStatus(t, b.withdraw("1"), http.StatusUnauthorized) // to the phone that the site knows
}
