package unanswered

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestAReasonSaysWhatHappenedWithoutTheAddress(t *testing.T) {
	hangingUp := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	defer hangingUp.Close()
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = gone.Close() // nobody listens there now
	untrusted := httptest.NewUnstartedServer(http.NotFoundHandler())
	untrusted.Config.ErrorLog = log.New(io.Discard, "", 0)
	untrusted.StartTLS()
	defer untrusted.Close()
	for address, want := range map[string]string{
		hangingUp.URL:                      "closed without an answer",
		"http://" + gone.Addr().String():   "connection refused",
		untrusted.URL:                      "failed to verify certificate",
		"gopher://" + gone.Addr().String(): "no answer in HTTP",
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address+"/?to=6281234567890", nil)
		if err != nil {
			t.Fatal(err)
		}
		_, err = http.DefaultClient.Do(request)
		reason := Reason(t.Context(), err)
		if !strings.Contains(reason.Error(), want) || strings.Contains(reason.Error(), "6281234567890") {
			t.Errorf("Reason(%v) = %v, want %q without the number", err, reason, want)
		}
	}
}

func TestAnEndedContextIsTheReason(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got := Reason(ctx, errors.New("Post \"https://u:p@h/\": x")); !errors.Is(got, context.Canceled) {
		t.Errorf("Reason = %v, want context.Canceled", got)
	}
}
