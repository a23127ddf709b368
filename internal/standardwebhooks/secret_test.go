package standardwebhooks

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The vector of the specification's reference implementations.
func TestTheSignatureIsThatOfStandardWebhooks(t *testing.T) {
	s, err := ParseSecret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		t.Fatal(err)
	}
	got := http.Header{}
	s.Sign(got, "msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`))
	want := http.Header{
		"Webhook-Id":        {"msg_p5jXN8AQM9LWM0D4loKWxJek"},
		"Webhook-Timestamp": {"1614265330"},
		"Webhook-Signature": {"v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("signed (-want +got):\n%s", diff)
	}
}

func TestASecretPrintsWithoutWhatIsInIt(t *testing.T) {
	const key = "0123456789abcdefghijklmnopqrstuv"
	s, err := ParseSecret("whsec_" + base64.StdEncoding.EncodeToString([]byte(key)))
	if err != nil {
		t.Fatal(err)
	}
	dump, err := json.Marshal(map[string]any{"secret": s})
	if err != nil {
		t.Fatal(err)
	}
	printed := string(dump) + fmt.Sprintf("%v %+v %#v %s", s, s, s, s)
	if strings.Contains(printed, key) || strings.Contains(printed, fmt.Sprint([]byte(key))) || strings.Contains(printed, "0x30") || !strings.Contains(printed, "REDACTED") {
		t.Errorf("printed %s", printed)
	}
}

func TestSecretsAreLongEnoughOrNone(t *testing.T) {
	encoded := func(n int) string { return base64.StdEncoding.EncodeToString(make([]byte, n)) }
	for text, want := range map[string]bool{
		"whsec_" + encoded(24): true, "whsec_" + encoded(32): true, "whsec_" + encoded(64): true,
		"whsec_" + encoded(23): false, "whsec_" + encoded(65): false, encoded(32): false, "whsec_": false, "": false,
		"whsec_" + strings.TrimRight(encoded(32), "="): false, "WHSEC_" + encoded(24): false, "whsec_s3cr3t!": false,
	} {
		s, err := ParseSecret(text)
		if (err == nil) != want || s.IsZero() == want {
			t.Errorf("ParseSecret(%q) = %v, want a secret: %v", text, err, want)
		}
		if err != nil && (len(text) > 6 && strings.Contains(err.Error(), strings.TrimPrefix(text, "whsec_")) || !strings.Contains(err.Error(), "openssl rand -base64 32")) {
			t.Errorf("ParseSecret(%q) = %v, want what to write, without what was written", text, err)
		}
	}
}
