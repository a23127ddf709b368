package vonagetest

import (
	"crypto/hmac"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// sigAge is how far the timestamp of a signed request may be off. The documentation asks
// for a timestamp and does not say how old it may be: this much is assumed.
const sigAge = 5 * time.Minute

// The results of a check of parameters' credentials, by the status of the SMS API.
const (
	authenticated     = 0
	missingCredential = 2
	wrongCredential   = 4
	wrongSignature    = 14
	sigAndSecret      = 32
)

// authenticateParams checks the credentials of the older APIs: Basic, or key and secret
// among the parameters, or key, timestamp and signature. It returns a status of the SMS
// API, and the parameter that is missing.
func (s *Server) authenticateParams(c *call) (status int, missing string) {
	if len(c.Header.Values("Authorization")) > 0 {
		if !s.basic(c.Header) {
			return wrongCredential, ""
		}
		return authenticated, ""
	}
	p := c.params
	secret, withSecret := p["api_secret"]
	sig, signed := p["sig"]
	switch {
	case p["api_key"] == "":
		return missingCredential, "api_key"
	case signed && withSecret:
		return sigAndSecret, ""
	case p["api_key"] != s.o.Key:
		return wrongCredential, ""
	case signed:
		return s.verifySig(p, sig)
	case !withSecret:
		return missingCredential, "api_secret"
	case secret != s.o.Secret:
		return wrongCredential, ""
	}
	return authenticated, ""
}

func (s *Server) verifySig(p map[string]string, sig string) (status int, missing string) {
	unix, err := strconv.ParseInt(p["timestamp"], 10, 64)
	switch {
	case p["timestamp"] == "":
		return missingCredential, "timestamp"
	case err != nil || s.o.Now().Sub(time.Unix(unix, 0)).Abs() > sigAge,
		s.o.SignatureSecret == "",
		!hmac.Equal([]byte(strings.ToLower(sig)), []byte(Sign(s.o.Signature, s.o.SignatureSecret, p))):
		return wrongSignature, ""
	}
	return authenticated, ""
}

// authenticate checks the credentials of Messages and Verify: a token of the
// application, or Basic.
func (s *Server) authenticate(c *call) bool {
	values := c.Header.Values("Authorization")
	if len(values) != 1 {
		return false
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	if strings.EqualFold(scheme, "Bearer") {
		return s.verifyToken(token)
	}
	return s.basic(c.Header)
}

func (s *Server) basic(h http.Header) bool {
	key, secret, ok := (&http.Request{Header: h}).BasicAuth()
	return ok && len(h.Values("Authorization")) == 1 && key == s.o.Key && secret == s.o.Secret
}
