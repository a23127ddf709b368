package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// requestBytes is a browser's request for a page, as it goes over the wire.
func requestBytes(path, cookies string) []byte {
	return []byte(strings.Join([]string{
		"GET " + path + " HTTP/1.1",
		"Host: " + host,
		"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
		"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
		"Accept-Language: en-GB,en;q=0.7,id;q=0.3",
		"Accept-Encoding: gzip, deflate, br, zstd",
		"Referer: https://" + host + "/",
		"Upgrade-Insecure-Requests: 1",
		"Sec-Fetch-Dest: document",
		"Sec-Fetch-Mode: navigate",
		"Sec-Fetch-Site: same-origin",
		"Sec-Fetch-User: ?1",
		"Priority: u=0, i",
		"Cookie: " + cookies,
	}, "\r\n") + "\r\n\r\n")
}

// load sends one request again and again over connections that stay open.
type load struct {
	request []byte
	workers []*worker
}

// worker is one connection. Each request waits for the answer to the one before.
type worker struct {
	conn   net.Conn
	reader *bufio.Reader
	// took is how long each request of a run took.
	took []time.Duration
}

func newLoad(addr string, request []byte, connections int) (*load, error) {
	l := &load{request: request}
	for range connections {
		conn, err := net.DialTimeout("tcp", addr, patience)
		if err != nil {
			l.close()
			return nil, fmt.Errorf("connecting: %w", err)
		}
		l.workers = append(l.workers, &worker{conn: conn, reader: bufio.NewReader(conn)})
	}
	return l, nil
}

// close may be called for a load that was never opened.
func (l *load) close() {
	if l == nil {
		return
	}
	for _, w := range l.workers {
		_ = w.conn.Close()
	}
}

// runLimit bounds one run of a load.
const runLimit = time.Minute

// run sends n requests and returns how long each took. Anything but the site's page
// is an error.
func (l *load) run(ctx context.Context, n int) ([]time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, runLimit)
	defer cancel()
	// Whoever waits for an answer when the time is over is woken.
	stop := context.AfterFunc(ctx, func() {
		for _, w := range l.workers {
			_ = w.conn.SetDeadline(time.Unix(1, 0))
		}
	})
	defer stop()
	var sent atomic.Int64
	errs := make([]error, len(l.workers))
	var wg sync.WaitGroup
	for i, w := range l.workers {
		wg.Go(func() {
			w.took = w.took[:0]
			for errs[i] == nil && sent.Add(1) <= int64(n) {
				errs[i] = w.fetch(l.request)
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("sending requests: %w", err)
	}
	took := make([]time.Duration, 0, n)
	for _, w := range l.workers {
		took = append(took, w.took...)
	}
	return took, nil
}

// fetch gets the site's page once.
func (w *worker) fetch(request []byte) error {
	began := time.Now()
	status, length, err := w.exchange(request)
	if err != nil {
		return err
	}
	if status != http.StatusOK || length != pageSize {
		return fmt.Errorf("got status %d with %d bytes, want 200 with %d", status, length, pageSize)
	}
	w.took = append(w.took, time.Since(began))
	return nil
}

// exchange sends a request and reads the whole answer.
func (w *worker) exchange(request []byte) (status int, length int64, err error) {
	if _, err := w.conn.Write(request); err != nil {
		return 0, 0, err
	}
	res, err := http.ReadResponse(w.reader, nil)
	if err != nil {
		return 0, 0, err
	}
	length, err = io.Copy(io.Discard, res.Body)
	return res.StatusCode, length, err
}
