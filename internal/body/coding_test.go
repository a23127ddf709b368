package body_test

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"encoding/binary"
	"hash/adler32"
	"io"
	"strings"
	"testing"

	"github.com/stepgate/stepgate/internal/body"
	"github.com/stepgate/stepgate/policy"
)

func codedInput(contentType string, text []byte, codings ...string) body.Input {
	in := input(contentType, string(text))
	in.Header["Content-Encoding"] = codings
	return in
}

func TestInvariantI1ACodedBodyIsRead(t *testing.T) {
	text := []byte("action=withdraw")
	for _, coding := range []string{"gzip", "x-gzip", "deflate", "br", "zstd"} {
		wantFields(t, codedInput(formType, coded(t, coding, text), coding), "form action=withdraw")
		wantFields(t, codedInput(formType, coded(t, coding, text), strings.ToUpper(coding)+" , identity"), "form action=withdraw")
	}
	wantFields(t, codedInput(formType, coded(t, "raw", text), "deflate"), "form action=withdraw")
	wantFields(t, codedInput(formType, text, "identity"), "form action=withdraw")
	wantFields(t, codedInput(formType, text, ""), "form action=withdraw")

	thrice := coded(t, "zstd", coded(t, "br", coded(t, "gzip", text)))
	wantFields(t, codedInput(formType, thrice, "gzip, br", "zstd"), "form action=withdraw")
	wantUnclear(t, codedInput(formType, coded(t, "gzip", thrice), "gzip, br, zstd, gzip"), policy.UnclearEncoding)

	header := input(formType, string(coded(t, "gzip", text)))
	header.Header["Content_Encoding"] = []string{"gzip"}
	wantFields(t, header, "form action=withdraw")
}

func TestInvariantI2BytesThatAreNotOfTheirCodingAreUnclear(t *testing.T) {
	for _, coding := range []string{"gzip", "deflate", "br", "zstd"} {
		good := coded(t, coding, []byte("amount=5&note="+strings.Repeat("xyz", 100)))
		for name, bad := range map[string][]byte{
			"plain":              []byte("action=withdraw"),
			"cut off":            good[:len(good)-1],
			"something behind":   append(bytes.Clone(good), "&action=withdraw"...),
			"much behind":        append(bytes.Clone(good), bytes.Repeat([]byte("&action=withdraw"), 1<<13)...),
			"a NUL behind":       append(bytes.Clone(good), 0),
			"a second one":       append(bytes.Clone(good), coded(t, coding, []byte("9"))...),
			"another one behind": append(bytes.Clone(good), coded(t, "gzip", []byte("a=b"))[:9]...),
		} {
			t.Run(coding+" "+name, func(t *testing.T) {
				wantUnclear(t, codedInput(formType, bad, coding), policy.UnclearEncoding)
			})
		}
	}
	wantUnclear(t, codedInput(formType, append(skippable("&a=b"), coded(t, "zstd", []byte("a=b"))...), "zstd"), policy.UnclearEncoding)
	wantUnclear(t, codedInput(formType, skippable("&a=b"), "zstd"), policy.UnclearEncoding)
	for _, coding := range []string{"compress", "gzip;q=1", "aws-chunked", "deflate-raw", "zip", "none"} {
		wantUnclear(t, codedInput(formType, []byte("a=b"), coding), policy.UnclearEncoding)
	}
	// Compressed without a word about it, for a site that looks at the first bytes.
	wantUnclear(t, input(formType, string(coded(t, "gzip", []byte("action=withdraw")))), policy.UnclearCharset)
}

// skippable is a frame that decoders of zstd pass over (RFC 8878 section 3.1.2).
func skippable(content string) []byte {
	return append([]byte{0x50, 0x2a, 0x4d, 0x18, byte(len(content)), 0, 0, 0}, content...)
}

// gzipWith hides a comment in the header.
func gzipWith(t *testing.T, comment, text string) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	w.Comment = comment
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestInvariantI2ABombIsTooLarge(t *testing.T) {
	bomb := make([]byte, limit+1)
	for _, coding := range []string{"gzip", "deflate", "br", "zstd"} {
		once := coded(t, coding, bomb)
		wantUnclear(t, codedInput(formType, once, coding), policy.UnclearTooLarge)
		wantUnclear(t, codedInput(formType, coded(t, "gzip", once), coding+", gzip"), policy.UnclearTooLarge)
	}
	wantUnclear(t, codedInput(formType, coded(t, "raw", bomb), "deflate"), policy.UnclearTooLarge)
	exact := codedInput(formType, coded(t, "gzip", []byte("a="+strings.Repeat("x", limit-2))), "gzip")
	wantFields(t, exact, "form a="+strings.Repeat("x", limit-2))
	for _, exact.Cap = range []int64{limit - 1, 0, -1} {
		wantUnclear(t, exact, policy.UnclearTooLarge)
	}
}

// A site that knows no codings reads the comment of a gzip header as a form.
func TestInvariantI1WhatStandsInTheCodedBytesIsFoundToo(t *testing.T) {
	hidden := gzipWith(t, "&action=withdraw&", "a=b")
	wantFields(t, codedInput(formType, hidden, "gzip"), "form action=withdraw", "form a=b")
	wantFields(t, codedInput("", hidden, "gzip"), "form action=withdraw", "form a=b")
	wantUnclear(t, codedInput(partsType, gzipWith(t, "--xyz", "a=b"), "gzip"), policy.UnclearEncoding)
}

// One decoder finds the zlib format, another a bare deflate stream: the zlib
// header begins a stored block, whose length is written over a second one's.
func TestInvariantI2BytesThatAreDeflateInBothSensesAreUnclear(t *testing.T) {
	stored := func(flag byte, length int) []byte {
		block := binary.LittleEndian.AppendUint16([]byte{flag}, uint16(length))
		return binary.LittleEndian.AppendUint16(block, ^uint16(length))
	}
	const inner = 0xfffe
	// What zlib finds: one stored block of inner bytes, and an empty last one.
	visible := append(stored(0, 15)[1:], "action=withdraw"...)
	visible = append(visible, stored(1, inner-len(visible)-5+5+4)...)
	visible = append(visible, bytes.Repeat([]byte("a"), inner-len(visible))...)
	wrapped := append([]byte{0x78, 0x01}, stored(0, inner)...)
	wrapped = append(append(wrapped, visible...), stored(1, 0)...)
	wrapped = binary.BigEndian.AppendUint32(wrapped, adler32.Checksum(visible))

	z, err := zlib.NewReader(bytes.NewReader(wrapped))
	if err != nil {
		t.Fatal(err)
	}
	one, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	two, err := io.ReadAll(flate.NewReader(bytes.NewReader(wrapped)))
	if err != nil || bytes.Equal(one, two) || !bytes.Contains(two, []byte("action=withdraw")) {
		t.Fatalf("the bytes are not of both formats: %v", err)
	}
	wantUnclear(t, codedInput(formType, wrapped, "deflate"), policy.UnclearEncoding)
}
