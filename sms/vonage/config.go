package vonage

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

// minKeyBits is what NIST SP 800-131A asks of RSA, and what Vonage makes.
const minKeyBits = 2048

// minToken is the length of 128 random bits in base64.
const minToken = 22

// minWebhookSecret is the shortest key of HS256, RFC 7518 section 3.2.
const minWebhookSecret = 32

var errPrivateKey = errors.New("the private key is none of RSA in PEM: write the path of the private.key that Vonage's dashboard gave for the application")

// ParsePrivateKey reads an application's RSA key in PEM, as PKCS #8 or PKCS #1, of
// 2048 bits or more. No error repeats a part of it.
func ParsePrivateKey(text []byte) (*rsa.PrivateKey, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errPrivateKey
	}
	key, err := x509.ParsePKCS1PrivateKey(block.Bytes)
	if err != nil {
		parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		k, ok := parsed.(*rsa.PrivateKey)
		if err != nil || !ok {
			return nil, errPrivateKey
		}
		key = k
	}
	if key.N.BitLen() < minKeyBits {
		return nil, fmt.Errorf("the private key has %d bits: make a new one of %d in Vonage's dashboard", key.N.BitLen(), minKeyBits)
	}
	return key, nil
}

// complete fills in the defaults.
func (c *Config) complete(address string) {
	if c.URL == "" {
		c.URL = address
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
}

var (
	uuid        = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)
	sender      = regexp.MustCompile(`^([0-9]{1,15}|[0-9A-Za-z]{1,11})$`)
	brandSender = regexp.MustCompile(`^[0-9A-Za-z]{3,11}$`)
)

// checkApplication reports what is wrong with the credentials of the Messages and the
// Verify API: a key of an application, or the account's secret.
func (c *Config) checkApplication() error {
	switch {
	case c.CredentialsInBody:
		return errors.New("credentials_in_body is for api sms: leave it out")
	case c.PrivateKey != nil && c.APISecret != "":
		return errors.New("there are both private_key_file and api_secret, and Vonage takes one: leave out api_secret, which can do more")
	case c.ApplicationID != "" && c.PrivateKey == nil:
		return errors.New("application_id needs private_key_file: write the path of the application's private key")
	case c.ApplicationID == "" && c.PrivateKey != nil:
		return errors.New("private_key_file needs application_id: write the id that Vonage's dashboard gave the application")
	case c.PrivateKey == nil && (c.APIKey == "" || c.APISecret == ""):
		return errors.New("there are no credentials: write application_id and private_key_file, or else api_key and api_secret")
	case c.ApplicationID != "" && !uuid.MatchString(c.ApplicationID):
		return errors.New("application_id is no UUID: write it as Vonage's dashboard shows it, such as aaaaaaaa-bbbb-4ccc-8ddd-0123456789ab")
	}
	return nil
}

// checkWebhooks reports what is wrong with the proof of callbacks of the Messages and
// the Verify API, which are always signed.
func (c *Config) checkWebhooks() error {
	switch {
	case c.SignatureAlgorithm != "":
		return errors.New("signature_secret has an algorithm, which is for api sms: leave it out, since these callbacks are always HS256")
	case c.ReceiptToken != "":
		return errors.New("receipt_token is for api sms, whose receipts may be unsigned: leave it out, and write signature_secret")
	case c.SignatureSecret != "" && c.APIKey == "":
		return errors.New("signature_secret needs api_key: write the account's key, which every callback names")
	case c.SignatureSecret != "" && len(c.SignatureSecret) < minWebhookSecret:
		return fmt.Errorf("signature_secret is shorter than %d characters: set a longer one in Vonage's dashboard", minWebhookSecret)
	}
	return nil
}

// checkSMS reports what is wrong with what the SMS API proves itself with, in both
// directions.
func (c *Config) checkSMS() error {
	switch {
	case c.ApplicationID != "" || c.PrivateKey != nil:
		return errors.New("application_id and private_key_file are for api messages and api verify: write api_key and api_secret, or change api")
	case c.APIKey == "":
		return errors.New("api sms needs api_key: write the account's key")
	case c.APISecret == "" && c.SignatureSecret == "":
		return errors.New("api sms needs api_secret or signature_secret: write one of them")
	case c.APISecret != "" && c.SignatureSecret != "":
		return errors.New("there are both api_secret and signature_secret, and Vonage refuses a message that bears both: leave out one")
	case c.CredentialsInBody && c.APISecret == "":
		return errors.New("credentials_in_body needs api_secret: write it, or leave out credentials_in_body")
	case c.SignatureSecret != "" && !slices.Contains(Algorithms, c.SignatureAlgorithm):
		return fmt.Errorf("signature_secret needs the algorithm that Vonage's dashboard shows for the account: write one of %s after it", strings.Join(Algorithms, ", "))
	case c.SignatureSecret == "" && c.SignatureAlgorithm != "":
		return errors.New("there is an algorithm for signatures and no signature_secret: write both")
	case c.ReceiptToken != "" && (len(c.ReceiptToken) < minToken || !isWord(c.ReceiptToken, "-_")):
		return fmt.Errorf("receipt_token can be guessed, or stands in no URL: write %d or more random letters, digits, - and _, such as `openssl rand -hex 16` prints", minToken)
	}
	return nil
}

// checkMessage reports what is wrong with what every message bears.
func (c *Config) checkMessage() error {
	switch {
	case c.From == "":
		return errors.New("there is no sender: write from and the sender that is registered, such as from EXAMPLE")
	case !sender.MatchString(c.From):
		return errors.New("from is no sender: write up to 15 digits without +, or up to 11 letters and digits without spaces")
	case c.Callback != "" && c.SignatureSecret == "" && c.ReceiptToken == "":
		return errors.New("callback asks for receipts that nothing proves: write signature_secret too (or receipt_token, with api sms), or leave out callback")
	}
	if c.Callback != "" {
		if _, err := parseURL("callback", c.Callback); err != nil {
			return err
		}
		if c.ReceiptToken != "" && strings.HasSuffix(c.Callback, "/"+c.ReceiptToken) {
			return errors.New("callback ends in the receipt_token, which is appended to it: leave it out there")
		}
	}
	return c.checkIDs()
}

func (c *Config) checkIDs() error {
	for name, id := range map[string]string{"entity_id": c.EntityID, "content_id": c.ContentID} {
		if id != "" && !isID(id) {
			return fmt.Errorf("%s has something else than letters, digits, - and _ in it: write the id of the registration", name)
		}
	}
	return nil
}

// parseURL reads an address that secrets or receipts go to. The error does not repeat
// it, since it may hold some.
func parseURL(name, address string) (*url.URL, error) {
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Hostname() == "" || u.Opaque != "":
		return nil, fmt.Errorf("%s is no URL: write one such as %s", name, DefaultURL)
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, fmt.Errorf("%s has a user, a query or a fragment: leave them out", name)
	case u.Scheme == "https" || u.Scheme == "http" && isLoopback(u.Hostname()):
		return u, nil
	}
	return nil, fmt.Errorf("%s is not https, so whoever is on the way reads it: write https", name)
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback() || host == "localhost"
}
