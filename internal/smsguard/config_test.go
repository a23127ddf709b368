package smsguard_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stepgate/stepgate/internal/smsguard"
)

func TestZeroConfigIsGood(t *testing.T) {
	if _, err := smsguard.New(smsguard.Config{}); err != nil {
		t.Error(err)
	}
}

func TestValidateSaysWhatToWriteInstead(t *testing.T) {
	budget := func(most smsguard.Money, window time.Duration) []smsguard.Budget {
		return []smsguard.Budget{{Max: most, Window: window}}
	}
	conversion := func(c smsguard.Conversion) smsguard.Config { return smsguard.Config{Conversion: c} }
	limit := func(max int64, window time.Duration) smsguard.Config {
		return smsguard.Config{Limits: smsguard.Limits{smsguard.PerNumber: {{Max: max, Window: window}}}}
	}
	for _, tt := range []struct {
		name   string
		config smsguard.Config
		want   string
	}{
		{"scope", smsguard.Config{Limits: smsguard.Limits{"ip": {{Max: 1, Window: time.Hour}}}}, "country or all"},
		{"limit of none", limit(0, time.Hour), "at least 1"},
		{"limit per nothing", limit(1, 0), "at least 1"},
		{"limit for ever", limit(1, 1000*24*time.Hour), "at least 1"},
		{"two limits for one window", smsguard.Config{Limits: smsguard.Limits{smsguard.PerAll: {{Max: 1, Window: time.Hour}, {Max: 2, Window: time.Hour}}}}, "one of them"},
		{"prefix without plus", smsguard.Config{Denied: []string{"62868"}}, "with +"},
		{"prefix of nothing", smsguard.Config{Denied: []string{"+"}}, "with +"},
		{"prefix with a space", smsguard.Config{Denied: []string{"+62 868"}}, "digits only"},
		{"prefix as dialled at home", smsguard.Config{Denied: []string{"+0868"}}, "country code"},
		{"budget without price", smsguard.Config{Budgets: budget(1, time.Hour)}, "such as 0.04"},
		{"budget below the price", smsguard.Config{Price: 2, Budgets: budget(1, time.Hour)}, "not one message"},
		{"budget beyond all money", smsguard.Config{Price: 2, Budgets: budget(smsguard.MaxMoney+1, time.Hour)}, "at most"},
		{"budget per second", smsguard.Config{Price: 1, Budgets: budget(1, time.Second)}, "per 1m"},
		{"budget per half second more", smsguard.Config{Price: 1, Budgets: budget(1, time.Hour+time.Second/2)}, "whole seconds"},
		{"two budgets for one window", smsguard.Config{Price: 1, Budgets: append(budget(1, time.Hour), budget(2, time.Hour)...)}, "one of them"},
		{"negative price", smsguard.Config{Price: -1}, "not an amount"},
		{"conversion window", conversion(smsguard.Conversion{Window: time.Second}), "1m to 24h"},
		{"conversion grace", conversion(smsguard.Conversion{Grace: -1}), "1s to 1h"},
		{"conversion of none", conversion(smsguard.Conversion{MinSends: -1}), "1 or more"},
		{"conversion percentage", conversion(smsguard.Conversion{WarnBelow: 101}), "1 to 100"},
		{"conversion that stops before it warns", conversion(smsguard.Conversion{StopBelow: 50}), "larger one"},
		{"conversion stop", conversion(smsguard.Conversion{StopFor: time.Second}), "1m to"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g, err := smsguard.New(tt.config)
			if err == nil || g != nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("New = %v, %v, want an error with %q", g, err, tt.want)
			}
		})
	}
}

func TestWhatIsOffIsNotChecked(t *testing.T) {
	for _, c := range []smsguard.Conversion{{Off: true, Window: 1}, {WarnBelow: -1, StopBelow: -1}, {WarnBelow: -1, StopBelow: 50}} {
		if _, err := smsguard.New(smsguard.Config{Conversion: c}); err != nil {
			t.Errorf("New with %+v: %v", c, err)
		}
	}
}
