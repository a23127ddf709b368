package vonagetest

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestSignaturesAreThoseOfTheOfficialClient(t *testing.T) {
	type vector struct {
		Algorithm Algorithm
		Secret    string
		Params    map[string]string
		Sig       string
	}
	var file struct{ Vectors, Published []vector }
	readJSON(t, "signatures.json", &file)
	if len(file.Vectors) != 10 || len(file.Published) != 9 {
		t.Fatalf("read %d and %d vectors, want 10 and 9", len(file.Vectors), len(file.Published))
	}
	for _, v := range append(file.Vectors, file.Published...) {
		if got := Sign(v.Algorithm, v.Secret, v.Params); !strings.EqualFold(got, v.Sig) {
			t.Errorf("Sign(%s, %v) = %s, want %s", v.Algorithm, v.Params, got, v.Sig)
		}
	}
}

func form(params map[string]string) request {
	values := url.Values{}
	for name, v := range params {
		values.Set(name, v)
	}
	return request{"POST", "/sms/json", "application/x-www-form-urlencoded", values.Encode(), ""}
}

func TestTheSMSAPITakesEachKindOfCredentials(t *testing.T) {
	message := map[string]string{"to": "6281234567890", "from": "Example", "text": "a=1&b=2"}
	with := func(params map[string]string) map[string]string {
		all := maps.Clone(message)
		maps.Copy(all, params)
		return all
	}
	signed := func(a Algorithm, at time.Time) map[string]string {
		p := with(map[string]string{"api_key": testKey, "timestamp": strconv.FormatInt(at.Unix(), 10)})
		p["sig"] = strings.ToUpper(Sign(a, testSignature, p))
		return p
	}
	basic := form(message)
	basic.authorization = basicHeader
	wrongBasic := form(message)
	wrongBasic.authorization = "Basic " + base64.StdEncoding.EncodeToString([]byte(testKey+":another"))
	tampered := signed(SHA256, epoch)
	tampered["text"] = "another"
	both := with(map[string]string{"api_secret": testSecret})
	maps.Copy(both, signed(SHA256, epoch))
	withoutTime := with(map[string]string{"api_key": testKey})
	withoutTime["sig"] = Sign(SHA256, testSignature, withoutTime)
	asJSON, err := json.Marshal(with(map[string]string{"api_key": testKey, "api_secret": testSecret}))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, want string
		request    request
	}{
		{"Basic", "0", basic},
		{"Basic with another secret", "4", wrongBasic},
		{"key and secret", "0", form(with(map[string]string{"api_key": testKey, "api_secret": testSecret}))},
		{"key and secret in JSON", "0", request{"POST", "/sms/json", "application/json", string(asJSON), ""}},
		{"another secret", "4", form(with(map[string]string{"api_key": testKey, "api_secret": "another"}))},
		{"another key", "4", form(with(map[string]string{"api_key": "another", "api_secret": testSecret}))},
		{"no secret", "2", form(with(map[string]string{"api_key": testKey}))},
		{"nothing", "2", form(message)},
		{"signed", "0", form(signed(SHA256, epoch))},
		{"signed four minutes ago", "0", form(signed(SHA256, epoch.Add(-4*time.Minute)))},
		{"signed ten minutes ago", "14", form(signed(SHA256, epoch.Add(-10*time.Minute)))},
		{"signed under another algorithm", "14", form(signed(SHA512, epoch))},
		{"signed without a time", "2", form(withoutTime)},
		{"changed after it was signed", "14", form(tampered)},
		{"signed, with the secret", "32", form(both)},
	}
	client := New(options()).Client(t)
	for _, tt := range tests {
		if got := send(t, client, tt.request); got.status != http.StatusOK || statusOf(t, got) != tt.want {
			t.Errorf("%s: answered %d %s, want status %s", tt.name, got.status, got.body, tt.want)
		}
	}
}

