package seal

// Purpose names what a key is for. There are no others than those declared here:
// a purpose of somebody else's own could be the same as one of ours.
type Purpose string

// The purposes of keys that rotate ([Ring.Key]).
const (
	// Cookie authenticates the cookies: grants and what else a browser carries.
	Cookie Purpose = "cookie"
	// Code derives the SMS codes, so that the store need not keep them.
	Code Purpose = "code"
	// Sealing encrypts what stands in the store ([Ring.Seal]).
	Sealing Purpose = "sealing"
)

// The purposes of keyed hashes that must be the same for ever ([Ring.MAC]).
const (
	// Subject hashes a subject into the id of its account.
	Subject Purpose = "subject"
	// Alias hashes a login name or an e-mail address into the id of its alias.
	Alias Purpose = "alias"
	// Counter hashes what is counted, such as a number or a client address, into
	// the key of its counter.
	Counter Purpose = "counter"
	// Binding hashes a session credential, so that a step-up is bound to it.
	Binding Purpose = "binding"
	// Browser hashes the secret by which a browser is known again for a challenge.
	Browser Purpose = "browser"
	// Device hashes the secret by which a trusted device is known again.
	Device Purpose = "device"
	// Digest hashes a request as it was shown, so that no other is released for it.
	Digest Purpose = "digest"
	// Recovery hashes recovery keys.
	Recovery Purpose = "recovery"
	// SupportPass hashes support passes.
	SupportPass Purpose = "support_pass"
	// Notice signs the links of notices.
	Notice Purpose = "notice"
)

// purposes are all of them: each has a key made for it when a ring is.
var purposes = []Purpose{
	Cookie, Code, Sealing,
	Subject, Alias, Counter, Binding, Browser, Device, Digest, Recovery, SupportPass, Notice,
}
