package postgres

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stepgate/stepgate/store"
)

const (
	// Lease is how long a watch stays current after the sending of a proof that it
	// hears of other processes' writes, and so how late it may notice that it does
	// not.
	Lease = 2 * time.Second
	// proveEvery is how often the proof is made.
	proveEvery = 500 * time.Millisecond
	// reconnectAfter is how long a listener waits that has lost its connection.
	reconnectAfter = 250 * time.Millisecond
)

// listenerSuffix ends the name of a listener's session.
const listenerSuffix = " listener"

// proofPrefix begins a listener's announcements to itself. No key begins so.
const proofPrefix = "!"

// listener hears on a connection of its own what is announced, in every process.
type listener struct {
	channel string
	now     func() time.Time
	notify  func(store.Key)
	// until is when the lease ends, in nanoseconds since began; 0 or less is none.
	until atomic.Int64
	began time.Time

	stop  context.CancelFunc
	ended chan struct{}
}

// listen starts a listener, which calls notify for every announcement, and with an
// empty key whenever it may have missed some.
func listen(config *pgx.ConnConfig, o Options, notify func(store.Key)) *listener {
	ctx, stop := context.WithCancel(context.Background())
	l := &listener{
		channel: o.Schema + "_changes", now: o.Now, began: o.Now(),
		notify: notify, stop: stop, ended: make(chan struct{}),
	}
	config = config.Copy()
	config.RuntimeParams["application_name"] += listenerSuffix
	go func() {
		defer close(l.ended)
		for ctx.Err() == nil {
			l.hear(ctx, config, o.Timeout)
			select {
			case <-ctx.Done():
			case <-time.After(reconnectAfter):
			}
		}
	}()
	return l
}

// close ends the listener, and with it every lease.
func (l *listener) close() {
	l.stop()
	<-l.ended
}

// current reports whether the lease runs.
func (l *listener) current() bool { return int64(l.now().Sub(l.began)) < l.until.Load() }

// hear listens on one connection until it fails.
func (l *listener) hear(ctx context.Context, config *pgx.ConnConfig, timeout time.Duration) {
	defer l.until.Store(0)
	connecting, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	conn, err := pgx.ConnectConfig(connecting, config)
	if err != nil {
		return // calls of the store fail as well, and say why
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = conn.Close(closing)
	}()
	if _, err := conn.Exec(connecting, "LISTEN "+pgx.Identifier{l.channel}.Sanitize()); err != nil {
		return
	}
	// Whatever was announced before is lost.
	l.notify("")
	for n := uint64(1); ; n++ {
		sent := l.now()
		// No other listener on this server has a connection of this number.
		if l.prove(ctx, conn, fmt.Sprintf("%s%d.%d", proofPrefix, conn.PgConn().PID(), n)) != nil {
			return
		}
		l.until.Store(int64(sent.Add(Lease).Sub(l.began)))
		if err := l.wait(ctx, conn, proveEvery); err != nil {
			return
		}
	}
}

// prove announces the proof and waits until it is heard. The server passes on
// announcements in the order of their commits, so all that were committed before
// have been heard then.
func (l *listener) prove(ctx context.Context, conn *pgx.Conn, proof string) error {
	ctx, cancel := context.WithTimeout(ctx, Lease)
	defer cancel()
	if _, err := conn.Exec(ctx, "SELECT pg_notify($1, $2)", l.channel, proof); err != nil {
		return err
	}
	for {
		n, err := conn.WaitForNotification(ctx)
		if err != nil {
			return err
		}
		if n.Payload == proof {
			return nil
		}
		l.pass(n.Payload)
	}
}

// wait passes on what is announced for a while.
func (l *listener) wait(ctx context.Context, conn *pgx.Conn, d time.Duration) error {
	waiting, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	for {
		n, err := conn.WaitForNotification(waiting)
		switch {
		case err == nil:
			l.pass(n.Payload)
		case ctx.Err() != nil || conn.IsClosed():
			return err
		case waiting.Err() != nil:
			return nil // the time is over, and the connection is as good as before
		default:
			return err
		}
	}
}

// pass hands an announcement on, unless it is a listener's proof.
func (l *listener) pass(payload string) {
	if !strings.HasPrefix(payload, proofPrefix) {
		l.notify(store.Key(payload))
	}
}
