package webhook

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stepgate/stepgate/sms"
)

func condition1(t *testing.T, line string) []Condition {
	t.Helper()
	c, err := ParseCondition(strings.Fields(line))
	if err != nil {
		t.Fatal(err)
	}
	return []Condition{c}
}

func TestAnAnswerOfWhichNothingIsSaidIsJudgedByItsStatus(t *testing.T) {
	j, err := newJudge(Config{})
	if err != nil {
		t.Fatal(err)
	}
	for status, want := range map[int]sms.Class{
		300: sms.BadRequest, 302: sms.BadRequest, 304: sms.BadRequest, 400: sms.BadRequest, 401: sms.Account, 402: sms.Account, 403: sms.Account, 404: sms.BadRequest,
		409: sms.BadRequest, 422: sms.BadRequest, 429: sms.NotSent, 499: sms.BadRequest, 500: sms.Unknown, 502: sms.Unknown, 503: sms.Unknown, 504: sms.Unknown, 599: sms.Unknown, 999: sms.Unknown,
	} {
		if _, err := j.receipt(readAnswer(status, strings.NewReader("x"), false)); err == nil || sms.ClassOf(err) != want {
			t.Errorf("%d: %v, want %v", status, err, want)
		}
	}
	for _, status := range []int{200, 201, 202, 204, 299} {
		if receipt, err := j.receipt(readAnswer(status, strings.NewReader("<html>"), false)); err != nil || receipt != (sms.Receipt{}) {
			t.Errorf("%d: %v, %v, want it accepted", status, receipt, err)
		}
	}
}

func TestConditionsReadTheAnswer(t *testing.T) {
	const body = `{"code":21211,"text":"Success: 1","ok":true,"none":null,"list":[{"status":"0"}],"0":"zero","big":1e3,"empty":"","object":{}}`
	for line, want := range map[string]bool{
		"status 200-299": true, "status 404 201": true, "status 200": false, "status 202-299 300-499": false,
		"json code == 21211": true, "json code == 21211.0": false, "json code != 21211": false, "json code != 1": true, "json code in 1 21211": true, "json code in 1 2": false,
		"json text contains Success": true, "json text contains x Success": true, "json text contains success": false, "json text == Success": false,
		"json ok == true": true, "json ok != false": true, "json none == null": true, "json none != null": false, "json big == 1e3": true, "json big == 1000": false,
		"json list.0.status == 0": true, "json list.1.status == 0": false, "json list.-1.status == 0": false, "json list.00.status == 0": false, "json list.status == 0": false, "json 0 == zero": true,
		// What is not there, or is no plain value, meets nothing.
		"json gone != 1": false, "json gone == null": false, "json object != 1": false, "json list contains 0": false, "json text.0 == S": false,
		"body contains 21211": true, "body contains 21212 Success:": true, "body contains 21212": false,
	} {
		p, err := condition1(t, line)[0].parse()
		if err != nil {
			t.Fatal(err)
		}
		if got := p.holds(readAnswer(201, strings.NewReader(body), true)); got != want {
			t.Errorf("%s holds: %v, want %v", line, got, want)
		}
	}
}

// Whatever a provider or somebody before it answers, a message is said to be accepted
// only where all of success holds.
func TestAnAnswerThatSuccessDoesNotDescribeMayHaveBeenSent(t *testing.T) {
	c := Config{Success: append(condition1(t, "json messages.0.status == 0"), condition1(t, "status 200 202")...), ID: "messages.0.id"}
	j, err := newJudge(c)
	if err != nil {
		t.Fatal(err)
	}
	const good = `{"messages":[{"status":"0","id":"a-1"}]}`
	for _, k := range []struct {
		status int
		body   string
		want   bool
	}{
		{200, good, true},
		{202, strings.Replace(good, `"0"`, `0`, 1), true},
		{201, good, false},
		{200, strings.Replace(good, `"0"`, `"1"`, 1), false},
		{200, good + good, false},
		{200, good + "x", false},
		{200, good[:len(good)-1], false},
		{200, `{"messages":[{"status":"1","status":"0"}]}`, false},
		{200, `{"messages":[{"status":"0"}],"messages":[{"status":"1"}]}`, false},
		{200, `{"Messages":[{"Status":"0"}]}`, false},
		{200, `{"messages":{"0":{"status":["0"]}}}`, false},
		{200, strings.Repeat("[", 70) + strings.Repeat("]", 70), false},
		{200, "<html>it works</html>", false},
		{200, "", false},
	} {
		receipt, err := j.receipt(readAnswer(k.status, strings.NewReader(k.body), j.readsJSON))
		if k.want != (err == nil) || err != nil && sms.ClassOf(err) != sms.Unknown {
			t.Errorf("%d %s: %v, %v, want it accepted: %v, or unknown", k.status, k.body, receipt, err, k.want)
		}
	}
}

