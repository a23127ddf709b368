// Package notify tells the site that something happened to a player's second
// factors, so that the site can tell the player in its own words: by e-mail, which
// reaches whoever still has it after a phone was lost or taken over.
//
// A notice is a signed POST as Standard Webhooks 1.0 says
// (https://www.standardwebhooks.com). It names the player and may carry a link that
// acts for them, so it goes over HTTPS or a private network only, and nothing of it
// stands in an error or a log line. It bears no code, key, or phone number.
package notify

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Notice is one thing that happened to one player. Its fields are personal data,
// and Link may be a secret of the player: none of them belongs in a log.
type Notice struct {
	// ID names the notice, so that one which arrives twice counts once. Printable
	// ASCII without a full stop or space. Required.
	ID string
	// At is when it happened.
	At time.Time
	// Kind says what happened, in a word of the gate's such as "sms_changed". Required.
	Kind string
	// Subject is the account's own id, as the identity source knows it. Required.
	Subject string
	// Login and Email are what the site calls the player and where it writes to; empty
	// where the identity source names none.
	Login, Email string
	// Link is where the player objects; empty for none.
	Link string
}

// String keeps the notice out of logs.
func (n Notice) String() string { return "notice " + n.ID + " of " + n.Kind }

// GoString keeps the notice out of %#v.
func (n Notice) GoString() string { return n.String() }

// check reports what is missing. The id is a part of what is signed, up to its first
// full stop.
func (n Notice) check() error {
	switch {
	case n.ID == "" || strings.ContainsFunc(n.ID, func(r rune) bool { return r <= ' ' || r > '~' || r == '.' }):
		return errors.New("its id is empty, or has a full stop, a space or a character that no header takes")
	case n.Kind == "" || n.Subject == "":
		return errors.New("it has no kind or no subject")
	}
	return nil
}

// payload returns the body that is sent.
func (n Notice) payload() ([]byte, error) {
	type data struct {
		Kind    string    `json:"kind"`
		Subject string    `json:"subject"`
		Login   string    `json:"login,omitempty"`
		Email   string    `json:"email,omitempty"`
		At      time.Time `json:"at"`
		Link    string    `json:"link,omitempty"`
	}
	at := n.At.UTC()
	body, err := json.Marshal(struct {
		Type      string    `json:"type"`
		Timestamp time.Time `json:"timestamp"`
		Data      data      `json:"data"`
	}{"stepgate.notice", at, data{n.Kind, n.Subject, n.Login, n.Email, at, n.Link}})
	if err != nil {
		return nil, fmt.Errorf("encoding it: %w", err) // a time beyond the year 9999
	}
	return body, nil
}
