package vonagetest

import (
	"crypto"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"strings"
	"time"
)

const (
	// tokenLife is how long a token without an end is good, and maxTokenLife how long
	// one is at most, whatever it says.
	tokenLife    = 15 * time.Minute
	maxTokenLife = 24 * time.Hour
	// skew is how far a token's clock may be ahead of the server's. It is assumed.
	skew = time.Minute
)

// tokenClaims are the claims of an application's token.
type tokenClaims struct {
	Application string         `json:"application_id"`
	ID          string         `json:"jti"`
	IssuedAt    *int64         `json:"iat"`
	Expires     *int64         `json:"exp"`
	Subject     string         `json:"sub"`
	ACL         map[string]any `json:"acl"`
}

// verifyToken checks a token of the application (RS256), which may be used once: its id
// is documented as unique.
func (s *Server) verifyToken(token string) bool {
	parts := strings.Split(token, ".")
	if len(parts) != 3 || s.o.PublicKey == nil {
		return false
	}
	var header struct {
		Algorithm string `json:"alg"`
		Type      string `json:"typ"`
	}
	var claims tokenClaims
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil || !decodePart(parts[0], &header) || !decodePart(parts[1], &claims) || header.Algorithm != "RS256" || header.Type != "JWT" {
		return false
	}
	digest := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if rsa.VerifyPKCS1v15(s.o.PublicKey, crypto.SHA256, digest[:], signature) != nil {
		return false
	}
	if claims.Application != s.o.Application || claims.ID == "" || claims.IssuedAt == nil {
		return false
	}
	now := s.o.Now()
	issued := time.Unix(*claims.IssuedAt, 0)
	expires := issued.Add(tokenLife)
	if claims.Expires != nil {
		expires = time.Unix(*claims.Expires, 0)
	}
	if latest := issued.Add(maxTokenLife); expires.After(latest) {
		expires = latest
	}
	return !issued.After(now.Add(skew)) && now.Before(expires) && s.useToken(claims.ID, now, expires)
}

// useToken reports whether an id is used for the first time.
func (s *Server) useToken(id string, now, expires time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, used := s.tokens[id]; used {
		return false
	}
	if n := len(s.tokens); n > 0 && n%1024 == 0 {
		for id, end := range s.tokens {
			if !now.Before(end) {
				delete(s.tokens, id)
			}
		}
	}
	s.tokens[id] = expires
	return true
}

func decodePart(part string, v any) bool {
	b, err := base64.RawURLEncoding.DecodeString(part)
	return err == nil && json.Unmarshal(b, v) == nil
}

// callbackToken returns the token that vouches for a callback of Messages or Verify:
// HS256 under the signature secret, with the hash of the body.
func (s *Server) callbackToken(body []byte) string {
	hash := sha256.Sum256(body)
	claims, err := json.Marshal(struct {
		IssuedAt    int64  `json:"iat"`
		ID          string `json:"jti"`
		Issuer      string `json:"iss"`
		Hash        string `json:"payload_hash"`
		Key         string `json:"api_key"`
		Application string `json:"application_id,omitempty"`
	}{s.o.Now().Unix(), uuid(), "Vonage", hex.EncodeToString(hash[:]), s.o.Key, s.o.Application})
	if err != nil {
		panic(err) // strings and a number
	}
	signed := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + base64.RawURLEncoding.EncodeToString(claims)
	mac := hmac.New(sha256.New, []byte(s.o.SignatureSecret))
	_, _ = mac.Write([]byte(signed)) // never fails
	return signed + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}
