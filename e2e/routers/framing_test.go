package routers

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
)

// headerRespellings add lines of the header that servers and proxies heed.
func headerRespellings() []respelling {
	var all []respelling
	for _, line := range []string{
		"X-Forwarded-Host: elsewhere.example", "X-Forwarded-Proto: https", "X-Forwarded-For: 127.0.0.1", "X-Forwarded-Port: 443", "Forwarded: for=127.0.0.1;host=localhost;proto=https",
		"X-Real-IP: 127.0.0.1", "X-Requested-With: XMLHttpRequest", "Accept: text/html", "Accept: application/json", "Origin: http://localhost", "Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: navigate",
		"Step-Up-Challenge: AAAAAAAAAAAAAAAAAAAAAA", "Step_Up_Challenge: x", "Cookie: stepgate-grant=forged", "Cookie: session=another", "Authorization: Bearer x", "Range: bytes=0-0", "If-None-Match: *",
		"Connection: keep-alive, X-Forwarded-For", "Connection: Cookie", "Connection: Content-Type", "Connection: X-HTTP-Method-Override", "Keep-Alive: timeout=5", "TE: trailers", "Trailer: X-HTTP-Method-Override",
		"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\nConnection: Upgrade, HTTP2-Settings", "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13",
		"Proxy: http://elsewhere.example", "Proxy-Connection: keep-alive", "Early-Data: 1", "Max-Forwards: 0", "Via: 1.1 localhost", "CDN-Loop: x", "Accept-Encoding: x", "X-Empty:", "X-Long: " + strings.Repeat("x", 6000),
		"X-Folded: a\r\n b", "X-Tab:\ta", "X-Latin: \xe9", "X-Control: \x01", "X Space: y", "X-Space : y", ": nameless", "nameless", "X-Colon:: y",
	} {
		all = append(all, respelling{fmt.Sprintf("with the line %.40q", line), func(r *request, _ *rand.Rand) { r.header = append(r.header, line) }})
	}
	return append(all,
		respelling{"the type twice", func(r *request, _ *rand.Rand) { r.kind = append(r.kind, "Content-Type: text/plain") }},
		respelling{"the type gone", func(r *request, _ *rand.Rand) { r.kind = nil }},
		respelling{"the type in small letters", func(r *request, _ *rand.Rand) { r.kind = lower(r.kind) }},
		respelling{"the host in small letters", func(r *request, _ *rand.Rand) { r.host = lower(r.host) }},
		respelling{"the host last", func(r *request, _ *rand.Rand) { r.header, r.host = append(r.header, r.host...), nil }},
		respelling{"two cookie lines", func(r *request, _ *rand.Rand) { r.header = append(r.header, "Cookie: a=b; c") }})
}

func lower(lines []string) []string {
	var all []string
	for _, l := range lines {
		all = append(all, strings.ToLower(l))
	}
	return all
}

// oddly makes a respelling after which a server may wait for more, or answer more
// than once.
func oddly(name string, do func(r *request, random *rand.Rand)) respelling {
	return respelling{name, func(r *request, random *rand.Rand) {
		r.odd = true
		do(r, random)
	}}
}

// framed makes a respelling of how the body's end is told.
func framed(name string, length func(body string) string) respelling {
	return oddly(name, func(r *request, _ *rand.Rand) { r.length = length })
}

// within makes a respelling that hides the request in another, open one.
func within(name string, wrap func(request string) string) respelling {
	return oddly(name, func(r *request, _ *rand.Rand) { r.wrap = wrap })
}

const outer = "%s /games HTTP/1.1\r\nHost: localhost\r\nCookie: " + sessionCookie + "\r\n"

func size(body string) string { return strconv.Itoa(len(body)) }

