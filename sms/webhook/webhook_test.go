package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stepgate/stepgate/internal/standardwebhooks"
	"github.com/stepgate/stepgate/sms"
)

var message = sms.Message{
	To: "+6281234567890", Text: "Kode Example Anda: 012345", Code: "012345", Ref: "m-1_a", Locale: "id",
	Validity: 5 * time.Minute, Brand: "Example", Purpose: "withdrawal", Attempt: 2,
}

// seen is a request as a provider gets it.
type seen struct {
	method, path, rawPath string
	query                 url.Values
	header                http.Header
	body                  string
}

// provider notes what it gets and answers with what it is told to.
type provider struct {
	t      *testing.T
	status int
	answer string
	got    []seen
}

func (p *provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		p.t.Error(err)
	}
	p.got = append(p.got, seen{r.Method, r.URL.Path, r.URL.EscapedPath(), r.URL.Query(), r.Header, string(body)})
	w.WriteHeader(p.status)
	_, _ = io.WriteString(w, p.answer)
}

// serve returns the address of a handler.
func serve(t *testing.T, h http.Handler) string {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server.URL
}

func newSender(t *testing.T, c Config) *Sender {
	t.Helper()
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// sent sends a message to a provider that accepts everything, and returns what it got.
func sent(t *testing.T, c Config, path string, m sms.Message) seen {
	t.Helper()
	p := &provider{t: t, status: http.StatusOK}
	c.URL = serve(t, p) + path
	if _, err := newSender(t, c).Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	if len(p.got) != 1 {
		t.Fatalf("the provider got %d requests, want one", len(p.got))
	}
	return p.got[0]
}

var plainFields = []Field{{Name: "to", Value: "{to}"}, {Name: "text", Value: "{text}"}}

func TestFieldsNestInJSONWithTheirTypes(t *testing.T) {
	got := sent(t, Config{Fields: []Field{
		{Name: "messages.0.destinations.0.to", Value: "{to.digits}"},
		{Name: "messages.0.content.text", Value: "{brand}: {text}"},
		{Name: "messages.0.ttl", Value: "{seconds}", Type: FieldNumber},
		{Name: "messages.0.flash", Value: "false", Type: FieldBool},
		{Name: "all", Value: "{to} {to.national} {code} {minutes} {locale} {purpose} {ref} {attempt}"},
	}}, "/v1/sms", message)
	var body any
	if err := json.Unmarshal([]byte(got.body), &body); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"messages": []any{map[string]any{
			"destinations": []any{map[string]any{"to": "6281234567890"}},
			"content":      map[string]any{"text": "Example: Kode Example Anda: 012345"},
			"ttl":          300.0, "flash": false,
		}},
		"all": "+6281234567890 081234567890 012345 5 id withdrawal m-1_a 2",
	}
	if diff := cmp.Diff(want, body); diff != "" {
		t.Errorf("body (-want +got):\n%s", diff)
	}
	if got.method != "POST" || got.path != "/v1/sms" || got.header.Get("Content-Type") != "application/json" {
		t.Errorf("request is %s %s of %s, want POST /v1/sms of application/json", got.method, got.path, got.header.Get("Content-Type"))
	}
}

// A player who is paid as `","to":"+62999` must not choose who gets the code.
func TestNoWordOfAMessageBecomesAFieldOrARecipient(t *testing.T) {
	m := message
	m.Text = "Kode 012345\",\"to\":\"+62999\"}\r\n&to=%2B62999;to=1#x {to} {{.to}} é\u2028\\"
	for name, c := range map[string]Config{
		"json":           {Fields: plainFields},
		"form":           {Body: BodyForm, Fields: plainFields},
		"query":          {Body: BodyQuery, Fields: plainFields},
		"json template":  {Template: `{"to":{{json .to}},"text":{{json .text}}}`},
		"form template":  {Body: BodyForm, Template: "to={{urlquery .to}}&text={{.text | urlquery}}"},
		"query template": {Body: BodyQuery, Template: "to={{urlquery .to}}&text={{urlquery .text}}"},
	} {
		got := sent(t, c, "/send", m)
		fields := url.Values{}
		switch c.Body {
		case BodyQuery:
			fields = got.query
		case BodyForm:
			var err error
			if fields, err = url.ParseQuery(got.body); err != nil {
				t.Fatal(err)
			}
		default:
			var body map[string]string
			if err := json.Unmarshal([]byte(got.body), &body); err != nil {
				t.Fatalf("%s: %v in %s", name, err, got.body)
			}
			for key, value := range body {
				fields.Set(key, value)
			}
		}
		if diff := cmp.Diff(url.Values{"to": {"+6281234567890"}, "text": {m.Text}}, fields); diff != "" {
			t.Errorf("%s: fields (-want +got):\n%s", name, diff)
		}
	}
}

