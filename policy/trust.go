package policy

import (
	"errors"
	"fmt"
	"slices"
)

// Trust is what the issuer of a player's token has to say of how they logged in, so that
// a rule asks for no factor of ours (RFC 9470 section 6). The zero value trusts nothing.
type Trust struct {
	// ACR are classes of authentication ("acr"), AMR methods ("amr", RFC 8176). Of each
	// list that is not empty the issuer has to name one, letter by letter.
	ACR []string
	AMR []string
}

// Any reports whether there is something that an issuer can say.
func (t Trust) Any() bool { return len(t.ACR) > 0 || len(t.AMR) > 0 }

// Met reports whether an issuer says enough.
func (t Trust) Met(acr string, amr []string) bool {
	return t.Any() &&
		(len(t.ACR) == 0 || slices.Contains(t.ACR, acr)) &&
		(len(t.AMR) == 0 || slices.ContainsFunc(amr, func(method string) bool { return slices.Contains(t.AMR, method) }))
}

// checkTrust refuses what could be met by nothing, or would let a request through whose
// player was shown nothing of it.
func (r *Rule) checkTrust() error {
	if r.Trust.Any() && r.Kind != Sensitive {
		return errors.New("trust is about one login, and says nothing of a device: leave it out")
	}
	if r.Trust.Any() && r.SingleUse {
		return errors.New("single_use shows the player each request, which a login at the issuer did not: leave out trust, or single_use")
	}
	for name, values := range map[string][]string{"acr": r.Trust.ACR, "amr": r.Trust.AMR} {
		for i, value := range values {
			if value == "" || len(value) > 256 || slices.ContainsFunc([]byte(value), func(c byte) bool { return c <= ' ' || c > '~' || c == '"' || c == '\\' }) {
				return fmt.Errorf("trust %s %q: write what the issuer writes, without blanks and quotes, such as urn:example:mfa", name, value)
			}
			if slices.Contains(values[:i], value) {
				return fmt.Errorf("trust %s names %s twice: write it once", name, value)
			}
		}
	}
	return nil
}
