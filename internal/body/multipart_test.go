package body_test

import (
	"strings"
	"testing"

	"github.com/stepgate/stepgate/internal/body"
	"github.com/stepgate/stepgate/policy"
)

const partsType = "multipart/form-data; boundary=xyz"

// parts makes a multipart body. Each part is its header lines, "|", its content.
func parts(all ...string) string {
	var b strings.Builder
	for _, part := range all {
		header, content, _ := strings.Cut(part, "|")
		b.WriteString("--xyz\r\n" + strings.ReplaceAll(header, "\n", "\r\n") + "\r\n\r\n" + content + "\r\n")
	}
	return b.String() + "--xyz--\r\n"
}

const amountPart = `Content-Disposition: form-data; name="amount"|999`

func TestInvariantI1EveryPartIsFound(t *testing.T) {
	tests := map[string]struct {
		part string
		want []string
	}{
		"a browser's":           {amountPart, []string{"form amount=999"}},
		"a file":                {"Content-Disposition: form-data; name=\"f\"; filename=\"a.png\"\nContent-Type: image/png|\x89PNG\x00", []string{"form f=\x89PNG\x00"}},
		"a file without a name": {`Content-Disposition: form-data; name="amount"; filename=""|999`, []string{"form amount=999"}},
		"a bare name":           {`content-disposition: FORM-DATA;name=amount|999`, []string{"form amount=999"}},
		"an escaped name":       {`Content-Disposition: form-data; name="%61mount"|999`, []string{"form amount=999", "form %61mount=999"}},
		"a NUL in the name":     {`Content-Disposition: form-data; name="amount%00x"|999`, []string{"form amount=999"}},
		"PHP's dot":             {`Content-Disposition: form-data; name="bank.account"|1`, []string{"form bank_account=1", "form bank.account=1"}},
		"NUL ends a value":      {`Content-Disposition: form-data; name="action"|` + "withdraw\x00x", []string{"form action=withdraw"}},
		"line ends":             {`Content-Disposition: form-data; name="a"|` + "\r\nb\r\n\r\n", []string{"form a=\r\nb\r\n\r\n"}},
		"a charset":             {"Content-Disposition: form-data; name=\"a\"\nContent-Type: text/plain; charset=utf-8|b", []string{"form a=b"}},
		"a transfer encoding":   {"Content-Disposition: form-data; name=\"a\"\nContent-Transfer-Encoding: 8BIT|b", []string{"form a=b"}},
		"JSON": {"Content-Disposition: form-data; name=\"order\"\nContent-Type: application/json|" + `{"amount":999}`,
			[]string{`form order={"amount":999}`, "json amount=999"}},
		"no part": {`Content-Disposition: form-data; name=""|`, []string{"form ="}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			wantFields(t, input(partsType, parts(`Content-Disposition: form-data; name="x"|y`, tt.part)), append(tt.want, "form x=y")...)
		})
	}
	for _, contentType := range []string{`multipart/form-data; boundary="xyz"`, "multipart/form-data;boundary=xyz; charset=utf-8", "multipart/mixed; boundary=xyz"} {
		wantFields(t, input(contentType, parts(amountPart)), "form amount=999")
	}
	if got := body.Read(input(partsType, "--xyz--\r\n")); got.Unclear != "" || len(got.Fields) > 0 {
		t.Errorf("no parts: Read() = %+v", got)
	}
}