func TestTheURLTakesTheMessageEscaped(t *testing.T) {
	m := message
	m.Purpose = "../a/b?c=d&e#é"
	got := sent(t, Config{Fields: plainFields[1:]}, "/v1/{purpose}/x%2Fy/{ref}.json?to={to}&p=a%20{purpose}&p=2", m)
	if got.path != "/v1/../a/b?c=d&e#é/x/y/m-1_a.json" || got.rawPath != "/v1/..%2Fa%2Fb%3Fc=d&e%23%C3%A9/x%2Fy/m-1_a.json" {
		t.Errorf("path is %s, escaped %s", got.path, got.rawPath)
	}
	if diff := cmp.Diff(url.Values{"to": {"+6281234567890"}, "p": {"a ../a/b?c=d&e#é", "2"}}, got.query); diff != "" {
		t.Errorf("query (-want +got):\n%s", diff)
	}
}

func TestAPathMayHaveASecretFromAFile(t *testing.T) {
	resolve := func(string) (string, error) { return "AC/1 {to}", nil }
	got := sent(t, Config{Fields: plainFields, Resolve: resolve}, "/v1/{file./run/secrets/account}/sms?k={env.KEY}", message)
	if got.rawPath != "/v1/AC%2F1%20%7Bto%7D/sms" || got.query.Get("k") != "AC/1 {to}" {
		t.Errorf("path is %s and query %v", got.rawPath, got.query)
	}
}

// A server walks up by a segment of dots, which escaping leaves alone.
func TestASegmentOfThePathIsNeverDotsOrNothing(t *testing.T) {
	p := &provider{t: t, status: 200}
	s := newSender(t, Config{URL: serve(t, p) + "/v1/{purpose}/sms", Fields: plainFields})
	for _, purpose := range []string{"", ".", ".."} {
		m := message
		m.Purpose = purpose
		if _, err := s.Send(t.Context(), m); sms.ClassOf(err) != sms.BadRequest || len(p.got) > 0 {
			t.Errorf("purpose %q: Send = %v, and the provider got %v", purpose, err, p.got)
		}
	}
}

func TestEachKindOfAuthIsSent(t *testing.T) {
	resolve := func(name string) (string, error) {
		if name != "file./run/secrets/sms" {
			return "", errors.New("no such file")
		}
		return "s3{to}cr3t", nil // a secret is not searched for placeholders
	}
	for _, c := range []struct {
		auth               Auth
		name, value, other string
	}{
		{Auth{Bearer: "{file./run/secrets/sms}"}, "Authorization", "Bearer s3{to}cr3t", "X-Api-Key"},
		{Auth{User: "u", Password: "{file./run/secrets/sms}"}, "Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte("u:s3{to}cr3t")), "X-Api-Key"},
		{Auth{Header: "x-api-key", Value: "App {file./run/secrets/sms}"}, "X-Api-Key", "App s3{to}cr3t", "Authorization"},
		{Auth{}, "Accept", "application/json, */*;q=0.5", "Authorization"},
	} {
		got := sent(t, Config{Auth: c.auth, Fields: plainFields, Resolve: resolve}, "/", message)
		if got.header.Get(c.name) != c.value || got.header.Get(c.other) != "" {
			t.Errorf("%s is %q and %s %q, want %q and none", c.name, got.header.Get(c.name), c.other, got.header.Get(c.other), c.value)
		}
	}
}

func TestARequestIsSignedAsStandardWebhooksSays(t *testing.T) {
	const key = "0123456789abcdefghijklmnopqrstuv"
	secret, err := standardwebhooks.ParseSecret("whsec_" + base64.StdEncoding.EncodeToString([]byte(key)))
	if err != nil {
		t.Fatal(err)
	}
	got := sent(t, Config{Fields: plainFields, Sign: secret, Now: func() time.Time { return time.Unix(1_800_000_000, 0) }}, "/", message)
	// As the specification says, without a line of the code under test.
	mac := hmac.New(sha256.New, []byte(key))
	fmt.Fprintf(mac, "m-1_a.1800000000.%s", got.body)
	if want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)); got.header.Get("webhook-signature") != want || got.header.Get("webhook-id") != "m-1_a" || got.header.Get("webhook-timestamp") != "1800000000" {
		t.Errorf("signed %v, want %s", got.header, want)
	}
}

