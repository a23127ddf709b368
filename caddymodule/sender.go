package caddymodule

import "github.com/stepgate/stepgate/sms"

// SenderModule is a module of the namespace `stepgate.senders` that is one of two things,
// by its configuration. A module that only sends is an [sms.Sender] itself.
type SenderModule interface {
	// Open returns what the module is: a sender, or a verifier, which makes the codes
	// itself. The other one is nil.
	Open() (sms.Sender, sms.Verifier)
}
