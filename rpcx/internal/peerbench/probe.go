package main

import (
	"context"
	"errors"
	"fmt"
	"net/rpc"
	"strings"
	"time"

	"resilientrpc/rpcx"
	"resilientrpc/rpcx/internal/chaos"
)

// A probe sees for itself what a contender does, and gives a short answer.
type probe func(ctx context.Context, c contender, l limits) (string, error)

// limits are how long the probes wait for what may never be.
type limits struct {
	freeze time.Duration // for the end of a call to a server that is frozen
	redial time.Duration // for a new connection
}

var (
	fullLimits  = limits{freeze: 15 * time.Second, redial: 8 * time.Second}
	quickLimits = limits{freeze: 4 * time.Second, redial: 3 * time.Second}
)

// A lane is a client of a contender, with a proxy before each of its replicas.
type lane struct {
	client
	fleet   *fleet
	proxies []*chaos.Proxy
}

func openLane(c contender, replicas int) (_ *lane, err error) {
	l := new(lane)
	defer func() {
		if err != nil {
			l.Close()
		}
	}()
	if l.fleet, err = startFleet(replicas); err != nil {
		return nil, err
	}
	var addrs []string
	for _, target := range l.fleet.addrs(c.wire) {
		p, err := chaos.NewProxy(target, 1)
		if err != nil {
			return nil, err
		}
		l.proxies, addrs = append(l.proxies, p), append(addrs, p.Addr)
	}
	l.client, err = c.open(addrs, options{})
	return l, err
}

func (l *lane) set(f chaos.Fault) error {
	var errs []error
	for _, p := range l.proxies {
		errs = append(errs, p.Set(f))
	}
	return errors.Join(errs...)
}

// Close ends all of it.
func (l *lane) Close() error {
	var errs []error
	if l.client != nil {
		errs = append(errs, l.client.Close())
	}
	for _, p := range l.proxies {
		p.Close()
	}
	if l.fleet != nil {
		errs = append(errs, l.fleet.Close())
	}
	return errors.Join(errs...)
}

// call makes a call. A wrong reply is an error.
func (l *lane) call(ctx context.Context, m method, in Message) (Message, error) {
	out, err := l.client.call(ctx, m, in)
	if err == nil && !m.right(in, out) {
		err = errWrong
	}
	return out, err
}

// start makes a call, whose end comes through the channel.
func (l *lane) start(ctx context.Context, m method, n uint64) <-chan error {
	done := make(chan error, 1)
	go func() {
		_, err := l.call(ctx, m, Message{N: n})
		done <- err
	}()
	return done
}

// within says after which time a call ended, if it did.
func within(done <-chan error, limit time.Duration) string {
	began := time.Now()
	select {
	case <-done:
		return "yes, " + span(time.Since(began).Round(100*time.Millisecond))
	case <-time.After(limit):
		return "not in " + span(limit)
	}
}

// probeFreeze stalls the one replica under a call that has no deadline.
func probeFreeze(ctx context.Context, c contender, lim limits) (_ string, err error) {
	l, err := openLane(c, 1)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, ignore(l.Close(), rpc.ErrShutdown)) }()
	if err := l.set(chaos.Stall); err != nil {
		return "", err
	}
	return within(l.start(ctx, echo, 1), lim.freeze), nil
}

// probeDeadline does the same to a call that has one.
func probeDeadline(ctx context.Context, c contender, _ limits) (_ string, err error) {
	l, err := openLane(c, 1)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, ignore(l.Close(), rpc.ErrShutdown)) }()
	if err := l.set(chaos.Stall); err != nil {
		return "", err
	}
	const soon = 200 * time.Millisecond
	ctx, cancel := context.WithTimeout(ctx, soon)
	defer cancel()
	select {
	case <-l.start(ctx, echo, 1):
		return "yes", nil
	case <-time.After(5 * soon):
		return "no", nil
	}
}