func TestInvariantI2PartsThatParsersSeeDifferentlyAreUnclear(t *testing.T) {
	good := parts(`Content-Disposition: form-data; name="x"|y`)
	hidden := parts(amountPart)
	for name, text := range map[string]string{
		"a preamble":                     "amount=999\r\n" + good,
		"an empty line before":           "\r\n" + good,
		"an epilogue":                    good + hidden,
		"an epilogue that is no part":    good + "amount=999",
		"no end":                         strings.TrimSuffix(good, "--xyz--\r\n"),
		"nothing but the end's start":    "--xyz-",
		"line ends of LF only":           strings.ReplaceAll(good, "\r\n", "\n"),
		"one line end of LF only":        strings.Replace(good, "\"\r\n\r\n", "\"\n\n", 1),
		"a delimiter behind LF":          strings.Replace(good, "y\r\n--xyz", "y\n--xyz\r\nContent-Disposition: form-data; name=\"amount\"\r\n\r\n999\r\n--xyz", 1),
		"a delimiter inside a line":      parts(`Content-Disposition: form-data; name="x"|y--xyz`),
		"a longer delimiter":             parts(`Content-Disposition: form-data; name="x"|` + "y\r\n--xyzw\r\nContent-Disposition: form-data; name=\"amount\"\r\n\r\n999"),
		"padding behind a delimiter":     strings.Replace(good, "--xyz\r\n", "--xyz \r\n", 1),
		"a folded header":                parts("Content-Disposition: form-data;\n name=\"amount\"|999"),
		"no header":                      parts("|999"),
		"no disposition":                 parts("Content-Type: text/plain|999"),
		"two dispositions":               parts("Content-Disposition: form-data; name=\"x\"\nContent-Disposition: form-data; name=\"amount\"|999"),
		"two names":                      parts(`Content-Disposition: form-data; name="x"; name="amount"|999`),
		"an extended name":               parts(`Content-Disposition: form-data; name="x"; name*=utf-8''amount|999`),
		"a continued name":               parts(`Content-Disposition: form-data; name*0="am"; name*1="ount"|999`),
		"an extended file name":          parts(`Content-Disposition: form-data; name="x"; filename="a"; filename*=utf-8''b|999`),
		"a backslash":                    parts(`Content-Disposition: form-data; name="x\"; name="amount"|999`),
		"a semicolon in the name":        parts(`Content-Disposition: form-data; name="x; name=amount"|999`),
		"a name in single quotes":        parts(`Content-Disposition: form-data; name='amount'|999`),
		"no name":                        parts(`Content-Disposition: form-data|999`),
		"a space before the colon":       parts(`Content-Disposition : form-data; name="amount"|999`),
		"an empty line for two":          "--xyz\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\n--xyz--\r\n",
		"a header that never ends":       "--xyz\r\nContent-Disposition: form-data; name=\"x\"\r\n--xyz--\r\n",
		"JSON":                           `{"action":"withdraw"}`,
		"a form":                         "action=withdraw",
		"a part of JSON that is no JSON": parts("Content-Disposition: form-data; name=\"x\"\nContent-Type: application/json|{'amount':1}"),
	} {
		t.Run(name, func(t *testing.T) { wantUnclear(t, input(partsType, text), policy.UnclearSyntax) })
	}
	for header, word := range map[string]string{
		"Content-Transfer-Encoding: base64":                             policy.UnclearEncoding,
		"Content-Transfer-Encoding: quoted-printable":                   policy.UnclearEncoding,
		"Content-Transfer-Encoding: 7bit\nContent-Transfer-Encoding: x": policy.UnclearEncoding,
		"Content-Encoding: gzip":                                        policy.UnclearEncoding,
		"Content-Type: text/plain; charset=utf-7":                       policy.UnclearCharset,
		"Content-Type: multipart/mixed; boundary=abc":                   policy.UnclearType,
		"Content-Type: text/plain\nContent-Type: application/json":      policy.UnclearType,
		"Content-Type: text plain":                                      policy.UnclearType,
	} {
		t.Run(header, func(t *testing.T) {
			wantUnclear(t, input(partsType, parts("Content-Disposition: form-data; name=\"a\"\n"+header+"|YW1vdW50")), word)
		})
	}
	wantUnclear(t, input(partsType, parts(`Content-Disposition: form-data; name="_charset_"|utf-16`)), policy.UnclearCharset)
}

func TestInvariantI2ABoundaryThatParsersReadDifferentlyIsUnclear(t *testing.T) {
	for _, parameters := range []string{
		"", "; boundary", "; boundary=", `; boundary=""`, "; boundary=xyz; boundary=abc", "; boundary=xyz,abc", `; boundary="xyz,abc"`,
		`; boundary="x\yz"`, "; boundary*=utf-8''xyz", "; boundary*0=xy; boundary*1=z", "; boundary=xyz; xboundary=abc", `; x="boundary=abc"; boundary=xyz`,
		`; boundary="xyz "`, `; boundary="x:yz"`, "; boundary=" + strings.Repeat("x", 71), "; boundary=xyz; x=multipart",
	} {
		t.Run(parameters, func(t *testing.T) {
			wantUnclear(t, input("multipart/form-data"+parameters, parts(amountPart)), policy.UnclearType)
		})
	}
}
