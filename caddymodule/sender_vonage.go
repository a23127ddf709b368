package caddymodule

import (
	"crypto/rsa"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/stepgate/stepgate/sms"
	"github.com/stepgate/stepgate/sms/vonage"
)

func init() { caddy.RegisterModule(new(VonageSender)) }

// VonageSender sends codes through Vonage: by its Messages API, by its older SMS API,
// or by its Verify API, which makes the code itself and so stands in for no other
// sender, nor another for it.
//
// Placeholders such as `{env.VONAGE_API_SECRET}` or `{file./run/secrets/vonage}` are
// replaced at load in every field but api. What stands here is in every dump of the
// configuration, so write secrets as placeholders.
type VonageSender struct {
	// Which API: `messages`, `sms` or `verify`. Default: `messages`.
	API string `json:"api,omitempty"`

	// The application's id, and the path of its private key in PEM (RSA of 2048 bits or
	// more), for `messages` and `verify`: each request bears a token that is good for 15
	// minutes. Whoever has the key can do what the application may. Default: none; then
	// api_key and api_secret are used.
	ApplicationID  string `json:"application_id,omitempty"`
	PrivateKeyFile string `json:"private_key_file,omitempty"`

	// The account's key. Needed with api_secret and with signature_secret, and for
	// `sms` always.
	APIKey string `json:"api_key,omitempty"`

	// The account's secret, instead of an application or of signed requests. Whoever
	// has it can do everything with the account, spending its credit among it. Default:
	// none.
	APISecret string `json:"api_secret,omitempty"`

	// Whether `sms` has key and secret in the body of a request rather than in its
	// header. Both go over TLS. Default: false.
	CredentialsInBody bool `json:"credentials_in_body,omitempty"`

	// What Vonage signs its callbacks with: the account's signature secret, of 32
	// characters or more for `messages` and `verify`. Without it their callbacks are
	// refused. For `sms` requests are signed with it too, in place of api_secret.
	// Whoever has it can report that messages failed. Default: none.
	SignatureSecret string `json:"signature_secret,omitempty"`

	// How `sms` signs: `md5hash`, `md5`, `sha1`, `sha256` or `sha512`, as the account is
	// set in Vonage's dashboard, where sha512 should be chosen. Required with `sms` and
	// a signature_secret, and refused otherwise: the other callbacks are always HS256.
	SignatureAlgorithm string `json:"signature_algorithm,omitempty"`

	// The sender: up to 15 digits without `+`, or up to 11 letters and digits. Most
	// countries let only registered ones through. Required, but for `verify`, where it
	// is 3 to 11 letters and digits and Vonage's own is the default.
	From string `json:"from,omitempty"`

	// What some countries register the company and the template under. Default: none.
	EntityID  string `json:"entity_id,omitempty"`
	ContentID string `json:"content_id,omitempty"`

	// For `sms`, whose receipts are signed only where Vonage's support has switched it
	// on: 22 or more random letters, digits, `-` and `_`, which follow the receipts' URL
	// after a slash. Whoever knows it can report that messages failed. Default: none;
	// then receipts without a signature are refused.
	ReceiptToken string `json:"receipt_token,omitempty"`

	// The https URL where Vonage reports what became of each message; receipt_token is
	// appended to it. Not for `verify`. Default: what Vonage's dashboard says.
	Callback string `json:"callback,omitempty"`

	// Where the APIs are: https, or http on this machine. Redirects are not followed.
	// base_url is for `messages` and `verify`, rest_url for `sms`. Default:
	// `https://api.nexmo.com` and `https://rest.nexmo.com`.
	BaseURL string `json:"base_url,omitempty"`
	RestURL string `json:"rest_url,omitempty"`

	sender   sms.Sender
	verifier sms.Verifier
}

// vonageAPIs are the values of api.
var vonageAPIs = []string{"messages", "sms", "verify"}

// CaddyModule returns the Caddy module information.
func (*VonageSender) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: senderNamespace + ".vonage", New: func() caddy.Module { return new(VonageSender) }}
}

// Provision checks the configuration and reads the private key. It asks nothing.
func (v *VonageSender) Provision(caddy.Context) error {
	known := caddy.NewReplacer()
	replace := func(value, _ string) (string, error) { return known.ReplaceOrErr(value, true, true) }
	var err error
	if v.sender, v.verifier, err = v.open(replace, readPrivateKey); err != nil {
		return fmt.Errorf("vonage: %w", err)
	}
	return nil
}

// readPrivateKey reads an application's key. Its errors leave the path out: a variable
// may have the key itself in the place of its path.
func readPrivateKey(path string) (*rsa.PrivateKey, error) {
	text, err := os.ReadFile(path)
	if err == nil {
		return vonage.ParsePrivateKey(text)
	}
	if strings.Contains(path, "-----BEGIN") {
		return nil, errors.New("it is the key itself: write the key into a file, and here the path of that")
	}
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		err = e.Err
	}
	return nil, fmt.Errorf("%w: write the path of the private.key that Vonage's dashboard gave for the application", err)
}

// Open returns the sender, or the verifier of api verify.
func (v *VonageSender) Open() (sms.Sender, sms.Verifier) { return v.sender, v.verifier }