// probeRedial breaks the one connection, and lets new ones be.
func probeRedial(ctx context.Context, c contender, lim limits) (_ string, err error) {
	l, err := openLane(c, 1)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, ignore(l.Close(), rpc.ErrShutdown)) }()
	if err := errors.Join(l.set(chaos.Kill), l.set(chaos.Healthy)); err != nil {
		return "", err
	}
	for began := time.Now(); time.Since(began) < lim.redial; time.Sleep(20 * time.Millisecond) { // a real connection takes real time
		ctx, cancel := context.WithTimeout(ctx, lim.redial)
		_, err := l.call(ctx, echo, Message{})
		cancel()
		if err == nil {
			return "yes", nil
		}
	}
	return "no", nil
}

// probeRepeat has the replicas execute a call, and none of their replies arrive.
func probeRepeat(ctx context.Context, c contender, _ limits) (_ string, err error) {
	l, err := openLane(c, 3)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, ignore(l.Close(), rpc.ErrShutdown)) }()
	if err := l.set(chaos.Mute); err != nil {
		return "", err
	}
	const number = 1 << 50
	ctx, cancel := context.WithTimeout(ctx, whole)
	defer cancel()
	done := l.start(ctx, deposit, number)
	ran := func() (int, error) {
		all, err := l.fleet.executions()
		return all[number], err
	}
	for n := 0; n == 0 && ctx.Err() == nil; time.Sleep(10 * time.Millisecond) { // a real process takes real time
		if n, err = ran(); err != nil {
			return "", err
		}
	}
	// Reset ends what is connected; what connects then can call once or so.
	if err := errors.Join(l.set(chaos.Reset), rest(ctx, 300*time.Millisecond), l.set(chaos.Healthy)); err != nil {
		return "", err
	}
	select {
	case <-done:
	case <-ctx.Done():
	}
	switch n, err := ran(); {
	case err != nil:
		return "", err
	case n == 1:
		return "no", nil
	case n == 0:
		return "", errors.New("the call never ran")
	default:
		return fmt.Sprintf("yes, %d times", n), nil
	}
}

// typed is what the clients over net/rpc's wire have in common.
type typed interface {
	Call(serviceMethod string, args, reply any) error
	Go(serviceMethod string, args, reply any, done chan *rpc.Call) *rpc.Call
	Close() error
}

// probePoison reads one reply into a type that it does not fit while another call is
// under way. The hand-made clients and the glue use net/rpc's connection.
func probePoison(ctx context.Context, c contender, _ limits) (_ string, err error) {
	if c.wire != gobWire {
		return "", nil
	}
	f, err := startFleet(1)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	dial := func(addr string) (typed, error) { return rpc.Dial("tcp", addr) }
	if strings.HasPrefix(c.name, "rpcx") {
		dial = func(addr string) (typed, error) { return rpcx.Dial("tcp", addr) }
	}
	for ctx.Err() == nil {
		client, err := dial(f.addrs(gobWire)[0])
		if err != nil {
			return "", err
		}
		answer, err := poison(client)
		client.Close() //nolint:errcheck // it may have ended
		if answer != "" || err != nil {
			return answer, err
		}
	}
	return "", ctx.Err()
}

// poison says whether the other call has ended by the reply that did not fit, and ""
// if it had its own reply before.
func poison(client typed) (string, error) {
	other := client.Go(string(square), Message{N: 2}, new(Message), nil)
	if err := client.Call(string(echo), Message{N: 1}, new(struct{ N string })); err == nil {
		return "", errors.New("a number was read as a text")
	}
	select {
	case <-other.Done:
		if other.Error == nil {
			return "", nil
		}
	default:
		<-other.Done
	}
	if other.Error != nil {
		return "yes", nil
	}
	return "no", nil
}

// ignore drops an error that is no news.
func ignore(err, known error) error {
	if errors.Is(err, known) {
		return nil
	}
	return err
}
