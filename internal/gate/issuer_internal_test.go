package gate

import (
	"testing"
	"time"

	"github.com/stepgate/stepgate/identity"
	"github.com/stepgate/stepgate/policy"
)

// The policy refuses such a rule. If one came about all the same, it would move money on
// the word of a token.
func TestASingleUseRuleTrustsNobody(t *testing.T) {
	now := time.Date(2026, 3, 1, 5, 0, 0, 0, time.UTC)
	g := &Gate{Config: Config{Now: func() time.Time { return now }}}
	who := &caller{identity: identity.Identity{Authentication: &identity.Authentication{ACR: "mfa", At: now}}}
	rule := &policy.Rule{MaxAge: time.Minute, Trust: policy.Trust{ACR: []string{"mfa"}}}
	if !g.says(who, rule) {
		t.Error("an ordinary rule does not trust the issuer")
	}
	rule.SingleUse = true
	if g.says(who, rule) {
		t.Error("a single-use rule trusts the issuer")
	}
}
