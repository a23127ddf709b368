package vonagetest

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// recordings is where the official client's traffic lies.
const recordings = "../../../testdata/vonage"

// The account of the recordings.
const (
	testKey         = "abcd1234"
	testSecret      = "fakeSecret0123456789"
	testApplication = "aaaaaaaa-bbbb-4ccc-8ddd-0123456789ab"
	testSignature   = "fakeSignatureSecret0123456789abcdef"
)

var privateKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// epoch is when the tests' clock begins.
var epoch = time.Unix(1_790_000_000, 0)

// clock is a clock that moves when it is told to.
type clock struct {
	mu  sync.Mutex // guards now
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// options are those of the recordings' account.
func options() Options {
	return Options{
		Key: testKey, Secret: testSecret, Application: testApplication, PublicKey: &privateKey().PublicKey,
		SignatureSecret: testSignature, Signature: SHA256, Now: func() time.Time { return epoch },
	}
}

// claims are those of a good token at the epoch.
func claims() map[string]any {
	return map[string]any{"application_id": testApplication, "iat": epoch.Unix(), "exp": epoch.Unix() + 900, "jti": uuid()}
}

// token signs claims as an application does.
func token(t testing.TB, header string, claims map[string]any) string {
	t.Helper()
	body, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	signed := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString(body)
	digest := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(nil, privateKey(), crypto.SHA256, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature)
}

const rs256 = `{"alg":"RS256","typ":"JWT"}`

// request is one HTTP request in a table.
type request struct {
	method, path, contentType, body, authorization string
}

// basicHeader is the Authorization of the account.
var basicHeader = "Basic " + base64.StdEncoding.EncodeToString([]byte(testKey+":"+testSecret))

// received is an answer as it came.
type received struct {
	status      int
	contentType string
	body        string
}

func (r received) object(t testing.TB) map[string]any {
	t.Helper()
	var object map[string]any
	if err := json.Unmarshal([]byte(r.body), &object); err != nil {
		t.Fatalf("the answer %d %q is no JSON object: %v", r.status, r.body, err)
	}
	return object
}

// send makes a request through a client, and fails the test if there is no answer.
func send(t testing.TB, client *http.Client, r request) received {
	t.Helper()
	got, err := try(t.Context(), client, "http://fake.test", r)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func try(ctx context.Context, client *http.Client, base string, r request) (received, error) {
	req, err := http.NewRequestWithContext(ctx, r.method, base+r.path, strings.NewReader(r.body))
	if err != nil {
		return received{}, err
	}
	if r.contentType != "" {
		req.Header.Set("Content-Type", r.contentType)
	}
	if r.authorization != "" {
		req.Header.Set("Authorization", r.authorization)
	}
	answer, err := client.Do(req)
	if err != nil {
		return received{}, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	return received{answer.StatusCode, answer.Header.Get("Content-Type"), string(body)}, err
}

// The requests that most tests vary.
func smsRequest(body string) request {
	return request{"POST", "/sms/json", "application/json", body, basicHeader}
}

func messagesRequest(body string) request {
	return request{"POST", "/v1/messages", "application/json", body, basicHeader}
}

func verifyRequest(body string) request {
	return request{"POST", "/v2/verify", "application/json", body, basicHeader}
}

const (
	goodSMS     = `{"to":"6281234567890","from":"Example","text":"123456","client-ref":"chal-1"}`
	goodMessage = `{"channel":"sms","message_type":"text","to":"6281234567890","from":"Example","text":"123456","client_ref":"chal-1"}`
	goodVerify  = `{"brand":"Example","code":"123456","client_ref":"chal-1","workflow":[{"channel":"sms","to":"6281234567890"}]}`
)

// statusOf returns the first status of an SMS answer.
func statusOf(t testing.TB, r received) string {
	t.Helper()
	var answer struct {
		Messages []struct{ Status string }
	}
	if err := json.Unmarshal([]byte(r.body), &answer); err != nil || len(answer.Messages) == 0 {
		t.Fatalf("the answer %d %q is none of the SMS API", r.status, r.body)
	}
	return answer.Messages[0].Status
}

// edit returns a JSON object with one field set, or removed if value is nil.
func edit(t testing.TB, object, name string, value any) string {
	t.Helper()
	var fields map[string]any
	if err := json.Unmarshal([]byte(object), &fields); err != nil {
		t.Fatal(err)
	}
	fields[name] = value
	if value == nil {
		delete(fields, name)
	}
	b, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// readJSON reads a recording.
func readJSON(t testing.TB, name string, v any) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(recordings, name))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}