func TestAnAccountSignsUnderItsOwnAlgorithm(t *testing.T) {
	for _, a := range []Algorithm{MD5Hash, MD5, SHA1, SHA256, SHA512} {
		o := options()
		o.Signature = a
		p := map[string]string{"to": "6281234567890", "from": "Example", "text": "x", "api_key": testKey, "timestamp": strconv.FormatInt(epoch.Unix(), 10)}
		p["sig"] = Sign(a, testSignature, p)
		if got := send(t, New(o).Client(t), form(p)); statusOf(t, got) != "0" {
			t.Errorf("%s: answered %s, want status 0", a, got.body)
		}
	}
}

func TestMessagesTakesATokenOfTheApplicationOnce(t *testing.T) {
	with := func(name string, value any) map[string]any {
		c := claims()
		c[name] = value
		if value == nil {
			delete(c, name)
		}
		return c
	}
	now := epoch.Unix()
	old := with("iat", now-25*3600)
	old["exp"] = now + 900
	noEnd := with("exp", nil)
	noEnd["iat"] = now - 1000
	good := token(t, rs256, claims())
	tests := []struct {
		name  string
		token string
		want  int
	}{
		{"good", good, 202},
		{"good, for the second time", good, 401},
		{"another good one", token(t, rs256, claims()), 202},
		{"with subject and access list", token(t, rs256, with("acl", map[string]any{"paths": map[string]any{"/*/messages/**": map[string]any{}}})), 202},
		{"without an end", token(t, rs256, with("exp", nil)), 202},
		{"without an end, from long ago", token(t, rs256, noEnd), 401},
		{"from more than a day ago", token(t, rs256, old), 401},
		{"ended", token(t, rs256, with("exp", now)), 401},
		{"from the future", token(t, rs256, with("iat", now+300)), 401},
		{"without a time", token(t, rs256, with("iat", nil)), 401},
		{"with a time in words", token(t, rs256, with("iat", "now")), 401},
		{"without an id", token(t, rs256, with("jti", nil)), 401},
		{"of another application", token(t, rs256, with("application_id", uuid())), 401},
		{"of no application", token(t, rs256, with("application_id", nil)), 401},
		{"under another algorithm's name", token(t, `{"alg":"RS512","typ":"JWT"}`, claims()), 401},
		{"under none", token(t, `{"alg":"none","typ":"JWT"}`, claims()), 401},
		{"changed", token(t, rs256, claims())[:40] + "A" + token(t, rs256, claims())[41:], 401},
		{"cut", strings.Join(strings.Split(token(t, rs256, claims()), ".")[:2], "."), 401},
		{"nonsense", "x.y.z", 401},
	}
	client := New(options()).Client(t)
	for _, tt := range tests {
		r := messagesRequest(goodMessage)
		r.authorization = "Bearer " + tt.token
		if got := send(t, client, r); got.status != tt.want {
			t.Errorf("a token %s: answered %d %s, want %d", tt.name, got.status, got.body, tt.want)
		}
	}
}

func TestMessagesTakesBasicButNotBoth(t *testing.T) {
	s := New(options())
	client := s.Client(t)
	if got := send(t, client, messagesRequest(goodMessage)); got.status != 202 {
		t.Errorf("Basic: answered %d %s, want 202", got.status, got.body)
	}
	req, err := http.NewRequestWithContext(t.Context(), "POST", "http://fake.test/v1/messages", strings.NewReader(goodMessage))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = http.Header{"Content-Type": {"application/json"}, "Authorization": {basicHeader, "Bearer " + token(t, rs256, claims())}}
	answer, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != 401 {
		t.Errorf("both: answered %d, want 401", answer.StatusCode)
	}
}

func TestUsedTokensAreForgottenWhenTheyHaveEnded(t *testing.T) {
	s := New(options())
	for range 1024 {
		s.useToken(uuid(), epoch, epoch.Add(time.Minute))
	}
	s.useToken("late", epoch.Add(time.Minute), epoch.Add(time.Hour))
	if n := len(s.tokens); n != 1 {
		t.Errorf("%d used tokens are kept, want 1", n)
	}
	if s.useToken("late", epoch.Add(time.Minute), epoch.Add(time.Hour)) {
		t.Error("a token could be used twice")
	}
}
