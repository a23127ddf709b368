package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/stepgate/stepgate/examples/casino"
)

// site is the casino that the demo stands in front of.
type site struct {
	url string
	// failed gets the error if the site ends by itself.
	failed <-chan error
	close  func()
}

// openSite starts a casino on a free port, unless one runs already.
func (o demoOptions) openSite(out io.Writer) (*site, error) {
	if o.site != "" {
		return &site{url: o.site, close: func() {}}, nil
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("starting the site: %w", err)
	}
	// The site's one endless answer ends with its request's context.
	streams, endStreams := context.WithCancel(context.Background())
	server := &http.Server{
		Handler: casino.New(casino.Options{SendMail: func(to, text string) {
			_, _ = fmt.Fprintf(out, "\nMail to %q: %s\n", to, text)
		}}),
		ReadHeaderTimeout: 10 * time.Second,
		BaseContext:       func(net.Listener) context.Context { return streams },
	}
	failed := make(chan error, 1)
	go func() {
		if err := server.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			failed <- fmt.Errorf("serving the site: %w", err)
		}
	}()
	return &site{url: "http://" + ln.Addr().String(), failed: failed, close: func() {
		endStreams()
		// What the gateway has handed on is booked before the site ends.
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		if server.Shutdown(ctx) != nil {
			_ = server.Close()
		}
	}}, nil
}
