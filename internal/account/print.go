package account

import (
	"fmt"
	"io"
	"log/slog"
)

// What holds a secret, a code or a phone prints as what it is and no more, under
// every verb of fmt and as a value of log/slog (invariant I8). Encoding it as
// JSON shows all of it: so it is stored, sealed. It must not be put into JSON
// that leaves the gateway.

// String keeps the account out of logs.
func (a Account) String() string { return fmt.Sprintf("account(epoch %d)", a.Epoch) }

// Format keeps the account out of logs.
func (a Account) Format(f fmt.State, _ rune) { show(f, a) }

// LogValue keeps the account out of logs.
func (a Account) LogValue() slog.Value { return slog.StringValue(a.String()) }

// String keeps secret and phone out of logs.
func (e Enrolment) String() string { return "enrolment(" + string(e.Factor) + ")" }

// Format keeps secret and phone out of logs.
func (e Enrolment) Format(f fmt.State, _ rune) { show(f, e) }

// LogValue keeps secret and phone out of logs.
func (e Enrolment) LogValue() slog.Value { return slog.StringValue(e.String()) }

// String keeps secret and phone out of logs.
func (s Setup) String() string { return "setup(" + string(s.Factor) + ")" }

// Format keeps secret and phone out of logs.
func (s Setup) Format(f fmt.State, _ rune) { show(f, s) }

// LogValue keeps secret and phone out of logs.
func (s Setup) LogValue() slog.Value { return slog.StringValue(s.String()) }

// String keeps the codes out of logs.
func (a Answer) String() string { return "answer(" + string(a.Factor) + ")" }

// Format keeps the codes out of logs.
func (a Answer) Format(f fmt.State, _ rune) { show(f, a) }

// LogValue keeps the codes out of logs.
func (a Answer) LogValue() slog.Value { return slog.StringValue(a.String()) }

// String keeps the recovery key out of logs.
func (r Result) String() string { return fmt.Sprintf("result(verdict %d)", r.Verdict) }

// Format keeps the recovery key out of logs.
func (r Result) Format(f fmt.State, _ rune) { show(f, r) }

// LogValue keeps the recovery key out of logs.
func (r Result) LogValue() slog.Value { return slog.StringValue(r.String()) }

// String keeps set-up and recovery key out of logs.
func (b Bound) String() string { return fmt.Sprintf("bound(verdict %d)", b.Verdict) }

// Format keeps set-up and recovery key out of logs.
func (b Bound) Format(f fmt.State, _ rune) { show(f, b) }

// LogValue keeps set-up and recovery key out of logs.
func (b Bound) LogValue() slog.Value { return slog.StringValue(b.String()) }

// String keeps the code out of logs.
func (s SetupSend) String() string { return fmt.Sprintf("set-up send(granted %t)", s.Granted) }

// Format keeps the code out of logs.
func (s SetupSend) Format(f fmt.State, _ rune) { show(f, s) }

// LogValue keeps the code out of logs.
func (s SetupSend) LogValue() slog.Value { return slog.StringValue(s.String()) }

// String keeps link and phones out of logs.
func (a Alert) String() string { return "alert(" + string(a.Kind) + ")" }

// Format keeps link and phones out of logs.
func (a Alert) Format(f fmt.State, _ rune) { show(f, a) }

// LogValue keeps link and phones out of logs.
func (a Alert) LogValue() slog.Value { return slog.StringValue(a.String()) }

// String keeps what is in a link out of logs.
func (n Notice) String() string { return "notice(" + string(n.Kind) + ")" }

// Format keeps what is in a link out of logs.
func (n Notice) Format(f fmt.State, _ rune) { show(f, n) }

// LogValue keeps what is in a link out of logs.
func (n Notice) LogValue() slog.Value { return slog.StringValue(n.String()) }

// show writes what String says, whatever the verb: most would show the bytes of
// the fields.
func show(f fmt.State, s fmt.Stringer) { _, _ = io.WriteString(f, s.String()) }
