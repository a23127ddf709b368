// Package unanswered says why an HTTP request has no answer, in words that may be
// logged.
package unanswered

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
)

// Reason returns what may be said of err, which a client of net/http returned for a
// request with ctx. Errors of net/http name the address, which may hold a token or a
// phone number, and can quote what the other side wrote, which may be what it was sent.
func Reason(ctx context.Context, err error) error {
	if ended := ctx.Err(); ended != nil {
		return ended
	}
	if e, ok := errors.AsType[*net.OpError](err); ok {
		return e
	}
	if e, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return e
	}
	if errors.Is(err, io.EOF) {
		return errors.New("the connection is closed without an answer")
	}
	return errors.New("there is no answer in HTTP")
}