// A message without a code, such as a notice, must not reach a provider's template as
// an empty code.
func TestAMessageWithoutItsCodeIsNotSentWhereOnlyTheCodeIs(t *testing.T) {
	p := &provider{t: t, status: 200}
	s := newSender(t, Config{URL: serve(t, p), Fields: []Field{{Name: "to", Value: "{to}"}, {Name: "code", Value: "{code}"}}})
	m := message
	m.Code = ""
	if _, err := s.Send(t.Context(), m); sms.ClassOf(err) != sms.BadRequest || len(p.got) > 0 {
		t.Errorf("Send = %v, and the provider got %v, want bad_request and nothing", err, p.got)
	}
	if _, err := s.Send(t.Context(), message); err != nil || len(p.got) != 1 {
		t.Errorf("Send = %v, and the provider got %v, want one request", err, p.got)
	}
}

// Whoever a redirect leads to would read the code.
func TestARedirectIsNotFollowed(t *testing.T) {
	elsewhere := &provider{t: t, status: 200}
	address := serve(t, elsewhere)
	for _, code := range []int{301, 302, 303, 307, 308} {
		s := newSender(t, Config{URL: serve(t, http.RedirectHandler(address, code)), Fields: plainFields})
		_, err := s.Send(t.Context(), message)
		if sms.ClassOf(err) != sms.BadRequest || !strings.Contains(err.Error(), "redirects are not followed") || len(elsewhere.got) > 0 {
			t.Errorf("%d: Send = %v, and elsewhere came %v", code, err, elsewhere.got)
		}
	}
}

// I8: what a provider writes back may be what it was sent.
func TestInvariantI8NoErrorRepeatsMessageSecretOrAnswer(t *testing.T) {
	echo, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer echo.Close()
	go func() {
		for {
			conn, err := echo.Accept()
			if err != nil {
				return
			}
			buffer := make([]byte, 4096)
			n, _ := conn.Read(buffer)
			_, _ = conn.Write(buffer[:n])
			_ = conn.Close()
		}
	}()
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = gone.Close() // nobody listens there now
	parrot := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(400)
		_ = r.Write(w)
	})
	for name, address := range map[string]string{"an echo": "http://" + echo.Addr().String(), "nobody": "http://" + gone.Addr().String(), "a parrot": serve(t, parrot)} {
		s := newSender(t, Config{
			URL: address + "/{code}", Body: BodyQuery, Fields: plainFields, Auth: Auth{Bearer: "s3cr3t"}, ID: "id",
			NumberError: []Condition{{Of: "json", Path: "code", Op: "==", Values: []string{"1"}}},
		})
		_, err := s.Send(t.Context(), message)
		if err == nil {
			t.Errorf("%s: Send = nil, want an error", name)
			continue
		}
		printed := fmt.Sprintf("%v %v %+v %#v", err, s, s, s)
		for _, secret := range []string{"81234567890", "012345", "Kode", "s3cr3t"} {
			if strings.Contains(printed, secret) {
				t.Errorf("%s: printed %s: it has %q", name, printed, secret)
			}
		}
	}
	if printed := fmt.Sprintf("%v %+v %#v", Config{Auth: Auth{Bearer: "s3cr3t"}}, Config{Auth: Auth{Password: "s3cr3t"}}, Config{Auth: Auth{Value: "s3cr3t"}}); strings.Contains(printed, "s3cr3t") {
		t.Errorf("a configuration prints as %s", printed)
	}
}

