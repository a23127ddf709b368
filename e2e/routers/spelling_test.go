package routers

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
)

// The session of the player, who is logged in and has passed no challenge.
const sessionCookie = "session=the-players-own"

// request is one request in parts, each of which a respelling may change.
type request struct {
	prefix string // before the first request of the connection
	method string
	gap    string // between the parts of the request line
	target string // before the path: a scheme, a host
	path   string
	query  string // with its "?"
	proto  string
	host   []string // header lines
	header []string // header lines
	kind   []string // header lines of the content type
	body   string
	length func(body string) string // the header lines and the body, as they are framed
	eol    string
	close  bool // asks the server to close the connection
	wrap   func(request string) string
	// odd says that the server may wait for more, or answer more than once.
	odd bool
}

const formKind = "Content-Type: application/x-www-form-urlencoded"

// sensitive are plain requests for the sensitive handlers.
func sensitive(handler string, scripts bool) *request {
	r := &request{
		method: "POST", gap: " ", proto: "HTTP/1.1", host: []string{"Host: localhost"}, kind: []string{formKind},
		body: "amount=100000&account=BCA+1", length: byLength, eol: "\r\n", close: true,
	}
	switch handler {
	case "withdraw":
		r.path = "/wallet/withdraw"
	case "export":
		r.method, r.path, r.kind, r.body = "GET", "/account/export", nil, ""
	case "phone":
		r.method, r.path = "PUT", "/account/phone"
	case "transfer":
		r.path = "/api/users/7/transfer"
	}
	switch {
	case scripts && handler == "transfer":
		r.path = "/api/users/transfer.php"
	case scripts:
		r.path += ".php"
	}
	return r
}

var handlers = []string{"withdraw", "export", "phone", "transfer"}

// byLength frames a body by its length, or not at all if there is none.
func byLength(body string) string {
	if body == "" {
		return "\r\n"
	}
	return "Content-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body
}

// chunked frames a body in chunks.
func chunked(body string) string { return "Transfer-Encoding: chunked\r\n\r\n" + chunks(body) }

func chunks(body string) string {
	if body == "" {
		return "0\r\n\r\n"
	}
	return fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(body), body)
}

// text is the request as it goes over the wire, with its number.
func (r *request) text(id string) string {
	var b strings.Builder
	line := func(s string) { b.WriteString(s); b.WriteString(r.eol) }
	line(r.method + r.gap + r.target + r.path + r.query + r.gap + r.proto)
	for _, lines := range [][]string{r.host, {idHeader + ": " + id, "Cookie: " + sessionCookie}, r.header, r.kind} {
		for _, l := range lines {
			line(l)
		}
	}
	if r.close {
		line("Connection: close")
	}
	framed := r.length(r.body)
	if r.eol != "\r\n" {
		head, body, _ := strings.Cut(framed, "\r\n\r\n")
		if framed == "\r\n" {
			framed = r.eol
		} else {
			framed = strings.ReplaceAll(head, "\r\n", r.eol) + r.eol + r.eol + body
		}
	}
	b.WriteString(framed)
	text := b.String()
	if r.wrap != nil {
		text = r.wrap(text)
	}
	return r.prefix + text
}

// respelling is one way to say a request differently.
type respelling struct {
	name string
	do   func(r *request, random *rand.Rand)
}

// spelling is a respelled request. Its text is made when its number is known.
type spelling struct {
	handler string
	how     string // the respellings
	request *request
}

func (s *spelling) String() string {
	return fmt.Sprintf("%s by %s: %q", s.handler, s.how, s.request.text("0"))
}

// respellings are all that there are.
func respellings() []respelling {
	all := pathRespellings()
	all = append(all, targetRespellings()...)
	all = append(all, methodRespellings()...)
	all = append(all, bodyRespellings()...)
	all = append(all, routeRespellings()...)
	all = append(all, headerRespellings()...)
	all = append(all, framingRespellings()...)
	return append(all, hidingRespellings()...)
}

// generate makes n spellings, the same for the same seed: plain ones and those that
// were found before, then in turns one respelling alone, each once in every round,
// and several together.
func generate(n int, scripts bool, seed uint64) []spelling {
	random := rand.New(rand.NewPCG(seed, 4))
	all := respellings()
	order := random.Perm(len(all))
	spellings := make([]spelling, 0, n)
	for _, h := range handlers {
		spellings = append(spellings, spelling{h, "nothing", sensitive(h, scripts)})
	}
	spellings = append(spellings, found()...)
	for i := 0; len(spellings) < n; i++ {
		handler := handlers[(i/2+i/2/len(all))%len(handlers)]
		chosen := []respelling{all[order[i/2%len(all)]]}
		if i%2 == 1 {
			chosen = chosen[:0]
			for range 2 + random.IntN(3) {
				chosen = append(chosen, all[random.IntN(len(all))])
			}
		}
		s := spelling{handler: handler, request: sensitive(handler, scripts)}
		var names []string
		for _, c := range chosen {
			c.do(s.request, random)
			names = append(names, c.name)
		}
		s.how = strings.Join(names, ", ")
		spellings = append(spellings, s)
	}
	return spellings
}

func pick[T any](random *rand.Rand, from ...T) T { return from[random.IntN(len(from))] }
