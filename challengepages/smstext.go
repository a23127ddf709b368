package challengepages

import (
	"regexp"
	"strconv"
	"strings"
	"unicode"

	"github.com/stepgate/stepgate/internal/gsm7"
)

// SMSText is what the text of a code SMS is made from.
type SMSText struct {
	// Code is the code, digits only.
	Code string
	// Minutes is how long it can be used.
	Minutes int
	// Rule is the rule's name, as in [Challenge].
	Rule string
	// Details of the request that the code approves; none where the code opens
	// more than one request.
	Details []Detail
	// Region is the ISO 3166-1 code of the number's country, "ID"; empty if not known.
	Region string
	// Host, if set, adds the last line that binds the code to the site ("@host
	// #code", WICG origin-bound one-time codes): a browser then fills it in on no
	// other. It is the name in lower case, without port, and must be one that the site
	// vouches for: with a Host header of a thief's choice the code would be filled in
	// on the thief's page. The line is left out where Brand.OriginLine is off, and
	// where what the code approves would not fit beside it.
	Host string
}

// SMSText writes the text of the SMS that carries a code: the code, whose it is,
// what it approves (R1), that nobody else may have it, and how long it can be used.
// It is one part of GSM-7, at most 160 septets: details and brand are shortened and
// left out before the code, the warning or the time are.
//
// Whoever makes the request chooses the details, and the text comes from the site's
// own sender. So only what looks like an amount, an account, a number, an e-mail
// address or a short name gets in, never words and digits together: no "call 0812…"
// in the site's name.
func (r *Renderer) SMSText(lang Lang, m SMSText) string {
	lang, _ = r.Lang(string(lang))
	c := r.catalogues[lang]
	brand := gsm7.From(r.brand.Name)
	purpose := c.messages["text.purpose."+m.Rule].text
	amount, payee := r.smsDetails(c, m.Details)
	code := gsm7.From(m.Code)
	line := ""
	if r.originLine(m.Region) {
		line = boundLine(m.Host, code)
	}

	// From the fullest to the barest. The bound line goes before what is approved is
	// left out, and the amount is the last of that to go.
	whats := []smsWhat{
		{purpose, amount, payee},
		{purpose, amount, shortPayee(payee)},
		{"", amount, shortPayee(payee)},
		{purpose, amount, ""},
		{"", amount, ""},
	}
	for _, end := range []string{line, ""} {
		for i, what := range whats {
			if end != "" && i > 2 {
				break
			}
			for _, name := range []string{brand, shorten(brand, shortName)} {
				text := c.smsText(name, code, what, m.Minutes) + end
				if n, ok := gsm7.Septets(text); ok && n <= gsm7.MaxSeptets {
					return text
				}
			}
		}
	}
	return c.smsText(shorten(brand, shortName), code, smsWhat{}, m.Minutes)
}

const (
	shortName     = 11  // a brand where space is short, in characters: as long as a sender's name
	maxPayeeName  = 20  // a payee's name or number, in characters
	maxPayeeValue = 200 // what is looked at at all, in bytes
)

// smsWhat is what a code approves. Each may be empty.
type smsWhat struct{ purpose, amount, payee string }

// smsText puts it into words: "… for withdrawal Rp2,500,000 to 1234567890". What is
// empty leaves no gap.
func (c *catalogue) smsText(brand, code string, what smsWhat, minutes int) string {
	values := map[string]string{"brand": brand, "code": code, "minutes": strconv.Itoa(minutes)}
	fill := func(key string) string {
		return strings.Join(strings.Fields(c.messages[key].counting(minutes).fill(values)), " ")
	}
	values["purpose"], values["amount"], values["payee"] = what.purpose, what.amount, what.payee
	values["what"] = fill("text.what")
	switch {
	case values["what"] == "" && what.payee == "":
		return fill("text.code")
	case what.payee == "":
		return fill("text.code.for")
	case values["what"] == "":
		values["what"] = what.payee
		return fill("text.code.for")
	}
	return fill("text.code.for.payee")
}

// smsDetails picks what an SMS says of a request: the amount, and who or what gets
// it. Details under other labels are on the page only.
func (r *Renderer) smsDetails(c *catalogue, ds []Detail) (amount, payee string) {
	var payees []string
	for _, d := range ds {
		switch d.Label {
		case "amount":
			if m, ok := c.format.money(r.currency, d.Value); ok {
				amount = gsm7.From(m)
			} else if smsAmount.MatchString(d.Value) {
				amount = d.Value
			}
		case "to", "account", "bank", "email", "phone":
			if v := smsPayee(d.Value); v != "" {
				payees = append(payees, v)
			}
		}
	}
	return amount, strings.Join(payees, " ")
}

var (
	smsAmount = regexp.MustCompile(`^(?:Rp|IDR)? ?[0-9][0-9.,]{0,19}$`)
	smsEmail  = regexp.MustCompile(`^[A-Za-z0-9._%+-]{1,40}@[A-Za-z0-9-]{1,30}(?:\.[A-Za-z0-9-]{1,20}){1,3}$`)
)

// smsPayee gives of a value what cannot be a message of its own: an e-mail address
// as it is; where there are digits only them; else a short name. What is too long
// to be any of these is left to the page.
func smsPayee(value string) string {
	if len(value) > maxPayeeValue {
		return ""
	}
	if smsEmail.MatchString(value) {
		return value
	}
	var digits, letters strings.Builder
	for _, r := range gsm7.From(value) {
		switch {
		case r >= '0' && r <= '9', r == '+' && digits.Len() == 0:
			digits.WriteRune(r)
		case unicode.IsLetter(r), r == ' ':
			letters.WriteRune(r)
		}
	}
	if strings.Trim(digits.String(), "+") != "" {
		return lastOf(digits.String(), maxPayeeName)
	}
	return shorten(strings.TrimSpace(letters.String()), maxPayeeName)
}

// shorten cuts s to n characters.
func shorten(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	return strings.TrimSpace(string(r[:n-2])) + ".."
}

// shortPayee leaves of a payee what people compare: the last four digits of a
// number, the beginning of a name or address.
func shortPayee(s string) string {
	if s != "" && unicode.IsDigit(rune(s[len(s)-1])) {
		return lastOf(s, 5)
	}
	return shorten(s, 12)
}

// lastOf cuts s to its last n characters, of which the first then is an asterisk.
func lastOf(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	return "*" + string(r[len(r)-n+1:])
}
