package vonage

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stepgate/stepgate/sms"
)

func TestAVerificationInTheWayIsCancelledOnce(t *testing.T) {
	const running = "575a2054-aaaf-4405-994e-290be7b9a91f"
	conflict := `{"title":"Conflict","request_id":"` + running + `"}`
	type reply struct {
		status int
		body   string
	}
	for _, c := range []struct {
		name    string
		replies []reply
		asked   []string
		want    string
	}{
		{"and the next start is accepted", []reply{{409, conflict}, {204, ""}, {202, `{"request_id":"` + testID + `"}`}},
			[]string{"POST /v2/verify", "DELETE /v2/verify/" + running, "POST /v2/verify"}, "accepted"},
		{"or is over by then", []reply{{409, conflict}, {404, ""}, {202, `{"request_id":"` + testID + `"}`}},
			[]string{"POST /v2/verify", "DELETE /v2/verify/" + running, "POST /v2/verify"}, "accepted"},
		{"and another one is there", []reply{{409, conflict}, {204, ""}, {409, conflict}},
			[]string{"POST /v2/verify", "DELETE /v2/verify/" + running, "POST /v2/verify"}, "not_sent"},
		{"unless that fails", []reply{{409, conflict}, {500, ""}},
			[]string{"POST /v2/verify", "DELETE /v2/verify/" + running}, "not_sent"},
		{"unless it has no name", []reply{{409, `{"title":"Conflict"}`}}, []string{"POST /v2/verify"}, "not_sent"},
		{"unless its name is a path", []reply{{409, `{"request_id":"../messages"}`}}, []string{"POST /v2/verify"}, "not_sent"},
		{"and what fails then is what counts", []reply{{409, conflict}, {204, ""}, {402, ""}},
			[]string{"POST /v2/verify", "DELETE /v2/verify/" + running, "POST /v2/verify"}, "account"},
	} {
		var asked []string
		url := serve(t, func(w http.ResponseWriter, r *http.Request) {
			reply := c.replies[len(asked)]
			asked = append(asked, r.Method+" "+r.URL.Path)
			w.WriteHeader(reply.status)
			io.WriteString(w, reply.body)
		})
		receipt, err := must(t, NewVerify, verifyConfig(url)).Start(t.Context(), testMessage)
		got := "accepted"
		if err != nil {
			got = class(t, err)
		} else if receipt.ID != testID {
			t.Errorf("%s: receipt is %v", c.name, receipt)
		}
		if got != c.want || !slices.Equal(asked, c.asked) {
			t.Errorf("%s: %s after %v, want %s after %v", c.name, got, asked, c.want, c.asked)
		}
	}
}

func TestAStartSaysWhatVonageTakes(t *testing.T) {
	v := must(t, NewVerify, verifyConfig(""))
	m := testMessage
	m.Text, m.Code = "", ""
	for _, c := range []struct {
		name   string
		change func(*sms.Message)
		want   string
	}{
		{"an ordinary message", func(*sms.Message) {}, `"brand":"Example","workflow":[{"channel":"sms","to":"6281234567890"}],"locale":"id-id","channel_timeout":300,"client_ref":"chal-01HZX","code_length":6`},
		{"English", func(m *sms.Message) { m.Locale = "en" }, `"locale":"en-us"`},
		{"a short life", func(m *sms.Message) { m.Validity = time.Second }, `"channel_timeout":15`},
		{"a long life", func(m *sms.Message) { m.Validity = time.Hour }, `"channel_timeout":900`},
		{"a broken second", func(m *sms.Message) { m.Validity = 299*time.Second + 999*time.Millisecond }, `"channel_timeout":299`},
		{"a long name", func(m *sms.Message) { m.Brand = "The Example Gateway of Bandung" }, `"brand":"The Example Gate"`},
		{"a name that is cut at a space", func(m *sms.Message) { m.Brand = "Fifteen letters and" }, `"brand":"Fifteen letters"`},
		{"a name with what templates use", func(m *sms.Message) { m.Brand = "{A}/B:$C\\\n" }, `"brand":"ABC"`},
		{"a long reference", func(m *sms.Message) { m.Ref = "0123456789abcdefg" }, `"client_ref":"` + shortRef("0123456789abcdefg") + `"`},
	} {
		m := m
		c.change(&m)
		got, err := json.Marshal(v.request(m))
		if err != nil || !strings.Contains(string(got), c.want) || strings.Contains(string(got), `"code":`) {
			t.Errorf("%s: %s, %v, want %s", c.name, got, err, c.want)
		}
	}
	m.Brand = "{}"
	if _, err := v.Start(t.Context(), m); sms.ClassOf(err) != sms.BadRequest {
		t.Errorf("Start for a site without a name = %v, want bad_request", err)
	}
}

func TestShortReferencesStayApart(t *testing.T) {
	long := strings.Repeat("a", 39)
	one, other := shortRef(long+"1"), shortRef(long+"2")
	if len(one) != 16 || len(other) != 16 || one == other || !isID(one) {
		t.Errorf("shortRef = %q and %q, want two words of 16 characters", one, other)
	}
	if got := shortRef("0123456789abcdef"); got != "0123456789abcdef" {
		t.Errorf("shortRef of 16 characters = %q, want them as they are", got)
	}
}

func TestNoMessageOutlivesItsCode(t *testing.T) {
	for validity, want := range map[time.Duration]time.Duration{
		0: 0, -time.Second: 0, time.Second: minLifetime, 5 * time.Minute: 5 * time.Minute, 365 * 24 * time.Hour: maxLifetime,
	} {
		if got := lifetime(validity); got != want {
			t.Errorf("lifetime(%v) = %v, want %v", validity, got, want)
		}
	}
}
