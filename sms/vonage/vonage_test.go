package vonage

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stepgate/stepgate/sms"
)

// What the recordings were made with; see testdata/vonage/versions.json.
const (
	testKey         = "abcd1234"
	testSecret      = "fakeSecret0123456789"
	testApplication = "aaaaaaaa-bbbb-4ccc-8ddd-0123456789ab"
	testSignature   = "fakeSignatureSecret0123456789abcdef"
	testID          = "c11236f4-00bf-4b89-84ba-88b25df97315"
	testToken       = "0123456789abcdefghijkl"
)

// testPrivateKey is made anew: the private half of the recordings was never written.
var testPrivateKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

var testMessage = sms.Message{
	To:       "+6281234567890",
	Text:     "Kode masuk Example Anda: 123456. Jangan beri kode ini ke siapa pun. Berlaku 5 menit.",
	Code:     "123456",
	Ref:      "chal-01HZX",
	Locale:   "id",
	Validity: 5 * time.Minute,
	Brand:    "Example",
}

func messagesConfig(url string) Config {
	return Config{
		ApplicationID: testApplication, PrivateKey: testPrivateKey(),
		APIKey: testKey, SignatureSecret: testSignature,
		From: "Example", URL: url,
	}
}

func basicMessagesConfig(url string) Config {
	return Config{APIKey: testKey, APISecret: testSecret, From: "Example", URL: url}
}

func smsConfig(url string) Config {
	return Config{APIKey: testKey, APISecret: testSecret, ReceiptToken: testToken, From: "Example", URL: url}
}

func signedConfig(url string) Config {
	return Config{APIKey: testKey, SignatureSecret: testSignature, SignatureAlgorithm: "sha256", From: "Example", URL: url}
}

func verifyConfig(url string) Config {
	c := messagesConfig(url)
	c.From = ""
	return c
}

// must returns what a constructor returns for a configuration that is right.
func must[S any](t testing.TB, make func(Config) (S, error), c Config) S {
	t.Helper()
	s, err := make(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// serve runs a handler in Vonage's place.
func serve(t testing.TB, handler http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

// read reads a file of testdata/vonage.
func read(t testing.TB, name string, into any) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../testdata/vonage", name))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}
