package leaktest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

const (
	number  = "+6281234567890"
	abroad  = "+6591234567"
	code    = "493817"
	session = "kV2_x-9Qh0aZ"
)

func planted() *Secrets {
	s := new(Secrets)
	s.AddNumber("a number", number)
	s.AddNumber("a number abroad", abroad)
	s.AddCode("a code", code)
	s.Add("a session", session)
	return s
}

func TestASecretIsFoundInEverySpelling(t *testing.T) {
	for what, lines := range map[string][]string{
		"a number": {
			"sent to +6281234567890", "to=6281234567890&text=x", "081234567890", "0812-3456-7890", "+62 812 3456 7890", "(0812) 3456 7890",
			"+62(0)812-3456-7890", `{"to":"6281234567890"}`, `{"request":{"uri":"/receipts?msisdn=6281234567890"}}`, "%2B62+812+3456+7890",
			`{"msg":"\u002b62\u0038\u0031\u0032 3456 7890"}`, "0812\u00a03456\u00a07890", "x6281234567890y",
		},
		"a number abroad": {"+65 9123 4567", "91234567", "6591234567"},
		"a code": {
			"code 493817", `{"code":"493817"}`, `{"code":493817}`, "stepgate_code=493817&x=1", `{"text":"Kode Anda:\n493817. Rahasia"}`, "@a.example #493817",
			`{"error":{"cause":["wrong: 493817"]}}`, `{"493817":true}`,
		},
		"a session": {"Cookie: sid=kV2_x-9Qh0aZ", `{"Cookie":["a=b; sid=kV2_x-9Qh0aZ"]}`, "xkV2_x-9Qh0aZx"},
	} {
		for _, line := range lines {
			found := planted().Find(line)
			if len(found) != 1 || !slices.Contains(slices.Collect(values(found)), what) {
				t.Errorf("Find(%q) = %v, want %s", line, found, what)
			}
		}
	}
}

func values(m map[string]string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for _, v := range m {
			if !yield(v) {
				return
			}
		}
	}
}

func TestWhatOnlyLooksLikeASecretIsNone(t *testing.T) {
	for _, line := range []string{
		"+62 ••• •••• 7890", "+62812…", `{"ts":1795668728.493817,"duration":0.000493817}`, `{"bytes":1493817,"id":"a493817"}`, "BCA 1234567890",
		"challenge Ab-493817_x", "",
	} {
		if found := planted().Find(line); len(found) > 0 {
			t.Errorf("Find(%q) = %v, want nothing", line, found)
		}
	}
}

// recorder is a test whose failures are looked at.
type recorder struct {
	testing.TB
	failures []string
}

func (r *recorder) Helper() {}
func (r *recorder) Errorf(format string, args ...any) {
	r.failures = append(r.failures, fmt.Sprintf(format, args...))
}

func TestAFailureShowsTheLineAndNoSecret(t *testing.T) {
	r := &recorder{TB: t}
	planted().Check(r, "log.json", "fine\n"+`{"msg":"sent","to":"+62 812-3456-7890","code":"493817","sid":"kV2_x-9Qh0aZ"}`+"\nfine\n")
	if len(r.failures) != 1 {
		t.Fatalf("Check fails with %q, want one line", r.failures)
	}
	got := r.failures[0]
	for _, want := range []string{"line 2 of log.json", "a code", "a number", "a session", `"msg":"sent"`} {
		if !strings.Contains(got, want) {
			t.Errorf("the failure %q does not say %q", got, want)
		}
	}
	if found := planted().Find(got); len(found) > 0 {
		t.Errorf("the failure repeats %v", found)
	}
	r.failures = nil
	planted().Check(r, "log.json", strings.Repeat(code+"\n", 50))
	if len(r.failures) != maxShown+1 || !strings.Contains(r.failures[maxShown], "50 lines") {
		t.Errorf("50 lines fail with %d messages, the last %q", len(r.failures), r.failures[len(r.failures)-1])
	}
}

func TestWhatIsTooShortToTellIsLeftOut(t *testing.T) {
	s := new(Secrets)
	s.Add("x", "")
	s.Add("x", "short")
	s.AddCode("x", "12")
	s.AddCode("x", "12345a")
	s.AddNumber("x", "")
	s.AddNumber("x", "0812")
	if found := s.Find("short 12 12345a 0812"); len(found) > 0 {
		t.Errorf("Find = %v, want nothing", found)
	}
}
