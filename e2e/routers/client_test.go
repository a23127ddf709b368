package routers

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

const (
	// answerTime is how long an answer may take, and oddTime how long it is waited for
	// where a server may well be waiting for more of the request.
	answerTime = 10 * time.Second
	oddTime    = 400 * time.Millisecond
)

// answer is what came back, as far as tests look at it.
type answer struct {
	status int
	header http.Header
	body   string
}

// send writes raw bytes over a connection of their own and reads the first
// answer, or, where the bytes may hold more than one request, all that come.
// Nothing at all is an answer too: its status is 0.
func send(address string, raw []byte, odd bool) (answer, error) {
	conn, err := net.DialTimeout("tcp", address, answerTime)
	if err != nil {
		return answer{}, err
	}
	defer conn.Close()
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // thousands of connections leave no ports waiting
	}
	limit := answerTime
	if odd {
		limit = oddTime
	}
	if err := conn.SetDeadline(time.Now().Add(limit)); err != nil {
		return answer{}, err
	}
	if _, err := conn.Write(raw); err != nil {
		return answer{}, nil // refused before all was read
	}
	if odd {
		all, _ := io.ReadAll(conn) // to the end, or as long as is waited
		return parse(bufio.NewReader(bytes.NewReader(all)), raw), nil
	}
	a := parse(bufio.NewReader(conn), raw)
	if a.status == 0 {
		if _, err := conn.Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) {
			return answer{}, err
		}
	}
	return a, nil
}

// parse reads an answer, after those that are not final.
func parse(r *bufio.Reader, raw []byte) answer {
	asked := &http.Request{Method: "GET"}
	if method, _, _ := strings.Cut(string(raw[:min(len(raw), 16)]), " "); strings.EqualFold(method, "HEAD") {
		asked.Method = "HEAD"
	}
	for {
		res, err := http.ReadResponse(r, asked)
		if err != nil {
			return answer{}
		}
		if res.StatusCode/100 == 1 && res.StatusCode != http.StatusSwitchingProtocols {
			continue
		}
		body, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		return answer{res.StatusCode, res.Header, string(body)}
	}
}
