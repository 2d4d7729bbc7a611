package dialing

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"time"
)

const (
	// attemptDelay is how long a dial waits for one address of a name before it tries
	// the next one as well (RFC 8305, section 5), and leastDelay what is left of that
	// when there are many addresses for the time that there is.
	attemptDelay = 250 * time.Millisecond
	leastDelay   = 10 * time.Millisecond
	// maxAddresses is how many addresses of a name a dial tries.
	maxAddresses = 16
	// answerDelay is how long a dial waits for the addresses of both families before
	// it makes do with those of one.
	answerDelay = 300 * time.Millisecond
)

// NetDial is net.Dialer's DialContext but for TCP to a name with several addresses.
// net.Dialer tries one address of a family after the other and gives each 2 s, so that
// one which drops packets takes all of DialTimeout. Here the next one is tried after
// 250 ms, or at once if the last one has failed; all of up to 16 are under way after half
// of the time. The first that connects is taken. Of more than 16, those that are tried
// are drawn at random.
func NetDial(ctx context.Context, network, address string) (net.Conn, error) {
	var d net.Dialer
	host, port, err := net.SplitHostPort(address)
	if _, noName := netip.ParseAddr(host); err != nil || noName == nil || host == "" || !strings.HasPrefix(network, "tcp") {
		return d.DialContext(ctx, network, address)
	}
	addrs, err := lookupHost(ctx, "ip"+strings.TrimPrefix(network, "tcp"), host)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	addrs = selectAddresses(addrs)
	targets := make([]string, len(addrs))
	for i, a := range addrs {
		targets[i] = net.JoinHostPort(a.Unmap().String(), port)
	}
	conn, errs := dialFirst(ctx, targets, func(ctx context.Context, target string) (net.Conn, error) {
		return d.DialContext(ctx, network, target)
	})
	switch {
	case conn != nil:
		return conn, nil
	case len(errs) == 1:
		return nil, errs[0]
	}
	return nil, &net.OpError{Op: "dial", Net: network, Err: &addressErrors{address, errs}}
}

// dialFirst dials the targets one after the other until one connects. Dials that are
// not needed any more are canceled, and what they connect to is closed. If none
// connects, it returns the error of each.
func dialFirst(ctx context.Context, targets []string, dial func(context.Context, string) (net.Conn, error)) (net.Conn, []error) {
	ctx, cancel := context.WithCancel(ctx)
	over := make(chan struct{})
	defer close(over)
	defer cancel()
	type dialed struct {
		i    int
		conn net.Conn
		err  error
	}
	ends := make(chan dialed)
	attempt := func(i int) {
		conn, err := dial(ctx, targets[i])
		select {
		case ends <- dialed{i, conn, err}:
		case <-over:
			if err == nil {
				conn.Close()
			}
		}
	}
	delay := delayOf(ctx, len(targets))
	errs, started, ended := make([]error, len(targets)), 0, 0
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ended < len(targets) {
		select {
		case <-timer.C:
			if started < len(targets) {
				go attempt(started)
				started++
				timer.Reset(delay)
			}
		case d := <-ends:
			if d.err == nil {
				return d.conn, nil
			}
			errs[d.i] = d.err
			ended++
			timer.Reset(0)
		}
	}
	return nil, errs
}

// delayOf returns how long to wait between two of n attempts.
func delayOf(ctx context.Context, n int) time.Duration {
	deadline, ok := ctx.Deadline()
	if !ok {
		return attemptDelay
	}
	return max(min(attemptDelay, time.Until(deadline)/time.Duration(2*n)), leastDelay)
}

// lookupHost looks up the addresses of a name. An answer for one family that does not
// come must not take all the time of a dial.
func lookupHost(ctx context.Context, network, name string) ([]netip.Addr, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type answer struct {
		addrs []netip.Addr
		err   error
	}
	families := [...]string{"ip4", "ip6"}
	all, one := make(chan answer, 1), make(chan answer, len(families))
	lookup := func(network string, to chan<- answer) {
		addrs, err := net.DefaultResolver.LookupNetIP(ctx, network, name)
		to <- answer{addrs, err}
	}
	go lookup(network, all)
	timer := time.NewTimer(answerDelay)
	defer timer.Stop()
	for {
		select {
		case a := <-all:
			return a.addrs, a.err
		case a := <-one:
			if a.err == nil {
				return a.addrs, nil
			}
		case <-timer.C:
			if network == "ip" {
				for _, family := range families {
					go lookup(family, one)
				}
			}
		}
	}
}

// selectAddresses returns the addresses to try, in turns of each family, the family of
// the first one first (RFC 8305, section 4).
func selectAddresses(addrs []netip.Addr) []netip.Addr {
	if len(addrs) > maxAddresses {
		addrs = slices.Clone(addrs)
		rand.Shuffle(len(addrs), func(i, j int) { addrs[i], addrs[j] = addrs[j], addrs[i] })
		addrs = addrs[:maxAddresses]
	}
	var first, second, out []netip.Addr
	for _, a := range addrs {
		if a.Unmap().Is4() == addrs[0].Unmap().Is4() {
			first = append(first, a)
		} else {
			second = append(second, a)
		}
	}
	for i := range max(len(first), len(second)) {
		if i < len(first) {
			out = append(out, first[i])
		}
		if i < len(second) {
			out = append(out, second[i])
		}
	}
	return out
}

// addressErrors is why none of the addresses of a name could be reached.
type addressErrors struct {
	address string
	errs    []error // of each address, one at least
}

func (e *addressErrors) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "none of %d addresses of %s:", len(e.errs), e.address)
	for i, err := range e.errs {
		if i > 0 {
			b.WriteByte(';')
		}
		b.WriteByte(' ')
		var op *net.OpError
		if errors.As(err, &op) && op.Addr != nil {
			fmt.Fprintf(&b, "%v: %v", op.Addr, op.Err)
			continue
		}
		b.WriteString(err.Error())
	}
	return b.String()
}

// Unwrap returns the error that says the most of the server: one for want of a route to
// an address, of a family that this machine may not have, says nothing of it.
func (e *addressErrors) Unwrap() error {
	for _, err := range e.errs {
		if !errors.Is(err, syscall.ENETUNREACH) && !errors.Is(err, syscall.EADDRNOTAVAIL) {
			return err
		}
	}
	return e.errs[0]
}

// Timeout makes the error a net.Error's timeout if time was up for an address.
func (e *addressErrors) Timeout() bool {
	return slices.ContainsFunc(e.errs, func(err error) bool {
		var t net.Error
		return errors.As(err, &t) && t.Timeout()
	})
}
