package vonage

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strings"
	"testing"
)

func TestConfigurationsThatCannotWorkAreRefused(t *testing.T) {
	messages := func(c Config) error { _, err := NewMessages(c); return err }
	api := func(c Config) error { _, err := NewSMS(c); return err }
	verify := func(c Config) error { _, err := NewVerify(c); return err }
	for _, c := range []struct {
		name   string
		make   func(Config) error
		base   Config
		change func(*Config)
		want   string
	}{
		{"messages without credentials", messages, messagesConfig(""), func(c *Config) { *c = Config{From: "Example"} }, "write application_id and private_key_file"},
		{"messages with a key alone", messages, Config{From: "Example", APIKey: testKey}, nil, "write application_id and private_key_file"},
		{"messages with both credentials", messages, messagesConfig(""), func(c *Config) { c.APISecret = testSecret }, "leave out api_secret"},
		{"messages without an application", messages, messagesConfig(""), func(c *Config) { c.ApplicationID = "" }, "needs application_id"},
		{"messages without the application's key", messages, messagesConfig(""), func(c *Config) { c.PrivateKey = nil }, "needs private_key_file"},
		{"an application that is no UUID", messages, messagesConfig(""), func(c *Config) { c.ApplicationID = "main" }, "is no UUID"},
		{"credentials in the body of JSON", messages, basicMessagesConfig(""), func(c *Config) { c.CredentialsInBody = true }, "for api sms"},
		{"callbacks with an algorithm", messages, messagesConfig(""), func(c *Config) { c.SignatureAlgorithm = "sha512" }, "always HS256"},
		{"signed callbacks under a token", messages, messagesConfig(""), func(c *Config) { c.ReceiptToken = testToken }, "receipt_token is for api sms"},
		{"a secret without a key", messages, messagesConfig(""), func(c *Config) { c.APIKey = "" }, "needs api_key"},
		{"a secret that is short", messages, messagesConfig(""), func(c *Config) { c.SignatureSecret = strings.Repeat("s3cr3t", 5) }, "shorter than 32"},
		{"messages without a sender", messages, messagesConfig(""), func(c *Config) { c.From = "" }, "write from"},
		{"a sender with a plus", messages, messagesConfig(""), func(c *Config) { c.From = "+62812" }, "without +"},
		{"a sender of 12 letters", messages, messagesConfig(""), func(c *Config) { c.From = "ExampleSites" }, "up to 11 letters"},
		{"a sender with a space", messages, messagesConfig(""), func(c *Config) { c.From = "My Site" }, "without spaces"},
		{"a sender of 16 digits", messages, messagesConfig(""), func(c *Config) { c.From = "1234567890123456" }, "up to 15 digits"},
		{"an entity with a space", messages, messagesConfig(""), func(c *Config) { c.EntityID = "a b" }, "entity_id has"},
		{"a template with a newline", messages, messagesConfig(""), func(c *Config) { c.ContentID = "a\n" }, "content_id has"},
		{"a callback in plain", messages, messagesConfig(""), func(c *Config) { c.Callback = "http://casino.example/x" }, "callback is not https"},
		{"a callback that is none", messages, messagesConfig(""), func(c *Config) { c.Callback = "casino.example" }, "callback is no URL"},
		{"a callback with a query", messages, messagesConfig(""), func(c *Config) { c.Callback = "https://casino.example/?s3cr3t" }, "callback has a user, a query"},
		{"a callback that nothing proves", messages, basicMessagesConfig(""), func(c *Config) { c.Callback = "https://casino.example/" }, "write signature_secret too"},
		{"a host in plain", messages, messagesConfig("http://api.nexmo.com"), nil, "base_url is not https"},
		{"a host with a password", messages, messagesConfig("https://a:s3cr3t@api.nexmo.com"), nil, "base_url has a user"},
		{"a host that is none", messages, messagesConfig("s3cr3t"), nil, "base_url is no URL"},

		{"sms with an application", api, messagesConfig(""), nil, "write api_key and api_secret, or change api"},
		{"sms without a key", api, smsConfig(""), func(c *Config) { c.APIKey = "" }, "needs api_key"},
		{"sms without a secret", api, smsConfig(""), func(c *Config) { c.APISecret = "" }, "api_secret or signature_secret"},
		{"sms with both secrets", api, smsConfig(""), func(c *Config) { c.SignatureSecret = testSignature }, "leave out one"},
		{"sms signed and in the body", api, signedConfig(""), func(c *Config) { c.CredentialsInBody = true }, "needs api_secret"},
		{"sms signed somehow", api, signedConfig(""), func(c *Config) { c.SignatureAlgorithm = "" }, "md5hash, md5, sha1, sha256, sha512"},
		{"sms signed with something unknown", api, signedConfig(""), func(c *Config) { c.SignatureAlgorithm = "sha3" }, "md5hash, md5, sha1, sha256, sha512"},
		{"sms with an algorithm alone", api, smsConfig(""), func(c *Config) { c.SignatureAlgorithm = "sha256" }, "no signature_secret"},
		{"a token that can be guessed", api, smsConfig(""), func(c *Config) { c.ReceiptToken = "s3cr3t" }, "openssl rand -hex 16"},
		{"a token of several words", api, smsConfig(""), func(c *Config) { c.ReceiptToken = "s3cr3t/s3cr3t/s3cr3t/s3cr3t" }, "openssl rand -hex 16"},
		{"a callback with its token", api, smsConfig(""), func(c *Config) { c.Callback = "https://casino.example/" + testToken }, "appended"},
		{"sms in plain", api, smsConfig("http://10.0.0.1"), nil, "rest_url is not https"},

		{"verify with a callback", verify, verifyConfig(""), func(c *Config) { c.Callback = "https://casino.example/" }, "dashboard"},
		{"verify with a sender of digits", verify, verifyConfig(""), func(c *Config) { c.From = "628123456789" }, "3 to 11"},
		{"verify with a short sender", verify, verifyConfig(""), func(c *Config) { c.From = "ab" }, "3 to 11"},
	} {
		config := c.base
		if c.change != nil {
			c.change(&config)
		}
		err := c.make(config)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want an error with %q", c.name, err, c.want)
			continue
		}
		for _, secret := range []string{"s3cr3t", testSecret, testSignature, testToken} {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("%s: the error %q repeats a secret", c.name, err)
			}
		}
	}
}

