package main

import (
	"net/http"
	"strings"
	"testing"
)

func TestTheCodeIsFoundInWhatTheConsoleSenderPrints(t *testing.T) {
	const printed = `{"level":"info","ts":1772000000.123456,"msg":"serving initial configuration"}

┌─ SMS to +6281234567890 (console sender: nothing was sent)
│ Example Casino: 042137 adalah kode Anda, berlaku 5 menit.
│ 
└─ ref 123456, valid 5m0s
`
	p := &process{codes: make(chan string, 1)}
	p.read(strings.NewReader(printed))
	select {
	case got := <-p.codes:
		if got != "042137" {
			t.Errorf("code = %q, want 042137", got)
		}
	default:
		t.Error("no code was found")
	}
	if got := p.printed(); !strings.Contains(got, "serving initial configuration") || strings.Contains(got, "042137") {
		t.Errorf("printed = %q, want the log without the code", got)
	}
}

func TestOnlyTheNewestCodeWaits(t *testing.T) {
	p := &process{codes: make(chan string, 1)}
	p.read(strings.NewReader("│ code 111111\n│ code 222222\n"))
	if got := <-p.codes; got != "222222" {
		t.Errorf("code = %q, want 222222", got)
	}
}

func TestTheJarSendsEachCookieOnce(t *testing.T) {
	j := new(jar)
	if got := j.header(); got != siteCookies {
		t.Errorf("header = %q, want %q", got, siteCookies)
	}
	j.set(&http.Cookie{Name: "a", Value: "1"})
	j.set(&http.Cookie{Name: "b", Value: "2"})
	j.set(&http.Cookie{Name: "a", Value: "3"})
	if got, want := j.header(), siteCookies+"; b=2; a=3"; got != want {
		t.Errorf("header = %q, want %q", got, want)
	}
}
