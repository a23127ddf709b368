package gate

import (
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/audit"
	"github.com/stepgate/stepgate/internal/courier"
	"github.com/stepgate/stepgate/policy"
	"github.com/stepgate/stepgate/sms"
)

// receiptsPath is where providers say what became of an SMS, before their name.
const receiptsPath = "/sms/receipts/"

// maxReceipt is the longest body of a callback, in bytes.
const maxReceipt = 64 << 10

// reasonNoReceiver is why a callback is not taken that is for no provider: the address
// that the provider was told has another name in it, or somebody tries names.
const reasonNoReceiver = "no_receiver"

// serveReceipt takes the callback of a provider. It needs no session, and nothing that it
// says lets anybody in: that a message failed allows the player to ask for another one at
// once, no more often than otherwise.
func (g *Gate) serveReceipt(w http.ResponseWriter, r *http.Request, o own, rest string) error {
	// Providers write the player's number into the query, and the token that vouches for
	// them stands in the path (invariant I8). Events tell of whatever comes.
	g.Unlogged(r)
	name, path, _ := strings.Cut(rest, "/")
	if g.SMS == nil || g.SMS.Receivers[name] == nil {
		g.observe(r, audit.Event{Name: audit.SMSForged, Factor: string(policy.SMS), Reason: reasonNoReceiver})
		return g.notFound(w, r, o)
	}
	if r.Method != http.MethodPost && r.Method != http.MethodGet {
		return g.wrongMethod(w, r, o, "GET, POST")
	}
	w.Header().Set("Cache-Control", "no-store")
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxReceipt))
	if err != nil {
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		return nil
	}
	reports, err := g.SMS.Receivers[name].Receive(sms.Callback{
		Method: r.Method, Path: path, Query: r.URL.RawQuery, Header: r.Header, Body: body,
	})
	switch {
	case errors.Is(err, sms.ErrForged):
		g.observe(r, audit.Event{Name: audit.SMSForged, Factor: string(policy.SMS), Provider: name})
		// A provider's own fault can leave a callback unsigned; told to try again, it signs
		// the next one.
		w.WriteHeader(http.StatusServiceUnavailable)
		return nil
	case err != nil:
		// It comes from the provider and would only come again.
		g.Failed(r, err)
	}
	for _, report := range reports {
		if err := g.report(r, name, report); err != nil {
			return g.unavailable(w, r, o, err)
		}
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

// report takes what a provider says of a message.
func (g *Gate) report(r *http.Request, provider string, report sms.Report) error {
	b, err := g.Backend(r.Context())
	if err != nil {
		return err
	}
	purpose, failed, err := g.SMS.Report(r.Context(), g.desk(b), provider, report)
	if err != nil || !failed {
		return err
	}
	return undelivered(r, b, purpose)
}

// undelivered lets the player ask for another code at once.
func undelivered(r *http.Request, b *Backend, p courier.Purpose) error {
	if p.Challenge == "" {
		return b.Accounts.SetupUndelivered(r.Context(), account.ID(p.Account), p.Setup, p.Send)
	}
	_, err := b.Challenges.MarkUndelivered(r.Context(), p.Challenge, p.Send)
	if isNotFound(err) {
		return nil
	}
	return err
}
