package vonage

import (
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// tokenLifetime is what Vonage's own clients give a token, which they make for each
// request as we do.
const tokenLifetime = 15 * time.Minute

// authorization returns what adds the credentials of the Messages and the Verify API
// to a request.
func (c *Config) authorization() (func(http.Header) error, error) {
	if c.PrivateKey == nil {
		return basic(c.APIKey, c.APISecret), nil
	}
	t, err := newTokens(c.ApplicationID, c.PrivateKey, c.Now, c.Rand)
	if err != nil {
		return nil, err
	}
	return t.authorize, nil
}

func basic(key, secret string) func(http.Header) error {
	value := "Basic " + base64.StdEncoding.EncodeToString([]byte(key+":"+secret))
	return func(h http.Header) error {
		h.Set("Authorization", value)
		return nil
	}
}

// tokens makes the tokens of an application.
type tokens struct {
	application string
	signer      jose.Signer
	now         func() time.Time
	rand        io.Reader
}

func newTokens(application string, key *rsa.PrivateKey, now func() time.Time, rand io.Reader) (*tokens, error) {
	options := (&jose.SignerOptions{}).WithType("JWT")
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: key}, options)
	if err != nil {
		return nil, errPrivateKey
	}
	return &tokens{application, signer, now, rand}, nil
}

func (t *tokens) authorize(h http.Header) error {
	var id [16]byte
	if _, err := io.ReadFull(t.rand, id[:]); err != nil {
		return errors.New("there is no randomness for the token's id")
	}
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80 // UUID of version 4, RFC 9562
	at := t.now()
	token, err := jwt.Signed(t.signer).Claims(struct {
		Application string `json:"application_id"`
		Issued      int64  `json:"iat"`
		Expires     int64  `json:"exp"`
		ID          string `json:"jti"`
	}{
		t.application, at.Unix(), at.Add(tokenLifetime).Unix(),
		fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:]),
	}).Serialize()
	if err != nil {
		return errors.New("the private key signs no token")
	}
	h.Set("Authorization", "Bearer "+token)
	return nil
}