// framingRespellings tell differently where a request begins and ends.
func framingRespellings() []respelling {
	return []respelling{
		{"chunked", func(r *request, _ *rand.Rand) { r.length = chunked }},
		{"chunked with extensions", func(r *request, _ *rand.Rand) {
			r.length = func(body string) string { return strings.Replace(chunked(body), "\r\n0\r\n", "\r\n0;a=\"b\"\r\n", 1) }
		}},
		{"chunked with a trailer", func(r *request, _ *rand.Rand) {
			r.length = func(body string) string {
				return strings.TrimSuffix(chunked(body), "\r\n") + "X-HTTP-Method-Override: POST\r\n\r\n"
			}
		}},
		{"chunked in capitals", func(r *request, _ *rand.Rand) {
			r.length = func(body string) string { return "transfer-encoding: CHUNKED\r\n\r\n" + chunks(body) }
		}},
		{"HTTP/1.0", func(r *request, _ *rand.Rand) { r.proto, r.close = "HTTP/1.0", false }},
		{"HTTP/1.0 kept alive", func(r *request, _ *rand.Rand) {
			r.proto, r.close, r.odd = "HTTP/1.0", false, true
			r.header = append(r.header, "Connection: keep-alive")
		}},
		oddly("HTTP/0.9", func(r *request, _ *rand.Rand) { r.proto, r.gap = "", " " }),
		oddly("another version", func(r *request, random *rand.Rand) {
			r.proto = pick(random, "HTTP/1.2", "HTTP/2.0", "HTTP/1.10", "http/1.1", "HTTP/01.1", "HTTP/1", "XTTP/1.1")
		}),
		oddly("wide gaps", func(r *request, random *rand.Rand) { r.gap = pick(random, "  ", "\t", " \t", "\x0b", "\x0c", "\u00a0") }),
		oddly("bare line ends", func(r *request, random *rand.Rand) { r.eol = pick(random, "\n", "\n", "\r", "\r\r\n") }),
		oddly("empty lines first", func(r *request, random *rand.Rand) { r.prefix = pick(random, "\r\n", "\n", "\r\n\r\n", " ", "\x00") }),
		oddly("Expect: 100-continue", func(r *request, _ *rand.Rand) { r.header = append(r.header, "Expect: 100-continue") }),
		oddly("another expectation", func(r *request, _ *rand.Rand) { r.header = append(r.header, "Expect: x") }),
		oddly("kept alive", func(r *request, _ *rand.Rand) { r.close = false }),
		oddly("as the second request", func(r *request, _ *rand.Rand) { r.prefix = fmt.Sprintf(outer, "GET") + "\r\n" }),
		oddly("as the second request behind a form", func(r *request, _ *rand.Rand) {
			r.prefix = fmt.Sprintf(outer, "POST") + formKind + "\r\nContent-Length: 3\r\n\r\na=b"
		}),
		oddly("as the second request behind an upgrade", func(r *request, _ *rand.Rand) {
			r.prefix = fmt.Sprintf(outer, "GET") + "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 99\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
		}),
		framed("two lengths", func(body string) string {
			return "Content-Length: " + size(body) + "\r\nContent-Length: 0\r\n\r\n" + body
		}),
		framed("the same length twice", func(body string) string {
			return "Content-Length: " + size(body) + "\r\nContent-Length: " + size(body) + "\r\n\r\n" + body
		}),
		framed("a list of lengths", func(body string) string {
			return "Content-Length: " + size(body) + ", " + size(body) + "\r\n\r\n" + body
		}),
		framed("a length with a sign", func(body string) string { return "Content-Length: +" + size(body) + "\r\n\r\n" + body }),
		framed("no length", func(body string) string { return "\r\n" + body }),
		framed("a length too great", func(body string) string { return "Content-Length: 4096\r\n\r\n" + body }),
		framed("a length and chunks", func(body string) string { return "Content-Length: " + size(body) + "\r\n" + chunked(body) }),
		framed("chunks and a length", func(body string) string {
			return "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n" + chunks(body)
		}),
		framed("Transfer-Encoding: identity", func(body string) string { return "Transfer-Encoding: identity\r\n" + byLength(body) }),
		framed("chunked twice", func(body string) string { return "Transfer-Encoding: chunked\r\n" + chunked(body) }),
		framed("gzip, chunked", func(body string) string { return "Transfer-Encoding: gzip, chunked\r\n\r\n" + chunks(body) }),
		framed("chunks with bare line ends", func(body string) string {
			return "Transfer-Encoding: chunked\r\n\r\n" + strings.ReplaceAll(chunks(body), "\r\n", "\n")
		}),
	}
}

// hidingRespellings put the request into another.
func hidingRespellings() []respelling {
	var all []respelling
	// The inner request is the body of the outer one for one reader, and a request of
	// its own for another.
	for _, line := range []string{
		"Transfer-Encoding: chunked", "Transfer-Encoding : chunked", "Transfer-Encoding: xchunked", "Transfer-Encoding:\x0bchunked", "Transfer-Encoding: chunked, identity", "Transfer-Encoding: identity, chunked",
		"X: y\nTransfer-Encoding: chunked", " Transfer-Encoding: chunked", "Transfer_Encoding: chunked", "Transfer-Encoding: \"chunked\"", "Transfer-Encoding:\r\n chunked", "Transfer-Encoding: chunked\r\nTransfer-Encoding: x",
	} {
		all = append(all,
			within("inside a body of a length, behind "+strconv.Quote(line), func(inner string) string {
				body := "0\r\n\r\n" + inner
				return fmt.Sprintf(outer, "POST") + "Content-Length: " + size(body) + "\r\n" + line + "\r\n\r\n" + body
			}),
			within("inside a chunk of a short length, behind "+strconv.Quote(line), func(inner string) string {
				return fmt.Sprintf(outer, "POST") + "Content-Length: 4\r\n" + line + "\r\n\r\n" + chunks(inner)
			}))
	}
	for _, method := range []string{"GET", "HEAD", "POST", "OPTIONS", "DELETE"} {
		all = append(all, within("inside the body of "+method, func(inner string) string {
			return fmt.Sprintf(outer, method) + "Content-Length: " + size(inner) + "\r\n\r\n" + inner
		}))
	}
	return append(all,
		within("behind a length of zero", func(inner string) string { return fmt.Sprintf(outer, "POST") + "Content-Length: 0\r\n\r\n" + inner }),
		within("inside a body that is expected", func(inner string) string {
			return fmt.Sprintf(outer, "POST") + "Expect: 100-continue\r\nContent-Length: " + size(inner) + "\r\n\r\n" + inner
		}),
		within("inside a body of another length", func(inner string) string {
			return fmt.Sprintf(outer, "POST") + "Content-Length: 0\r\nContent-Length: " + size(inner) + "\r\n\r\n" + inner
		}),
		within("inside a chunk's extension", func(inner string) string {
			return fmt.Sprintf(outer, "POST") + "Transfer-Encoding: chunked\r\n\r\n0;\n\r\n\r\n" + inner
		}),
		within("behind a chunk's size of two readings", func(inner string) string {
			return fmt.Sprintf(outer, "POST") + "Transfer-Encoding: chunked\r\n\r\n" + "0x0\r\n\r\n" + inner + "\r\n0\r\n\r\n"
		}),
		within("in the value of a header", func(inner string) string {
			line, _, _ := strings.Cut(inner, "\r\n")
			return fmt.Sprintf(outer, "GET") + "X: y\r" + line + "\r\n\r\n"
		}),
		within("in the query behind a line end", func(inner string) string {
			return "GET /games?x HTTP/1.1\nHost: localhost\n\n" + inner
		}))
}
