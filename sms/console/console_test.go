package console

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stepgate/stepgate/sms"
)

var message = sms.Message{
	To:       "+6281234567890",
	Text:     "Kode Example Anda: 123456.\n\n@casino.example #123456",
	Code:     "123456",
	Ref:      "m-1",
	Validity: 5 * time.Minute,
}

func TestSendPrintsNumberAndFullTextForTheDeveloper(t *testing.T) {
	var out strings.Builder
	s := &Sender{W: &out}
	receipt, err := s.Send(t.Context(), message)
	if err != nil || receipt.ID != "m-1" {
		t.Fatalf("Send = %v, %v, want receipt m-1", receipt, err)
	}
	want := `
┌─ SMS to +6281234567890 (console sender: nothing was sent)
│ Kode Example Anda: 123456.
│ 
│ @casino.example #123456
└─ ref m-1, valid 5m0s
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("printed (-want +got):\n%s", diff)
	}
}

// A player who names the payee "\x1b[2J" must not clear, retitle or rewrite the
// developer's terminal.
func TestSendLetsNoTextDriveTheTerminal(t *testing.T) {
	var out strings.Builder
	m := message
	m.Text = "to \x1b[2J\r\x07\u202e evil"
	if _, err := (&Sender{W: &out}).Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	if strings.ContainsAny(out.String(), "\x1b\r\x07\u202e") {
		t.Errorf("printed %q: it holds control characters", out.String())
	}
}

func TestSendKeepsConcurrentMessagesApart(t *testing.T) {
	var out strings.Builder
	s := &Sender{W: &out}
	var wg sync.WaitGroup
	const n = 50
	for i := range n {
		wg.Go(func() {
			m := message
			m.Ref = fmt.Sprintf("m-%d", i)
			if _, err := s.Send(context.Background(), m); err != nil {
				t.Errorf("Send: %v", err)
			}
		})
	}
	wg.Wait()
	for i := range n {
		m := message
		m.Ref = fmt.Sprintf("m-%d", i)
		if !strings.Contains(out.String(), format(m)) {
			t.Errorf("message %d is missing or torn", i)
		}
	}
}

func TestSendReportsAConsoleThatCannotBeWritten(t *testing.T) {
	_, err := (&Sender{W: brokenWriter{}}).Send(t.Context(), message)
	if got := sms.ClassOf(err); err == nil || got != sms.Unknown {
		t.Errorf("Send = %v of class %v, want class unknown", err, got)
	}
	if strings.Contains(err.Error(), "123456") {
		t.Errorf("the error %q repeats the code", err)
	}
}

func TestSendDoesNotPrintWhenNobodyWaits(t *testing.T) {
	var out strings.Builder
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := (&Sender{W: &out}).Send(ctx, message)
	if sms.ClassOf(err) != sms.NotSent || !errors.Is(err, context.Canceled) || out.Len() != 0 {
		t.Errorf("Send = %v, printed %q, want not_sent and nothing printed", err, out.String())
	}
}

type brokenWriter struct{}

func (brokenWriter) Write(p []byte) (int, error) { return 0, fmt.Errorf("cannot write %q", p) }
