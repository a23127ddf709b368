package gate

import (
	"context"
	"errors"

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

// Import notes under which names a player is known, and under no others. Whoever else
// claims one of them does not have it.
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
