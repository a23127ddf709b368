// Command spasite serves the example site of one page and an API. It is for
// demonstrations on one machine: its players and their password are public.
package main

import (
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/stepgate/stepgate/examples/spasite"
)

func main() {
	rotate := flag.Duration("rotate", time.Hour, "how long a key signs")
	listen := flag.String("listen", "127.0.0.1:8080", "`address` to listen on; with port 0, any free port")
	flag.Parse()
	if err := serve(*listen, *rotate); err != nil {
		fmt.Fprintln(os.Stderr, "spasite:", err)
		os.Exit(1)
	}
}

// serve prints the site's address once it listens, and then serves for ever.
func serve(listen string, rotate time.Duration) error {
	ln, err := net.Listen("tcp", listen)
	if err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	address := "http://" + ln.Addr().String()
	site := spasite.New(spasite.Options{Issuer: address})
	go func() {
		for range time.Tick(rotate) {
			site.Rotate()
		}
	}()
	fmt.Println(address)
	server := &http.Server{Handler: site, ReadHeaderTimeout: 10 * time.Second}
	return fmt.Errorf("serving: %w", server.Serve(ln))
}