func TestWhatCannotWorkIsRefusedAtLoad(t *testing.T) {
	const ok = "https://api.example.net/v1"
	json1 := func(path, op string, values ...string) Condition {
		return Condition{Of: "json", Path: path, Op: op, Values: values}
	}
	signed, err := standardwebhooks.ParseSecret("whsec_" + base64.StdEncoding.EncodeToString(make([]byte, 24)))
	if err != nil {
		t.Fatal(err)
	}
	more := func(f ...Field) []Field { return slices.Concat(plainFields, f) }
	for name, c := range map[string]struct {
		config Config
		want   string
	}{
		"no url":                   {Config{Fields: plainFields}, "the url is none"},
		"no host":                  {Config{URL: "https:///x", Fields: plainFields}, "the url is none"},
		"plain http":               {Config{URL: "http://api.example.net/", Fields: plainFields}, "write https"},
		"plain http nearby":        {Config{URL: "http://10.0.0.7/", Fields: plainFields}, "write https"},
		"another scheme":           {Config{URL: "ftp://api.example.net/", Fields: plainFields}, "neither https nor http"},
		"a password":               {Config{URL: "https://u:s3cr3t@api.example.net/", Fields: plainFields}, "auth basic"},
		"a fragment":               {Config{URL: ok + "#{to}", Fields: plainFields}, "fragment"},
		"a host of the message":    {Config{URL: "https://{brand}.example.net/", Fields: plainFields}, "before the path of the url"},
		"a host of a file":         {Config{URL: "https://{file./run/host}/", Fields: plainFields}, "{$NAME}"},
		"a scheme of the message":  {Config{URL: "{brand}://api.example.net/", Fields: plainFields}, "before the path of the url"},
		"a port of the message":    {Config{URL: "https://api.example.net:{code}/", Fields: plainFields}, "before the path of the url"},
		"a name of the query":      {Config{URL: ok + "?{to}=1", Fields: plainFields}, "fixed names"},
		"a stray percent":          {Config{URL: ok + "/%zz", Fields: plainFields}, "stray %"},
		"an unknown placeholder":   {Config{URL: ok, Fields: more(Field{Name: "a", Value: "{to.digit}"})}, "did you mean {to.digits}?"},
		"one in the url":           {Config{URL: ok + "/{txt}", Fields: plainFields}, "did you mean {text}?"},
		"one like none":            {Config{URL: ok, Fields: more(Field{Name: "a", Value: "{http.request.host}"})}, "write one of {attempt}, {brand}"},
		"an open brace":            {Config{URL: ok, Fields: more(Field{Name: "a", Value: "{to"})}, "no counterpart"},
		"a closed brace":           {Config{URL: ok, Fields: more(Field{Name: "a", Value: "to}"})}, "no counterpart"},
		"a secret nobody has":      {Config{URL: ok, Fields: more(Field{Name: "a", Value: "{env.X}"})}, "{env.X} is known to nobody"},
		"an empty secret":          {Config{URL: ok, Auth: Auth{Bearer: "{env.X}"}, Fields: plainFields, Resolve: func(string) (string, error) { return "", nil }}, "{env.X} is empty"},
		"no fields":                {Config{URL: ok}, "to whom"},
		"no recipient":             {Config{URL: ok, Fields: plainFields[1:]}, "to whom"},
		"no text":                  {Config{URL: ok, Fields: plainFields[:1]}, "what a message is"},
		"an unknown body":          {Config{URL: ok, Body: "jsn", Fields: plainFields}, "did you mean json?"},
		"an unknown method":        {Config{URL: ok, Method: "post", Fields: plainFields}, "write one of GET, PATCH, POST, PUT"},
		"a GET with a body":        {Config{URL: ok, Method: "GET", Fields: plainFields}, "body query"},
		"a field twice":            {Config{URL: ok, Fields: more(plainFields[0])}, "twice"},
		"a field in the query too": {Config{URL: ok + "?to=1", Body: BodyQuery, Fields: plainFields}, "as well"},
		"a field below a value":    {Config{URL: ok, Fields: more(Field{Name: "to.x", Value: "1"})}, "below another field"},
		"a value above a field":    {Config{URL: ok, Fields: more(Field{Name: "a.b", Value: "1"}, Field{Name: "a", Value: "1"})}, "another field is below it"},
		"a gap in a list":          {Config{URL: ok, Fields: more(Field{Name: "a.1", Value: "1"})}, "gap"},
		"a list with a name":       {Config{URL: ok, Fields: more(Field{Name: "a.0", Value: "1"}, Field{Name: "a.b", Value: "1"})}, "side by side"},
		"a body that is a list":    {Config{URL: ok, Fields: []Field{{Name: "0.to", Value: "{to}"}, {Name: "1.text", Value: "{text}"}}}, "begins with a list"},
		"two dots":                 {Config{URL: ok, Fields: more(Field{Name: "a..b", Value: "1"})}, "two dots"},
		"a name with a brace":      {Config{URL: ok, Fields: more(Field{Name: "{to}", Value: "1"})}, "fixed name"},
		"a number with words":      {Config{URL: ok, Fields: more(Field{Name: "a", Value: "{text}", Type: FieldNumber})}, "leave out number"},
		"a number with a zero":     {Config{URL: ok, Fields: more(Field{Name: "a", Value: "{code}", Type: FieldNumber})}, "leading 0"},
		"a bool that is none":      {Config{URL: ok, Fields: more(Field{Name: "a", Value: "yes", Type: FieldBool})}, "true or false"},
		"an unknown type":          {Config{URL: ok, Fields: more(Field{Name: "a", Value: "1", Type: "nubmer"})}, "did you mean number?"},
		"a number in a form":       {Config{URL: ok, Body: BodyForm, Fields: more(Field{Name: "a", Value: "1", Type: FieldNumber})}, "only a JSON body"},
		"fields and template":      {Config{URL: ok, Fields: plainFields, Template: "{}"}, "side by side"},
		"two kinds of auth":        {Config{URL: ok, Auth: Auth{Bearer: "a", User: "b"}, Fields: plainFields}, "two things"},
		"a user without password":  {Config{URL: ok, Auth: Auth{User: "b"}, Fields: plainFields}, "auth basic"},
		"a header of ours":         {Config{URL: ok, Auth: Auth{Header: "content-type", Value: "b"}, Fields: plainFields}, "Content-Type"},
		"a header of retries":      {Config{URL: ok, Auth: Auth{Header: "idempotency-key", Value: "b"}, Fields: plainFields}, "Idempotency-Key"},
		"a header that is none":    {Config{URL: ok, Auth: Auth{Header: "a b", Value: "b"}, Fields: plainFields}, "name of a header"},
		"a token with a line":      {Config{URL: ok, Auth: Auth{Bearer: "a\r\nHost: b"}, Fields: plainFields}, "line break"},
		"a token of the message":   {Config{URL: ok, Auth: Auth{Bearer: "{code}"}, Fields: plainFields}, "same for every message"},
		"a signed query":           {Config{URL: ok, Body: BodyQuery, Fields: plainFields, Sign: signed}, "body json"},
		"a negative timeout":       {Config{URL: ok, Fields: plainFields, Timeout: -1}, "negative"},
		"success beyond 299":       {Config{URL: ok, Fields: plainFields, Success: []Condition{{Of: "status", Values: []string{"200-404"}}}}, "success: an answer beyond 299"},
		"an error below 300":       {Config{URL: ok, Fields: plainFields, NotSent: []Condition{{Of: "status", Values: []string{"200"}}}}, "not_sent: a status from 200"},
		"no status":                {Config{URL: ok, Fields: plainFields, Success: []Condition{{Of: "status", Values: []string{"20"}}}}, "no status"},
		"a turned range":           {Config{URL: ok, Fields: plainFields, NotSent: []Condition{{Of: "status", Values: []string{"404-400"}}}}, "no status"},
		"an unknown comparison":    {Config{URL: ok, Fields: plainFields, Policy: []Condition{json1("a", "is", "b")}}, "policy: "},
		"an unknown part":          {Config{URL: ok, Fields: plainFields, Policy: []Condition{{Of: "jsn", Values: []string{"b"}}}}, "did you mean json?"},
		"nothing to compare":       {Config{URL: ok, Fields: plainFields, Policy: []Condition{json1("a", "in")}}, "a condition is"},
		"equal to two":             {Config{URL: ok, Fields: plainFields, Policy: []Condition{json1("a", "==", "b", "c")}}, "write in"},
		"containing nothing":       {Config{URL: ok, Fields: plainFields, Policy: []Condition{json1("a", "contains", "")}}, "needs a text"},
		"an empty path":            {Config{URL: ok, Fields: plainFields, Policy: []Condition{json1("", "==", "b")}}, "leads to no value"},
		"an id nowhere":            {Config{URL: ok, Fields: plainFields, ID: "a."}, "id: "},
	} {
		s, err := New(c.config)
		if err == nil || s != nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("%s: New = %v, want an error with %q", name, err, c.want)
		}
	}
}

func TestAddressesOnThisMachineMayBePlain(t *testing.T) {
	for _, address := range []string{"http://127.0.0.1:13013/cgi-bin/sendsms", "http://[::1]/", "http://localhost", "http://a.localhost./", "https://api.example.net", "https://api.example.net?x={to}"} {
		if err := CheckURL(address); err != nil {
			t.Errorf("CheckURL(%q) = %v, want nil", address, err)
		}
	}
}
