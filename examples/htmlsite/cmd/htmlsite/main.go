// Command htmlsite serves the example site of pages and forms. It is for
// demonstrations on one machine: its players and their password are public.
package main

import (
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/stepgate/stepgate/examples/htmlsite"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:8080", "`address` to listen on; with port 0, any free port")
	flag.Parse()
	ln, err := net.Listen("tcp", *listen)
	if err == nil {
		fmt.Printf("http://%s\n", ln.Addr())
		err = serve(ln)
	}
	fmt.Fprintln(os.Stderr, "htmlsite:", err)
	os.Exit(1)
}

// serve serves the site until the listener fails.
func serve(ln net.Listener) error {
	server := &http.Server{Handler: htmlsite.New(), ReadHeaderTimeout: 10 * time.Second}
	return server.Serve(ln)
}
