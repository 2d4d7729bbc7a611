package dialing

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// A dialTable says what comes of a dial to each target, and notes when it was begun.
type dialTable struct {
	after map[string]time.Duration // to the end of the dial; a black hole without
	err   map[string]error

	mu      sync.Mutex // protects following
	begun   []time.Duration
	running int
	open    int // connections
	since   time.Time
}

type countedConn struct {
	net.Conn
	target string
	table  *dialTable
}

func (c *countedConn) Close() error {
	c.table.mu.Lock()
	defer c.table.mu.Unlock()
	c.table.open--
	return nil
}

func (d *dialTable) dial(ctx context.Context, target string) (net.Conn, error) {
	d.mu.Lock()
	d.begun = append(d.begun, time.Since(d.since))
	d.running++
	d.mu.Unlock()
	var end <-chan time.Time
	if after, ok := d.after[target]; ok {
		end = time.After(after)
	}
	select {
	case <-end:
	case <-ctx.Done():
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.running--
	if end == nil {
		return nil, ctx.Err()
	}
	if err := d.err[target]; err != nil {
		return nil, err
	}
	d.open++ // also if it was canceled: it may connect at the same moment
	return &countedConn{nil, target, d}, nil
}

// inTable dials the targets within DialTimeout.
func inTable(t *testing.T, d *dialTable, targets []string, check func(t *testing.T, conn net.Conn, errs []error, took time.Duration)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		d.since = time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		conn, errs := dialFirst(ctx, targets, d.dial)
		check(t, conn, errs, time.Since(d.since))
		synctest.Wait()
		require.Zero(t, d.running, "what is not needed is canceled")
		want := 0
		if conn != nil {
			want = 1
		}
		require.Equal(t, want, d.open, "what comes too late is closed")
	})
}

const ms = time.Millisecond

func TestDialTriesTheNextAddressMeanwhile(t *testing.T) {
	d := &dialTable{after: map[string]time.Duration{"b": 10 * ms, "c": 0}}
	inTable(t, d, []string{"a", "b", "c"}, func(t *testing.T, conn net.Conn, _ []error, took time.Duration) {
		require.Equal(t, "b", conn.(*countedConn).target)
		require.Equal(t, attemptDelay+10*ms, took)
		require.Len(t, d.begun, 2, "not more than needed")
	})
	d = &dialTable{after: map[string]time.Duration{"a": 300 * ms, "b": 10 * ms}, err: map[string]error{"b": syscall.ECONNREFUSED}}
	inTable(t, d, []string{"a", "b"}, func(t *testing.T, conn net.Conn, _ []error, took time.Duration) {
		require.Equal(t, "a", conn.(*countedConn).target, "slow is not dead")
		require.Equal(t, 300*ms, took)
	})
	d = &dialTable{after: map[string]time.Duration{"a": ms, "b": ms, "c": ms}, err: map[string]error{"a": syscall.ECONNREFUSED, "b": syscall.ECONNREFUSED}}
	inTable(t, d, []string{"a", "b", "c"}, func(t *testing.T, conn net.Conn, _ []error, took time.Duration) {
		require.Equal(t, "c", conn.(*countedConn).target)
		require.Equal(t, 3*ms, took, "the next one at once after an error")
	})
}

// All are tried in the first half of the time, and no more at once than they are.
func TestDialOfManyAddresses(t *testing.T) {
	var targets []string
	for i := range maxAddresses {
		targets = append(targets, fmt.Sprint(i))
	}
	d := &dialTable{}
	inTable(t, d, targets, func(t *testing.T, conn net.Conn, errs []error, took time.Duration) {
		require.Nil(t, conn)
		require.Len(t, errs, maxAddresses)
		for _, err := range errs {
			require.ErrorIs(t, err, context.DeadlineExceeded)
		}
		require.Equal(t, 2*time.Second, took)
		require.LessOrEqual(t, d.begun[maxAddresses-1], time.Second)
	})
	d = &dialTable{after: map[string]time.Duration{targets[maxAddresses-1]: 0}}
	inTable(t, d, targets, func(t *testing.T, conn net.Conn, _ []error, took time.Duration) {
		require.NotNil(t, conn)
		require.LessOrEqual(t, took, time.Second)
	})
}

// Two that connect at the same time are one connection.
func TestDialClosesWhatIsNotNeeded(t *testing.T) {
	d := &dialTable{after: map[string]time.Duration{"a": attemptDelay + 5*ms, "b": 5 * ms, "c": time.Hour}}
	inTable(t, d, []string{"a", "b", "c"}, func(t *testing.T, conn net.Conn, _ []error, _ time.Duration) { require.NotNil(t, conn) })
}

func TestSelectAddresses(t *testing.T) {
	addrs := func(list ...string) (out []netip.Addr) {
		for _, a := range list {
			out = append(out, netip.MustParseAddr(a))
		}
		return out
	}
	require.Equal(t, addrs("::1", "10.0.0.1", "::2", "10.0.0.2", "::3"), selectAddresses(addrs("::1", "::2", "::3", "10.0.0.1", "10.0.0.2")))
	require.Equal(t, addrs("10.0.0.1", "::1", "10.0.0.2"), selectAddresses(addrs("10.0.0.1", "10.0.0.2", "::1")))
	require.Empty(t, selectAddresses(nil))
	many := make([]netip.Addr, 300)
	for i := range many {
		many[i] = netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})
	}
	tried := make(map[netip.Addr]bool)
	for range 200 {
		chosen := selectAddresses(many)
		require.Len(t, chosen, maxAddresses)
		for _, a := range chosen {
			tried[a] = true
		}
	}
	require.Greater(t, len(tried), 200, "each has its chance")
}

func TestAddressErrors(t *testing.T) {
	at := func(address string, err error) error {
		return &net.OpError{Op: "dial", Net: "tcp", Addr: net.TCPAddrFromAddrPort(netip.MustParseAddrPort(address)), Err: err}
	}
	all := func(errs ...error) error {
		return &net.OpError{Op: "dial", Net: "tcp", Err: &addressErrors{"calc:1", errs}}
	}
	err := all(at("[::1]:1", syscall.ENETUNREACH), at("10.0.0.1:1", syscall.ECONNREFUSED))
	require.EqualError(t, err, "dial tcp: none of 2 addresses of calc:1: [::1]:1: "+syscall.ENETUNREACH.Error()+"; 10.0.0.1:1: "+syscall.ECONNREFUSED.Error())
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
	require.NotErrorIs(t, err, syscall.ENETUNREACH, "it would look like a fault of ours")
	var e net.Error
	require.True(t, errors.As(err, &e) && !e.Timeout())
	require.ErrorIs(t, all(at("[::1]:1", syscall.ENETUNREACH)), syscall.ENETUNREACH)
	err = all(at("10.0.0.1:1", syscall.ECONNREFUSED), at("10.0.0.2:1", context.DeadlineExceeded))
	require.True(t, errors.As(err, &e) && e.Timeout())
}
