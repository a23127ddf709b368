package routers

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"
)

// How many spellings are tried for each router, and by how many connections at
// once.
const (
	shortRun    = 500
	longRun     = 3000
	connections = 24
)

// shown is how many bypasses of one router are shown in full.
const shown = 20

func long() bool { return os.Getenv("STEPGATE_LONG") != "" }

// figures are what one router made of the spellings.
type figures struct {
	tried, direct, bare, bypasses, controls int
	took                                    time.Duration
}

// I1, I2: none of the spellings that lead a real router to a sensitive handler
// does so through the gateway, and no harmless request meets a challenge.
func TestInvariantI1NoSpellingReachesASensitiveHandlerOfARealRouter(t *testing.T) {
	runs := newRuns(t)
	go func() { _, _ = stepgate() }() // builds while the routers start; what is wrong is told below
	addresses, absent := startAll(t, runs)
	g := startGateway(t, addresses)
	n := shortRun
	if long() {
		n = longRun
	}
	var mu sync.Mutex // guards results
	results := map[string]figures{}
	t.Run("router", func(t *testing.T) {
		for name, err := range absent {
			t.Run(name, func(t *testing.T) {
				if errors.Is(err, errMissing) && os.Getenv("CI") != "true" {
					t.Skip(err)
				}
				t.Fatal(err)
			})
		}
		for name := range addresses {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				c := comparison{t, name, addresses[name], g, runs, generate(n, name == "php-scripts", 1)}
				began := time.Now()
				f := c.run()
				f.controls = c.controls()
				f.took = time.Since(began)
				mu.Lock()
				defer mu.Unlock()
				results[name] = f
			})
		}
	})
	t.Log("\n" + table(results))
	if stray := runs.of(t, "-"); len(stray) > 0 {
		t.Errorf("sensitive handlers ran for requests without a number: %v", stray)
	}
}

func table(results map[string]figures) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "router\tspellings tried\treach the handler directly\tthrough plain Caddy\tthrough Stepgate\tharmless requests unchallenged\ttook")
	names := make([]string, 0, len(results))
	for name := range results {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		f := results[name]
		_, _ = fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d bypasses\t%d\t%v\n", name, f.tried, f.direct, f.bare, f.bypasses, f.controls, f.took.Round(100*time.Millisecond))
	}
	_ = w.Flush() // a builder takes all
	return b.String()
}

// comparison is of one router with and without the gateway.
type comparison struct {
	t         *testing.T
	router    string
	address   string // of the router itself
	gateway   *gateway
	runs      *runs
	spellings []spelling
}

// run sends the spellings each way.
func (c *comparison) run() figures {
	all := make([]int, len(c.spellings))
	for i := range all {
		all[i] = i
	}
	direct := c.through("direct", c.address, all)
	if len(direct) < len(handlers) {
		c.t.Errorf("only %d spellings reach a handler directly: the router does not serve", len(direct))
	}
	reach := make([]int, 0, len(direct))
	for i := range direct {
		reach = append(reach, i)
	}
	bare := c.through("bare", c.gateway.bare[c.router], reach)
	guarded := c.through("guarded", c.gateway.guarded[c.router], all)

	bypasses := make([]int, 0, len(guarded))
	for i := range guarded {
		bypasses = append(bypasses, i)
	}
	slices.Sort(bypasses)
	for k, i := range bypasses {
		if k == shown {
			c.t.Errorf("and %d bypasses more", len(bypasses)-shown)
			break
		}
		s := &c.spellings[i]
		c.t.Errorf("the handler %s ran for what came through the gateway: %s", guarded[i], s)
	}
	return figures{tried: len(all), direct: len(direct), bare: len(bare), bypasses: len(bypasses)}
}

// through sends spellings to an address and returns the handlers that ran for
// them.
func (c *comparison) through(way, address string, spellings []int) map[int]string {
	prefix := c.router + "/" + way + "/"
	next := make(chan int)
	var senders sync.WaitGroup
	for range connections {
		senders.Go(func() {
			for i := range next {
				r := c.spellings[i].request
				if _, err := send(address, []byte(r.text(prefix+strconv.Itoa(i))), r.odd); err != nil {
					c.t.Errorf("no answer %s: %v: %s", way, err, &c.spellings[i])
				}
			}
		})
	}
	for _, i := range spellings {
		next <- i
	}
	close(next)
	senders.Wait()
	ran := map[int]string{}
	for id, handler := range c.runs.of(c.t, prefix) {
		i, err := strconv.Atoi(strings.TrimPrefix(id, prefix))
		if err != nil {
			c.t.Errorf("the handler %s ran for a request of the number %q", handler, id)
			continue
		}
		ran[i] = handler
	}
	return ran
}
