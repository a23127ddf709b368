package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"
)

// The player and the session that all requests belong to.
const (
	sessionCookie = "casino_session"
	session       = "7f3c0b1e5d9a4c2f8e6b1a0d3c5e7f90"
	player        = `{"id":"17","username":"budi","phone":"+6281234567890"}`
)

// pageSize is the length of the site's answers, in bytes.
const pageSize = 1024

// site is what stands behind the gateways: it answers at once, and counts.
type site struct {
	addr   string
	pages  atomic.Int64
	server *http.Server
}

func newSite() (*site, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("starting the site: %w", err)
	}
	s := &site{addr: l.Addr().String()}
	page := bytes.Repeat([]byte("x"), pageSize)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/me", func(w http.ResponseWriter, r *http.Request) {
		if c, err := r.Cookie(sessionCookie); err != nil || c.Value != session {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, player)
	})
	mux.HandleFunc("GET /", func(w http.ResponseWriter, _ *http.Request) {
		s.pages.Add(1)
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("Content-Length", strconv.Itoa(pageSize))
		_, _ = w.Write(page)
	})
	s.server = &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	go func() { _ = s.server.Serve(l) }() // if it ends too early, the loads fail
	return s, nil
}

func (s *site) close() { _ = s.server.Close() }
