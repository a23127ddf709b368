package caddymodule

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/stepgate/stepgate/internal/gate"
	"github.com/stepgate/stepgate/policy"
)

func TestAPlayerIsPrintedForAnAgent(t *testing.T) {
	at := time.Date(2026, 3, 1, 5, 0, 0, 0, time.UTC)
	var out bytes.Buffer
	err := printPlayer(&out, &gate.Player{
		Account: "Jx3", HeldUntil: at.Add(time.Hour), FrozenSince: at, TrustedBrowsers: 2, Disabled: []policy.Factor{policy.TOTP},
		Enrolments: []gate.PlayerEnrolment{
			{Factor: policy.TOTP, Name: "HP\x1b[31m", Since: at, Used: at.Add(time.Minute)}, {Factor: policy.SMS, Phone: "+62 ••• •••• 7890", Since: at},
		},
		RecoveryKey: &gate.PlayerRecoveryKey{Since: at},
		Activities:  []gate.PlayerActivity{{Kind: "off", At: at}},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := `account Jx3
factor totp, since 2026-03-01 05:00:00 UTC, used 2026-03-01 05:01:00 UTC, "HP\x1b[31m"
factor sms, since 2026-03-01 05:00:00 UTC, +62 ••• •••• 7890
recovery key since 2026-03-01 05:00:00 UTC, saved: false
disabled: totp
held until 2026-03-01 06:00:00 UTC
frozen since 2026-03-01 05:00:00 UTC
trusted browsers: 2
2026-03-01 05:00:00 UTC off
`
	if out.String() != want {
		t.Errorf("printed\n%s\nwant\n%s", out.String(), want)
	}
}

func TestResettingAPlayerHasToBeMeant(t *testing.T) {
	if err := (&playerCLI{act: "reset", by: "T-1", address: "localhost:1"}).run(new(bytes.Buffer), "u-1"); err == nil || !strings.Contains(err.Error(), "--yes") {
		t.Errorf("reset without --yes = %v", err)
	}
}
