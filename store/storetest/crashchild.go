package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/stepgate/stepgate/store"
)

const (
	crashDirVariable   = "STORETEST_CRASH_DIR"
	crashRoundVariable = "STORETEST_CRASH_ROUND"
)

// CrashChild belongs at the beginning of TestMain in a package that calls
// [RunCrash]. In the process that RunCrash starts it writes until it is killed and
// never returns; in any other it does nothing. open is [Crash].Open.
func CrashChild(open func(dir string) (store.Store, error)) {
	dir, ok := os.LookupEnv(crashDirVariable)
	if !ok {
		return
	}
	fmt.Fprintf(os.Stderr, "writing: %v\n", writeUntilKilled(open, dir, os.Getenv(crashRoundVariable)))
	os.Exit(1)
}

// Every write has a text, such as "used 3-17 2". It is the event that goes with
// the write, the line that acknowledges it, and what the record's value says.
const (
	countText = "count %d %d" // counter, count
	madeText  = "made %s"     // token
	usedText  = "used %s %d"  // token, taker
	keptText  = "kept %s"     // record to delete
	goneText  = "gone %s"
	hitsLine  = "hits %d" // sum of a counter; it has no event

	hitsKey = store.Key("hits/all")
)

func countKey(n int) store.Key         { return store.Key(fmt.Sprintf("count/%d", n)) }
func crashToken(name string) store.Key { return store.NewKey("token", name) }
func goneKey(name string) store.Key    { return store.NewKey("gone", name) }

// writeUntilKilled returns only if something goes wrong.
func writeUntilKilled(open func(string) (store.Store, error), dir, round string) error {
	s, err := open(dir)
	if err != nil {
		return err
	}
	w := &crashWriter{store: s, round: round}
	failed := make(chan error)
	for i := range 3 {
		go func() { failed <- w.count(i % 2) }() // two of them meet
	}
	for i := range 4 {
		go func() { failed <- w.take(i) }()
	}
	go func() { failed <- w.delete() }()
	go func() { failed <- w.hit() }()
	return <-failed
}

type crashWriter struct {
	store store.Store
	round string
}

// acknowledge is called once the store has said that the write is durable. A
// single write to the pipe is either seen whole or not at all.
func acknowledge(text string) error {
	_, err := os.Stdout.WriteString(text + "\n")
	return err
}

// write writes a record that says text, with its event, and acknowledges it.
func (w *crashWriter) write(key store.Key, change func(old *store.Record) (text string, remove bool, err error)) error {
	var text string
	err := w.store.Update(context.Background(), key, func(old *store.Record) (*store.Write, error) {
		var remove bool
		var err error
		if text, remove, err = change(old); err != nil || text == "" {
			return nil, err
		}
		return &store.Write{Value: payload(text), Delete: remove, Events: [][]byte{[]byte(text)}}, nil
	})
	if err != nil || text == "" {
		return err
	}
	return acknowledge(text)
}

func (w *crashWriter) count(counter int) error {
	for {
		err := w.write(countKey(counter), func(old *store.Record) (string, bool, error) {
			n := 0
			if old != nil {
				text, _, _ := bytes.Cut(old.Value, []byte("\n"))
				if _, err := fmt.Sscanf(string(text), countText, new(int), &n); err != nil {
					return "", false, err
				}
			}
			return fmt.Sprintf(countText, counter, n+1), false, nil
		})
		if err != nil {
			return err
		}
	}
}

// take makes and consumes tokens, the same ones as the other takers.
func (w *crashWriter) take(taker int) error {
	for n := 0; ; n++ {
		name := w.round + "-" + strconv.Itoa(n)
		made := fmt.Sprintf(madeText, name)
		err := w.write(crashToken(name), func(old *store.Record) (string, bool, error) {
			if old != nil {
				return "", false, nil
			}
			return made, false, nil
		})
		if err != nil {
			return err
		}
		err = w.write(crashToken(name), func(old *store.Record) (string, bool, error) {
			if old == nil || !bytes.Equal(old.Value, payload(made)) {
				return "", false, errConsumed
			}
			return fmt.Sprintf(usedText, name, taker), false, nil
		})
		if err != nil && !errors.Is(err, errConsumed) {
			return err
		}
	}
}

func (w *crashWriter) delete() error {
	for n := 0; ; n++ {
		name := w.round + "-" + strconv.Itoa(n)
		for _, text := range []string{keptText, goneText} {
			err := w.write(goneKey(name), func(*store.Record) (string, bool, error) {
				return fmt.Sprintf(text, name), text == goneText, nil
			})
			if err != nil {
				return err
			}
		}
	}
}

func (w *crashWriter) hit() error {
	for {
		sum, err := w.store.Add(context.Background(), hitsKey, 1, time.Hour)
		if err != nil {
			return err
		}
		if err := acknowledge(fmt.Sprintf(hitsLine, sum)); err != nil {
			return err
		}
	}
}