func TestConfigurationsThatWork(t *testing.T) {
	callback := smsConfig("http://localhost:8099")
	for _, address := range []string{"https://casino.example/receipts/main", "https://casino.example/receipts/main/"} {
		callback.Callback = address
		s := must(t, NewSMS, callback)
		if got, want := s.request(testMessage).Callback, "https://casino.example/receipts/main/"+testToken; got != want {
			t.Errorf("callback is %q, want %q", got, want)
		}
	}
	digits := messagesConfig("http://[::1]:8099")
	digits.From = "628123456789012"
	must(t, NewMessages, digits)
	must(t, NewMessages, basicMessagesConfig(""))
	must(t, NewSMS, signedConfig(""))
	must(t, NewVerify, verifyConfig("https://api-ap.vonage.com"))
}

func TestPrivateKeysAreReadAsVonageAndOpenSSLWriteThem(t *testing.T) {
	key := testPrivateKey()
	pkcs8 := func(key any) []byte {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	for kind, der := range map[string][]byte{"PRIVATE KEY": pkcs8(key), "RSA PRIVATE KEY": x509.MarshalPKCS1PrivateKey(key)} {
		got, err := ParsePrivateKey(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
		if err != nil || !got.Equal(key) {
			t.Errorf("ParsePrivateKey of %s: %v", kind, err)
		}
	}
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		text []byte
		want string
	}{
		"of 1024 bits": {pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8(small)}), "1024 bits"},
		"of a curve":   {pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8(curve)}), "private.key"},
		"that is cut":  {pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8(key)[:100]}), "private.key"},
		"without PEM":  {pkcs8(key), "private.key"},
		"of nothing":   {nil, "private.key"},
	} {
		if _, err := ParsePrivateKey(c.text); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("ParsePrivateKey of a key %s = %v, want an error with %q", name, err, c.want)
		}
	}
}

// A sender or a configuration that ends in a log by accident must not take the
// operator's account with it.
func TestNothingPrintsItsSecrets(t *testing.T) {
	config := smsConfig("")
	for _, v := range []any{config, must(t, NewSMS, config), must(t, NewMessages, messagesConfig("")), must(t, NewVerify, verifyConfig(""))} {
		text := fmt.Sprintf("%v %+v %#v %s", v, v, v, v)
		for _, secret := range []string{testSecret, testSignature, testToken, testKey} {
			if strings.Contains(text, secret) {
				t.Errorf("%T prints %q", v, text)
			}
		}
	}
}
