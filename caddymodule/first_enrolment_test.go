package caddymodule

import (
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/stepgate/stepgate/internal/gate"
)

// A configuration that says nothing must not leave the door open for whoever has a
// session.
func TestTheFirstEnrolmentHasSafeDefaults(t *testing.T) {
	for name, c := range map[string]struct {
		configured *FirstEnrolment
		want       gate.FirstEnrolment
	}{
		"nothing":            {nil, gate.FirstEnrolment{Mode: gate.FirstEnrolmentHold, For: 24 * time.Hour}},
		"an empty block":     {&FirstEnrolment{}, gate.FirstEnrolment{Mode: gate.FirstEnrolmentHold, For: 24 * time.Hour}},
		"a hold":             {&FirstEnrolment{Mode: gate.FirstEnrolmentHold, For: caddy.Duration(time.Hour)}, gate.FirstEnrolment{Mode: gate.FirstEnrolmentHold, For: time.Hour}},
		"a login":            {&FirstEnrolment{Mode: gate.FirstEnrolmentLogin}, gate.FirstEnrolment{Mode: gate.FirstEnrolmentLogin, For: 10 * time.Minute}},
		"a login in an hour": {&FirstEnrolment{Mode: gate.FirstEnrolmentLogin, For: caddy.Duration(time.Hour)}, gate.FirstEnrolment{Mode: gate.FirstEnrolmentLogin, For: time.Hour}},
		"support":            {&FirstEnrolment{Mode: gate.FirstEnrolmentSupport}, gate.FirstEnrolment{Mode: gate.FirstEnrolmentSupport}},
	} {
		got, err := c.configured.config()
		if err != nil || got != c.want {
			t.Errorf("%s: config = %+v, %v, want %+v", name, got, err, c.want)
		}
	}
}
