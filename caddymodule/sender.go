package caddymodule

import (
	"fmt"

	"github.com/stepgate/stepgate/sms"
)

// SenderModule is a module of the namespace `stepgate.senders` that is one of two things,
// by its configuration. A module that only sends is an [sms.Sender] itself.
type SenderModule interface {
	// Open returns what the module is: a sender, or a verifier, which makes the codes
	// itself. The other one is nil.
	Open() (sms.Sender, sms.Verifier)
}

// openSender returns what a module of the namespace is; the other one is nil.
func openSender(module any) (sms.Sender, sms.Verifier, error) {
	switch m := module.(type) {
	case SenderModule:
		sender, verifier := m.Open()
		return sender, verifier, nil
	case sms.Sender:
		return m, nil, nil
	default:
		return nil, nil, fmt.Errorf("module of type %T is no sender", module)
	}
}
