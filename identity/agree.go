package identity

import "errors"

// agree asks about each credential that a request bears, and returns the identity
// of the first that the site knows, in the order of the configuration.
//
// # The attack
//
// Somebody who holds a session of his own and one that he stole, of another kind,
// sends both, and hopes that we read the one and the site honours the other. Which
// one a site honours differs from route to route, so all have to be of one player.
//
// # Credentials that nobody is logged in with
//
// A cookie that the site does not know is passed over beside a credential that it
// knows: sites give visitors a session that apps send along with their token, and a
// site that honoured that cookie would have nobody in it.
//
// A token that the site does not know is not passed over. Somebody has put it there
// on purpose, and the page at which we ask may know fewer tokens than a route that
// it is sent to: one of the narrow scope "withdraw", stolen, beside the thief's own
// cookie. Nor is such a request one of a visitor, because the site may honour the
// cookie. It is ambiguous.
//
// Where cookies are tokens too, visitors is false and none is passed over: a site gives
// visitors no token, and one that we do not take the site might, by another clock.
func agree(c Credential, visitors bool, ask func(Credential) (Identity, *Memo, error)) (Identity, *Memo, error) {
	if c.beside == nil {
		return ask(c)
	}
	var id Identity
	var memo *Memo
	stray := false // one that is not passed over
	for one := range c.All() {
		got, m, err := ask(one)
		switch {
		case errors.Is(err, ErrAnonymous):
			stray = stray || one.Kind != Cookie || !visitors
		case err != nil:
			return Identity{}, new(Memo), err
		case memo == nil:
			id, memo = got, m
			id.Credential = one
		case got.Subject != id.Subject:
			return Identity{}, new(Memo), ErrAmbiguous
		}
	}
	switch {
	case memo == nil:
		return Identity{}, new(Memo), ErrAnonymous
	case stray:
		return Identity{}, new(Memo), ErrAmbiguous
	default:
		return id, memo, nil
	}
}
