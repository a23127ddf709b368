package gate_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/stepgate/stepgate/challengepages"
	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/alias"
	"github.com/stepgate/stepgate/internal/gate"
	"github.com/stepgate/stepgate/internal/seal"
	"github.com/stepgate/stepgate/internal/smsguard"
	"github.com/stepgate/stepgate/policy"
	"github.com/stepgate/stepgate/store/bolt"
)

// BenchmarkReset is a password reset and a wrong code, for a player who has an
// authenticator and for a name that nobody has, in turn, so that whatever else the machine
// does slows both: nobody is to tell the one from the other by the clock (I11). It gives
// the median of each.
func BenchmarkReset(b *testing.B) {
	clock := &clock{at: time.Date(2026, 3, 1, 5, 0, 0, 0, time.UTC)}
	s, err := bolt.Open(filepath.Join(b.TempDir(), "stepgate.db"), bolt.Options{Now: clock.now})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	ring, err := seal.NewRing(rand.Reader, clock.now())
	if err != nil {
		b.Fatal(err)
	}
	ring.Clock = clock.now
	back, err := gate.NewBackend(s, ring, rand.Reader, clock.now)
	if err != nil {
		b.Fatal(err)
	}
	id, c := back.Accounts.ID("id-sari"), account.Change{Proof: account.ProofFactor, Binding: "b", Browser: "b"}
	setup, err := back.Accounts.BeginTOTP(b.Context(), id, c)
	if err != nil {
		b.Fatal(err)
	}
	code, err := totp.GenerateCode(base32Text(setup.Secret), clock.now())
	if err != nil {
		b.Fatal(err)
	}
	if done, err := back.Accounts.Confirm(b.Context(), id, c, setup.ID, code, ""); err != nil || done.Verdict != account.Right {
		b.Fatal(done.Verdict, err)
	}
	if err := back.Aliases.Import(b.Context(), "id-sari", alias.Names{Login: "sari"}); err != nil {
		b.Fatal(err)
	}
	set, err := policy.Compile([]policy.Rule{{
		Name: "password_reset", Paths: []string{reset}, SingleUse: true, NamedBy: []policy.Naming{{Source: policy.FromJSON, Name: "email"}},
	}})
	if err != nil {
		b.Fatal(err)
	}
	pages, err := challengepages.New(challengepages.Brand{Name: "Example Casino"})
	if err != nil {
		b.Fatal(err)
	}
	g, err := gate.New(gate.Config{
		Policy: set, Identity: crowd{}, Pages: pages, SMS: carried(b, new(phone), smsguard.Limits{}, clock.now), Now: clock.now,
		Backend: func(context.Context) (*gate.Backend, error) { return back, nil },
	})
	if err != nil {
		b.Fatal(err)
	}
	a := &arena{gate: g}
	took := map[bool][]float64{}
	for i := range 2 * b.N {
		known := i%2 == 0
		name := "sari"
		if !known {
			name = fmt.Sprintf("no%02d", i%100)
		}
		began := time.Now()
		opened := a.ask("POST", reset, "", `{"email":"`+name+`"}`)
		var p problemJSON
		if err := json.Unmarshal(opened.Body.Bytes(), &p); err != nil {
			b.Fatal(err)
		}
		browser := opened.Result().Cookies()[0]
		if wrong := a.ask("POST", p.Challenge.URL, "", answer("totp", "000000"), browser.Name+"="+browser.Value); wrong.Code != http.StatusUnprocessableEntity {
			b.Fatalf("%s: status %d: %s", name, wrong.Code, wrong.Body)
		}
		took[known] = append(took[known], float64(time.Since(began).Microseconds()))
		clock.add(25 * time.Hour) // so that every wrong answer is forgotten
	}
	b.ReportMetric(median(took[true]), "known-us")
	b.ReportMetric(median(took[false]), "nobody-us")
}

func median(of []float64) float64 {
	slices.Sort(of)
	return of[len(of)/2]
}