// open returns what is configured. replace gives a value without placeholders, or
// something that can stand for it; key reads the private key.
func (v *VonageSender) open(replace func(value, example string) (string, error), key func(path string) (*rsa.PrivateKey, error)) (sms.Sender, sms.Verifier, error) {
	config := vonage.Config{CredentialsInBody: v.CredentialsInBody, SignatureAlgorithm: v.SignatureAlgorithm}
	address, err := v.address()
	if err != nil {
		return nil, nil, err
	}
	path := ""
	for _, f := range []struct {
		name, value, example string
		into                 *string
	}{
		{"application_id", v.ApplicationID, "00000000-0000-0000-0000-000000000000", &config.ApplicationID},
		{"private_key_file", v.PrivateKeyFile, "vonage.pem", &path},
		{"api_key", v.APIKey, "00000000", &config.APIKey},
		{"api_secret", v.APISecret, "0", &config.APISecret},
		{"signature_secret", v.SignatureSecret, strings.Repeat("0", 32), &config.SignatureSecret},
		{"from", v.From, "EXAMPLE", &config.From},
		{"entity_id", v.EntityID, "0", &config.EntityID},
		{"content_id", v.ContentID, "0", &config.ContentID},
		{"receipt_token", v.ReceiptToken, strings.Repeat("0", 22), &config.ReceiptToken},
		{"callback", v.Callback, "https://example.com", &config.Callback},
		{"the URL of the API", address, vonage.DefaultURL, &config.URL},
	} {
		if *f.into, err = replace(f.value, f.example); err != nil {
			return nil, nil, fmt.Errorf("reading %s: %w", f.name, err)
		}
	}
	if path != "" {
		if config.PrivateKey, err = key(path); err != nil {
			return nil, nil, fmt.Errorf("reading private_key_file: %w", err)
		}
	}
	var sender sms.Sender
	var verifier sms.Verifier
	switch v.API {
	case "sms":
		sender, err = vonage.NewSMS(config)
	case "verify":
		verifier, err = vonage.NewVerify(config)
	default:
		sender, err = vonage.NewMessages(config)
	}
	if err != nil {
		return nil, nil, err // and no interface around a nil pointer
	}
	return sender, verifier, nil
}

// address returns where the API is, or what is wrong with the choice of one.
func (v *VonageSender) address() (string, error) {
	switch {
	case v.API != "" && !slices.Contains(vonageAPIs, v.API):
		return "", fmt.Errorf("there is no api %q: write messages, sms or verify", v.API)
	case v.API == "sms" && v.BaseURL != "":
		return "", errors.New("base_url is for api messages and api verify: write rest_url")
	case v.API != "sms" && v.RestURL != "":
		return "", errors.New("rest_url is for api sms: write base_url")
	case v.API == "sms":
		return v.RestURL, nil
	}
	return v.BaseURL, nil
}

// UnmarshalCaddyfile sets up the sender from Caddyfile tokens:
//
//	vonage {
//		api              messages | sms | verify
//		application_id   <uuid>
//		private_key_file <path>
//		api_key          <key>
//		api_secret       <secret>
//		credentials_in_body
//		signature_secret <secret> [md5hash | md5 | sha1 | sha256 | sha512]
//		from             <sender>
//		entity_id        <id>
//		content_id       <id>
//		receipt_token    <secret>
//		callback         <https url>
//		base_url         <url>
//		rest_url         <url>
//	}
func (v *VonageSender) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the module's name
	err := parseBlock(d, "vonage", []option{
		{name: "api", parse: v.parseAPI},
		text("application_id", "the application's id in Vonage's dashboard", &v.ApplicationID),
		text("private_key_file", "the path of the application's private key, such as /run/secrets/vonage.pem", &v.PrivateKeyFile),
		text("api_key", "the account's key", &v.APIKey),
		text("api_secret", "a placeholder such as {env.VONAGE_API_SECRET}", &v.APISecret),
		flag("credentials_in_body", &v.CredentialsInBody),
		{name: "signature_secret", parse: v.parseSignature},
		text("from", "the sender that is registered, such as EXAMPLE", &v.From),
		text("entity_id", "the id that the company is registered under", &v.EntityID),
		text("content_id", "the id that the template is registered under", &v.ContentID),
		text("receipt_token", "a placeholder such as {env.VONAGE_RECEIPT_TOKEN}", &v.ReceiptToken),
		text("callback", "the public URL of the receipts", &v.Callback),
		text("base_url", "a URL such as "+vonage.DefaultURL, &v.BaseURL),
		text("rest_url", "a URL such as "+vonage.DefaultRestURL, &v.RestURL),
	})
	if err != nil {
		return err
	}
	// A placeholder, and the private key, are known when the configuration is loaded.
	replace := func(value, example string) (string, error) {
		if strings.Contains(value, "{") {
			return example, nil
		}
		return value, nil
	}
	if _, _, err := v.open(replace, func(string) (*rsa.PrivateKey, error) { return new(rsa.PrivateKey), nil }); err != nil {
		return d.Errf("vonage: %w", err)
	}
	return nil
}

func (v *VonageSender) parseAPI(d *caddyfile.Dispenser) (err error) {
	if v.API, err = argument(d, "messages, sms or verify"); err == nil && !slices.Contains(vonageAPIs, v.API) {
		return unknown(d, v.API, "api of vonage", vonageAPIs)
	}
	return err
}

func (v *VonageSender) parseSignature(d *caddyfile.Dispenser) (err error) {
	if v.SignatureSecret, err = argument(d, "a placeholder such as {env.VONAGE_SIGNATURE_SECRET}"); err != nil || !d.NextArg() {
		return err
	}
	if v.SignatureAlgorithm = d.Val(); !slices.Contains(vonage.Algorithms, v.SignatureAlgorithm) {
		return unknown(d, v.SignatureAlgorithm, "algorithm of signatures", vonage.Algorithms)
	}
	return nil
}

var (
	_ caddy.Provisioner     = (*VonageSender)(nil)
	_ caddyfile.Unmarshaler = (*VonageSender)(nil)
	_ SenderModule          = (*VonageSender)(nil)
)
