package vonage

import (
	"encoding/hex"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

type vector struct {
	Algorithm, Secret, Sig string
	Params                 map[string]string
}

func TestSignaturesEqualOurVectorsAndThePublishedOnes(t *testing.T) {
	var file struct{ Vectors, Published []vector }
	read(t, "signatures.json", &file)
	if len(file.Vectors) != 10 || len(file.Published) != 9 {
		t.Fatalf("there are %d and %d vectors, want 10 and 9", len(file.Vectors), len(file.Published))
	}
	for _, v := range append(file.Vectors, file.Published...) {
		if got := hex.EncodeToString(signature(v.Algorithm, v.Secret, v.Params)); !strings.EqualFold(got, v.Sig) {
			t.Errorf("signature with %s of %v = %s, want %s", v.Algorithm, v.Params, got, v.Sig)
		}
		params := maps.Clone(v.Params)
		params["sig"] = v.Sig
		if !signed(v.Algorithm, v.Secret, params) {
			t.Errorf("signed with %s says no to %v", v.Algorithm, params)
		}
		for _, algorithm := range Algorithms {
			if algorithm != v.Algorithm && signed(algorithm, v.Secret, params) {
				t.Errorf("signed with %s says yes to a signature of %s", algorithm, v.Algorithm)
			}
		}
		if signed(v.Algorithm, v.Secret+"x", params) {
			t.Errorf("signed with another secret says yes to %v", params)
		}
	}
}

// Names are signed as they stand: one with "&" in it signs like two parameters, so
// that whoever has one signed receipt could hide what is in it.
func TestAParameterThatSwallowsAnotherIsNotSigned(t *testing.T) {
	params := map[string]string{"client-ref": "a", "err-code": "0", "timestamp": "1"}
	sig := hex.EncodeToString(signature("sha256", testSignature, params))
	swallowed := map[string]string{"client-ref=a&err-code": "0", "timestamp": "1", "sig": sig}
	if got := hex.EncodeToString(signature("sha256", testSignature, swallowed)); got != sig {
		t.Fatal("the attack is none: the signatures differ")
	}
	if signed("sha256", testSignature, swallowed) {
		t.Error("signed says yes to a receipt with a hidden parameter")
	}
}

func TestWhatIsNotSignedInTimeIsNotSigned(t *testing.T) {
	params := map[string]string{"client-ref": "a"}
	for _, sig := range []string{"", "zz", hex.EncodeToString(signature("sha256", testSignature, params))} {
		params["sig"] = sig
		if signed("sha256", testSignature, params) {
			t.Errorf("signed says yes to %v, which has no timestamp", params)
		}
	}
}

func TestTheSMSAPIGetsItsCredentialsAsConfigured(t *testing.T) {
	body := smsConfig("")
	body.CredentialsInBody = true
	signedBody := signedConfig("")
	signedBody.Now = func() time.Time { return time.Unix(1790000000, 0) }
	for _, c := range []struct {
		name   string
		config Config
		want   map[string]string
	}{
		{"in the body", body, map[string]string{"api_key": testKey, "api_secret": testSecret}},
		{"signed", signedBody, map[string]string{"api_key": testKey, "timestamp": "1790000000"}},
	} {
		var got url.Values
		c.config.URL = serve(t, func(w http.ResponseWriter, r *http.Request) {
			text, _ := io.ReadAll(r.Body)
			got, _ = url.ParseQuery(string(text))
			if r.Header.Get("Authorization") != "" || r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" {
				t.Errorf("%s: the header is %v", c.name, r.Header)
			}
			io.WriteString(w, `{"messages":[{"status":"0","message-id":"a"}]}`)
		})
		if _, err := must(t, NewSMS, c.config).Send(t.Context(), testMessage); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(c.name, "signed") {
			params := map[string]string{}
			for name := range got {
				params[name] = got.Get(name)
			}
			if !signed("sha256", testSignature, params) || got.Has("api_secret") {
				t.Errorf("%s: the form is %v, want it signed and without the secret", c.name, got)
			}
		}
		for name, value := range map[string]string{"to": testNumber, "from": "Example", "text": testMessage.Text, "ttl": "300000", "client-ref": "chal-01HZX"} {
			c.want[name] = value
		}
		for name, value := range c.want {
			if got.Get(name) != value {
				t.Errorf("%s: %s is %q, want %q", c.name, name, got.Get(name), value)
			}
		}
	}
}
