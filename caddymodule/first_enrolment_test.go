package caddymodule

import (
	"strings"
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

func TestAFirstEnrolmentThatCannotWorkIsRefused(t *testing.T) {
	for _, c := range []struct{ name, app, handler, want string }{
		{"a negative hold", `{"brand":{"name":"x"},"first_enrolment":{"mode":"hold","for":"-1s"}}`, "", "too short"},
		{"a hold of no mode that is too short", `{"brand":{"name":"x"},"first_enrolment":{"for":"1ms"}}`, "", "too short"},
		{"a login of long ago", `{"brand":{"name":"x"},"first_enrolment":{"mode":"login","for":"61m"}}`, "", "1s to 1h"},
		{"a login of the future", `{"brand":{"name":"x"},"first_enrolment":{"mode":"login","for":"-1m"}}`, "", "1s to 1h"},
		{"support with a time", `{"brand":{"name":"x"},"first_enrolment":{"mode":"support","for":"1h"}}`, "", "leave the duration out"},
		{"an unknown way to enrol", `{"brand":{"name":"x"},"first_enrolment":{"mode":"session"}}`, "", "write hold, login or support"},
		{"a fresh login without a login page", `{"brand":{"name":"x"},"first_enrolment":{"mode":"login"}}`, handlerJSON(""), "write login_page"},
		{"a fresh login that cannot be seen", `{"brand":{"name":"x"},"first_enrolment":{"mode":"login"}}`, handlerJSON(`,"login_page":"/login"`), "write identity upstream"},
		{
			"a fresh login that any session of the player passes for", `{"brand":{"name":"x"},"first_enrolment":{"mode":"login"}}`,
			`{"handler":"step_up",` + strings.Replace(askingIdentity, `"url"`, `"bind":"subject","url"`, 1) + `,"login_page":"/login"}`, "leave bind subject out",
		},
		{
			"the same by tokens", `{"brand":{"name":"x"},"first_enrolment":{"mode":"login"}}`,
			`{"handler":"step_up",` + strings.Replace(tokenIdentity, `"jwks"`, `"bind":"subject","jwks"`, 1) + `,"login_page":"/login"}`, "leave bind subject out",
		},
		{
			"a fresh login by tokens that no cookie has", `{"brand":{"name":"x"},"first_enrolment":{"mode":"login"}}`,
			`{"handler":"step_up",` + strings.Replace(tokenIdentity, `"kind":"cookie","name":"sid"`, `"kind":"bearer"`, 1) + `,"login_page":"/login"}`, "jwt with a cookie",
		},
		{
			"trust in an issuer that nobody knows", `{"brand":{"name":"x"}}`,
			`{"handler":"step_up",` + askingIdentity + `,"rules":[{"name":"r","paths":["/x"],"factors":["totp"],"trust":{"acr":["mfa"]}}]}`, "write identity jwt",
		},
	} {
		if err := validate(t, c.app, c.handler); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: validating = %v, want an error with %q", c.name, err, c.want)
		}
	}
}