func TestTheClassThatCostsTheLeastCounts(t *testing.T) {
	c := Config{
		Success:      condition1(t, "body contains ok"),
		NumberError:  condition1(t, "json code in 1 2 3 4"),
		Policy:       condition1(t, "json code in 2 3 4"),
		AccountError: append(condition1(t, "json code in 3 4"), condition1(t, "status 400")...),
		NotSent:      append(condition1(t, "json code in 4 5"), condition1(t, "status 500-503 400")...),
	}
	for _, k := range []struct {
		without int
		body    string
		status  int
		want    sms.Class
	}{
		{0, `{"code":4}`, 400, sms.BadNumber},
		{1, `{"code":4}`, 400, sms.Policy},
		{2, `{"code":4}`, 400, sms.Account},
		{3, `{"code":4}`, 400, sms.NotSent},
		{0, `{"code":9}`, 400, sms.Account},
		{0, `{"code":9}`, 503, sms.NotSent},
		{0, `{"code":9}`, 504, sms.Unknown},
		{0, `{"code":1,"text":"ok"}`, 200, sms.BadNumber},
		{0, `{"code":5,"text":"ok"}`, 200, sms.NotSent},
		{0, `{"code":9}`, 200, sms.Unknown},
	} {
		j, err := newJudge(c)
		if err != nil {
			t.Fatal(err)
		}
		j.mappings = j.mappings[k.without:]
		if _, err := j.receipt(readAnswer(k.status, strings.NewReader(k.body), true)); err == nil || sms.ClassOf(err) != k.want {
			t.Errorf("%d %s without the first %d: %v, want %v", k.status, k.body, k.without, err, k.want)
		}
	}
}

// An id ends in logs: it must not drive a terminal, forge a line, or fill a disk.
func TestAnIDThatIsNoShortWordIsLeftOut(t *testing.T) {
	for body, want := range map[string]string{
		`{"id":"SM-0a:1/b+=_"}`: "SM-0a:1/b+=_", `{"id":17}`: "17", `{"id":null}`: "", `{"id":["a"]}`: "", `{"id":"a b"}`: "", `{"id":"a\nb"}`: "", `{"id":"\u001b[2J"}`: "", `{"id":"é"}`: "",
		`{"id":"` + strings.Repeat("a", maxID) + `"}`: strings.Repeat("a", maxID), `{"id":"` + strings.Repeat("a", maxID+1) + `"}`: "", `{}`: "", `[]`: "",
	} {
		j, err := newJudge(Config{ID: "id"})
		if err != nil {
			t.Fatal(err)
		}
		if receipt, err := j.receipt(readAnswer(200, strings.NewReader(body), true)); err != nil || receipt.ID != want {
			t.Errorf("%s: %v, %v, want id %q", body, receipt, err, want)
		}
	}
}

func FuzzAnswer(f *testing.F) {
	for _, body := range []string{
		`{"messages":[{"status":"0","id":"a"}]}`, `{"messages":[{"status":0,"id":"\u0000"}]}`, `{"messages":[{"status":"1","status":"0"}]}`, `{"messages":{"0":{"status":"0"}}}`,
		`[[[[`, `{"a":1}{}`, `nul`, "\xff", `{"messages":[{"status":"0"}],"Messages":1}`, `{"code":21211}`,
	} {
		f.Add(200, body)
		f.Add(400, body)
	}
	success, err := ParseCondition([]string{"json", "messages.0.status", "==", "0"})
	if err != nil {
		f.Fatal(err)
	}
	barred, err := ParseCondition([]string{"json", "code", "in", "21211", "21614"})
	if err != nil {
		f.Fatal(err)
	}
	j, err := newJudge(Config{Success: []Condition{success}, NumberError: []Condition{barred}, ID: "messages.0.id"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, status int, body string) {
		receipt, err := j.receipt(readAnswer(status, strings.NewReader(body), true))
		if err != nil {
			if len(body) > 8 && strings.Contains(err.Error(), body) {
				t.Errorf("%d %q: the error %q repeats the answer", status, body, err)
			}
			return
		}
		// As encoding/json sees it.
		var read map[string]any
		if json.Unmarshal([]byte(body), &read) != nil || status/100 != 2 {
			t.Fatalf("%d %q is accepted", status, body)
		}
		var first any
		switch messages := read["messages"].(type) {
		case []any:
			first = messages[0]
		case map[string]any:
			first = messages["0"]
		}
		object, _ := first.(map[string]any)
		if object["status"] != "0" && object["status"] != 0.0 {
			t.Errorf("%d %q is accepted with status %v", status, body, object["status"])
		}
		if len(receipt.ID) > maxID || strings.ContainsAny(receipt.ID, "\x00\x1b\r\n ") {
			t.Errorf("%q gives id %q", body, receipt.ID)
		}
	})
}
