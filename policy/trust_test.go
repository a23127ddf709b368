package policy

import (
	"strings"
	"testing"
)

func TestAnIssuerHasToSayOneOfEachListThatIsNamed(t *testing.T) {
	both := Trust{ACR: []string{"mfa", "phr"}, AMR: []string{"otp", "hwk"}}
	for _, c := range []struct {
		trust Trust
		acr   string
		amr   string
		want  bool
	}{
		{Trust{}, "", "", false}, {Trust{}, "mfa", "otp", false},
		{Trust{ACR: []string{"mfa"}}, "mfa", "", true}, {Trust{ACR: []string{"mfa"}}, "", "mfa", false}, {Trust{ACR: []string{"mfa"}}, "MFA", "", false}, {Trust{ACR: []string{"mfa"}}, "mfa phr", "", false},
		{Trust{AMR: []string{"otp"}}, "", "pwd otp", true}, {Trust{AMR: []string{"otp"}}, "otp", "pwd", false}, {Trust{AMR: []string{"otp"}}, "", "", false},
		{both, "phr", "pwd hwk", true}, {both, "phr", "pwd", false}, {both, "pwd", "otp", false},
	} {
		if got := c.trust.Met(c.acr, strings.Fields(c.amr)); got != c.want {
			t.Errorf("%v.Met(%q, %q) = %v, want %v", c.trust, c.acr, c.amr, got, c.want)
		}
	}
}

func TestTrustThatCannotBeMeantIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		rule Rule
		says string
	}{
		"single use":       {Rule{SingleUse: true, Trust: Trust{AMR: []string{"otp"}}}, "leave out trust"},
		"a new device":     {Rule{Kind: NewDevice, Trust: Trust{AMR: []string{"otp"}}}, "nothing of a device"},
		"an empty word":    {Rule{Trust: Trust{ACR: []string{""}}}, "write what the issuer writes"},
		"two words in one": {Rule{Trust: Trust{ACR: []string{"mfa phr"}}}, "without blanks"},
		"a quote":          {Rule{Trust: Trust{AMR: []string{`o"tp`}}}, "without blanks"},
		"a word twice":     {Rule{Trust: Trust{AMR: []string{"otp", "otp"}}}, "twice"},
	} {
		c.rule.Name, c.rule.Paths = "r", []string{"/x"}
		if _, err := Compile([]Rule{c.rule}); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: Compile = %v, want an error that says %q", name, err, c.says)
		}
	}
}
