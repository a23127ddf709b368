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
	ln, err := net.Listen("tcp", *listen)
	if err == nil {
		fmt.Printf("http://%s\n", ln.Addr())
		err = serve(ln, *rotate)
	}
	fmt.Fprintln(os.Stderr, "spasite:", err)
	os.Exit(1)
}

// serve serves the site until the listener fails. It changes the signing key now and
// then.
func serve(ln net.Listener, rotate time.Duration) error {
	site := spasite.New(spasite.Options{Issuer: "http://" + ln.Addr().String()})
	go func() {
		for range time.Tick(rotate) {
			site.Rotate()
		}
	}()
	server := &http.Server{Handler: site, ReadHeaderTimeout: 10 * time.Second}
	return server.Serve(ln)
}
