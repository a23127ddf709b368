package challengepages

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/stepgate/stepgate/internal/gsm7"
)

// OriginLine tells whether the SMS to a number of a country, by its ISO 3166-1 code,
// may end in the line that binds the code to the site.
type OriginLine func(region string) bool

// DefaultOriginLine leaves out Indonesia, whose networks filter texts with a domain
// that is not in the sender's registered template. Where the country is not known it is
// off: what its networks do to a text with a domain in it is not known either.
func DefaultOriginLine(region string) bool { return region != "" && region != "ID" }

// hostName is what a browser compares with its own host: a name in lower case, of
// letters, digits and hyphens, without port. A name in another script would have to
// be in Punycode; to write it with the characters that GSM-7 has would make it the
// name of another site.
var hostName = regexp.MustCompile(`^[a-z0-9]+(?:-+[a-z0-9]+)*(?:\.[a-z0-9]+(?:-+[a-z0-9]+)*)+$`)

// boundLine gives the last line of an SMS whose code is for one host, with the empty
// line before it; empty where the host is none.
func boundLine(host, code string) string {
	if len(host) > 253 || !hostName.MatchString(host) {
		return ""
	}
	return "\n\n@" + host + " #" + code
}

// CheckHost tells whether the SMS that carries a code has room for the line of a host,
// in every language. Beside what a code approves there may be none (R1). Where the line
// is on in none of the countries of the site it is of no interest.
func (r *Renderer) CheckHost(host string) error {
	const code = "000000"
	line := boundLine(host, code)
	if line == "" {
		return fmt.Errorf("binding codes to %q: it is not the name of a host: write it in lower case and without port, such as accounts.example.com", host)
	}
	for _, l := range r.languages {
		text := r.catalogues[l].longest(shorten(gsm7.From(r.brand.Name), shortName), code, smsWhat{}) + line
		if n, _ := gsm7.Septets(text); n > gsm7.MaxSeptets {
			return fmt.Errorf(`%s: message "text.code" takes %d characters of an SMS with the line %q, and %d fit: shorten it by %d, or turn the line off`,
				messageFile(l), n, strings.TrimSpace(line), gsm7.MaxSeptets, n-gsm7.MaxSeptets)
		}
	}
	return nil
}
