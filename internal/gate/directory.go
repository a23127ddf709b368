package gate

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode"

	"github.com/stepgate/stepgate/internal/alias"
	"github.com/stepgate/stepgate/sms"
)

// Directory is what the operator may say and ask of the names under which players are
// known.
type Directory struct {
	Backend *Backend
	// Numbering says what is a phone number.
	Numbering sms.Numbering
}

// ErrNoPhone says that a phone is none to the gateway.
var ErrNoPhone = errors.New("is no number that gets codes")

// maxSubject is the longest subject of an import, in bytes: identity sources take no longer one.
const maxSubject = 256

// Check says why a player's names cannot be imported, and what to write instead; nil if they
// can; last it looks at the phone ([ErrNoPhone]). A name that nobody could ever ask for is refused, not left out: the operator believes
// it known. The error quotes nothing of the player (invariant I8).
func (d Directory) Check(subject, login, email, phone string) error {
	for _, one := range []struct{ field, text string }{
		{"subject", subject}, {"login", login}, {"email", email}, {"phone", phone},
	} {
		// Every text in another encoding is turned into the same characters on its way.
		if strings.ContainsRune(one.text, unicode.ReplacementChar) {
			return fmt.Errorf("its %s is not UTF-8: save the players as UTF-8", one.field)
		}
		if strings.ContainsFunc(one.text, unicode.IsControl) {
			return fmt.Errorf("its %s has a control character: write it as the site does", one.field)
		}
	}
	switch {
	case strings.TrimSpace(subject) == "":
		return errors.New("it has no subject: write the player's id at the site")
	case len(subject) > maxSubject:
		return fmt.Errorf("its subject is longer than %d bytes: write the player's id at the site", maxSubject)
	case login == "" && email == "" && phone == "":
		return errors.New("it has no name: write a login, an email or a phone, or leave the player out")
	case login != "" && d.Canonical(login) == "":
		return errors.New("its login is blank or too long: write it as the site does, or nothing")
	case email != "" && d.Canonical(email) == "":
		return errors.New("its email is blank or too long: write it as the site does, or nothing")
	case phone != "" && phoneText(d.Numbering, phone) == "":
		return fmt.Errorf("its phone %w of %s: write it with + and the country code, or nothing; others need countries or numbers in the sms block",
			ErrNoPhone, strings.Join(d.Numbering.CodeRegions(), ", "))
	}
	return nil
}

// Import notes under which names a player is known, and under no others. Whoever else
// claims one of them does not have it. The names have passed [Directory.Check].
func (d Directory) Import(ctx context.Context, subject, login, email, phone string) error {
	return d.Backend.Aliases.Import(ctx, subject, alias.Names{Login: login, Email: email, Phone: phoneText(d.Numbering, phone)})
}

// Canonical returns one text for all spellings of a name; empty if it can be nobody's.
func (d Directory) Canonical(name string) string {
	return alias.Query{Text: name, Phone: phoneText(d.Numbering, name)}.Canonical()
}

// Show returns the keyed hash of the account that a name stands for; empty if it is
// nobody's.
func (d Directory) Show(ctx context.Context, name string) (string, error) {
	p, err := d.Backend.Aliases.Resolve(ctx, alias.Query{Text: name, Phone: phoneText(d.Numbering, name)})
	switch {
	case errors.Is(err, alias.ErrUnknown):
		return "", nil
	case err != nil:
		return "", err
	default:
		return string(d.Backend.Accounts.ID(p.Subject)), nil
	}
}

// phoneText returns a phone number in E.164; empty if the text is none.
func phoneText(n sms.Numbering, text string) string {
	if number, err := n.Parse(text); err == nil {
		return number.E164()
	}
	return ""
}
