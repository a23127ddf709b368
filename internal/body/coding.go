package body

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"io"
	"strings"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"

	"github.com/stepgate/stepgate/policy"
)

const (
	// maxCodings is how many codings may lie upon each other.
	maxCodings = 3
	// maxWindow is how much a zstd frame may ask a decoder to remember, in bytes:
	// what RFC 9659 allows for Content-Encoding.
	maxWindow = 8 << 20
)

// codingsOf reads Content-Encoding (RFC 9110 section 8.4): the codings in the
// order in which they were applied, without identity.
func codingsOf(header map[string][]string) ([]string, string) {
	var codings []string
	for name := range strings.SplitSeq(strings.Join(headerValues(header, "Content-Encoding"), ","), ",") {
		switch name = strings.ToLower(strings.TrimSpace(name)); name {
		case "", "identity":
		case "gzip", "x-gzip", "deflate", "br", "zstd":
			codings = append(codings, name)
		default:
			return nil, policy.UnclearEncoding
		}
	}
	if len(codings) > maxCodings {
		return nil, policy.UnclearEncoding
	}
	return codings, ""
}

// decode undoes the codings, the last one first.
func decode(coded []byte, codings []string, limit int64) ([]byte, string) {
	for i := len(codings) - 1; i >= 0; i-- {
		var word string
		switch codings[i] {
		case "gzip", "x-gzip":
			coded, word = expand(coded, limit, openGzip)
		case "deflate":
			coded, word = inflate(coded, limit)
		case "br":
			coded, word = expand(coded, limit, openBrotli)
		case "zstd":
			if !isFrame(coded) {
				return nil, policy.UnclearEncoding
			}
			coded, word = expand(coded, limit, openZstd)
		}
		if word != "" {
			return nil, word
		}
	}
	return coded, ""
}

// inflate takes "deflate" for both of what it is taken for: the zlib format (RFC
// 1950), and the bare stream inside it. Bytes can be made that are both.
func inflate(coded []byte, limit int64) ([]byte, string) {
	wrapped, wrong := expand(coded, limit, zlib.NewReader)
	bare, wrongBare := expand(coded, limit, openFlate)
	switch {
	case wrong == policy.UnclearTooLarge || wrongBare == policy.UnclearTooLarge:
		return nil, policy.UnclearTooLarge
	case wrong == "" && wrongBare != "":
		return wrapped, ""
	case wrong != "" && wrongBare == "":
		return bare, ""
	}
	return nil, policy.UnclearEncoding
}

// expand reads one coding to its end, which must be the end of the bytes.
func expand(coded []byte, limit int64, open func(io.Reader) (io.ReadCloser, error)) ([]byte, string) {
	rest := bytes.NewReader(coded)
	stream, err := open(rest)
	if err != nil {
		return nil, policy.UnclearEncoding
	}
	defer func() { _ = stream.Close() }() // it holds nothing but memory
	text, err := io.ReadAll(io.LimitReader(stream, limit+1))
	switch {
	case int64(len(text)) > limit:
		return nil, policy.UnclearTooLarge
	case err != nil || rest.Len() > 0:
		return nil, policy.UnclearEncoding
	}
	return text, ""
}

// openGzip reads one member. RFC 1952 allows several, but some readers stop behind
// the first, and so see a value cut off.
func openGzip(r io.Reader) (io.ReadCloser, error) {
	z, err := gzip.NewReader(r)
	if err != nil {
		return nil, err
	}
	z.Multistream(false)
	return z, nil
}

func openFlate(r io.Reader) (io.ReadCloser, error) { return flate.NewReader(r), nil }

func openBrotli(r io.Reader) (io.ReadCloser, error) { return io.NopCloser(brotli.NewReader(r)), nil }

func openZstd(r io.Reader) (io.ReadCloser, error) {
	d, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
	if err != nil {
		return nil, err
	}
	return d.IOReadCloser(), nil
}

// isFrame reports whether bytes are one frame of zstd (RFC 8878 section 3.1.1), as
// far as its lengths say. Several are as several members of gzip are.
func isFrame(coded []byte) bool {
	var header zstd.Header
	if header.Decode(coded) != nil || header.Skippable {
		return false
	}
	rest := coded[header.HeaderSize:]
	for last := false; !last; {
		if len(rest) < 3 {
			return false
		}
		block := uint32(rest[0]) | uint32(rest[1])<<8 | uint32(rest[2])<<16
		size := int(block >> 3)
		if block>>1&3 == 1 { // one byte, repeated
			size = 1
		}
		if len(rest) < 3+size {
			return false
		}
		rest, last = rest[3+size:], block&1 == 1
	}
	if header.HasCheckSum {
		return len(rest) == 4
	}
	return len(rest) == 0
}
