package rpcx

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// A list of which an address can never be right fails at once, and says which one: the
// others of the list would take its calls, and nothing would tell.
func TestAddressesThatCannotBeRight(t *testing.T) {
	for _, c := range []struct {
		addresses []string
		want      string
	}{
		{nil, "no address given"},
		{[]string{""}, "rpcx: the address is empty; write host:port"},
		{[]string{" "}, "rpcx: the address is empty; write host:port"},
		{[]string{"a:1", ""}, "rpcx: the address is empty; write host:port"},
		{[]string{","}, "has an empty entry; remove the stray comma"},
		{[]string{"dns:///a:1", "dns:///b:1"}, `the address "dns:///a:1" has a URL in a list; dial a URL alone`},
		{[]string{"a:1,b"}, `the address "b" is not of the form host:port`},
		{[]string{"a:1", "b:99999"}, `the address "b:99999" has the port "99999"; want a number from 1 to 65535`},
		{[]string{"a:1,b:0"}, `has the port "0"; want`},
		{[]string{"a:1,b:-1"}, `has the port "-1"; want`},
		{[]string{"a:1,b:"}, `the address "b:" is not of the form host:port`},
		{[]string{"a:1,b:no-such-service"}, `has the port "no-such-service"`},
		{[]string{"a:1,\ufeffb:1"}, "a character that no host has"},
		{[]string{"a:1,,b:1"}, "has an empty entry; remove the stray comma"},
		{[]string{"a:1, a:1"}, `the address "a:1" is listed twice; name each replica once`},
		{[]string{"a:80,A:http"}, `the addresses "a:80" and "A:http" are the same; name each replica once`},
		{[]string{"[::1]:1", "[0::1]:1"}, `the addresses "[::1]:1" and "[0::1]:1" are the same`},
	} {
		for _, lazy := range []bool{false, true} {
			d := Dialer{Trace: noDial(t), Lazy: lazy}
			_, err := d.Dial("tcp", c.addresses...)
			require.ErrorContains(t, err, c.want)
		}
	}
	_, err := Dial("unix", "")
	require.EqualError(t, err, "rpcx: the address is empty; write the path of a socket")
}

// A comma may be a part of the path of a socket. Where it cannot have been meant so, the
// error says how to list sockets.
func TestPathsAreNotSplit(t *testing.T) {
	t.Chdir(t.TempDir()) // the path of a socket is short
	one, other, comma := "./a", "./b", "./a,b"
	for _, path := range []string{one, comma} {
		lis, err := net.Listen("unix", path)
		require.NoError(t, err)
		defer lis.Close()
		c, err := Dial("unix", path)
		require.NoError(t, err)
		require.Equal(t, path, c.Stats().Endpoints[0].Address)
		require.NoError(t, c.Close())
	}
	_, err := Dial("unix", one+","+other)
	require.ErrorContains(t, err, "a path is not split at commas: to list sockets, give Dialer.Dial an argument for each")
	require.IsType(t, &net.OpError{}, err, "as from net/rpc")
	require.ErrorIs(t, err, fs.ErrNotExist)
	_, err = Dial("unix", other)
	require.NotContains(t, err.Error(), "comma")
	var d Dialer
	c, err := d.Dial("unix", one, other)
	require.NoError(t, err)
	require.Len(t, c.Stats().Endpoints, 2)
	require.NoError(t, c.Close())
}

func TestHTTPPathThatIsNone(t *testing.T) {
	for _, path := range []string{"rpc", " ", "/ HTTP", "/rpc\n"} {
		_, err := DialHTTPPath("tcp", "127.0.0.1:1", path)
		require.EqualError(t, err, fmt.Sprintf(`rpcx: Dialer.HTTPPath is %q; want a path that begins with "/" and has no blanks`, path))
	}
}

// The same for Static, whose errors came after 10 s of waiting for another set.
func TestStaticThatCannotBeRight(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		set  []Endpoint
		want string
	}{
		{nil, "Static has no endpoints; name at least one"},
		{[]Endpoint{{}}, "an address is empty"},
		{[]Endpoint{{Address: "a:1"}, {}}, "an address is empty"},
		{[]Endpoint{{Address: "a"}}, `the address "a" is not of the form host:port`},
		{[]Endpoint{{Address: "a:0"}}, `has the port "0"; want`},
		{[]Endpoint{{Address: "a:1"}, {Address: "b:1"}, {Address: "a:1", Weight: 2}}, `the address "a:1" is listed twice`},
		{[]Endpoint{{Address: "a:1", Weight: -1}}, "Weight"},
		{[]Endpoint{{Address: "a:1", Weight: 2_000_000}}, "Weight"},
	} {
		synctest.Test(t, func(t *testing.T) {
			begin := time.Now()
			d := Dialer{Resolver: Static(c.set...), Trace: noDial(t)}
			_, err := d.Dial("tcp")
			require.ErrorContains(t, err, c.want)
			require.Zero(t, time.Since(begin))
		})
	}
}

// What net.Dial takes, and what only NetDial understands, is left as it is.
func TestAddressesThatMayBeRight(t *testing.T) {
	for network, addresses := range map[string][]string{
		"tcp":     {":1,localhost:http", "[fe80::1%lo]:1"},
		"tcp4":    {"calc"}, // alone: NetDial's matter
		"unix":    {"/run/a,b.sock", "@b"},
		"bufconn": {"a,b"},
		"vsock":   {"3:102400,4:102400"},
	} {
		d := Dialer{NetDial: func(_ context.Context, _, address string) (net.Conn, error) {
			return nil, &net.AddrError{Err: "dialed", Addr: address}
		}}
		_, err := d.Dial(network, addresses...)
		require.ErrorContains(t, err, "dialed", "%q", addresses)
	}
}

// A NetDial of one's own may have addresses of its own.
func TestAddressesOfNetDial(t *testing.T) {
	fake := errors.New("dialed")
	d := Dialer{NetDial: func(context.Context, string, string) (net.Conn, error) { return nil, fake }}
	_, err := d.Dial("tcp", "first,second:0")
	require.ErrorIs(t, err, fake)
	_, err = d.Dial("tcp", "first,second:0,first")
	require.ErrorContains(t, err, "listed twice")
	d.Resolver = Static(Endpoint{Address: "first"}, Endpoint{})
	_, err = d.Dial("tcp")
	require.ErrorContains(t, err, "an address is empty")
}

func noDial(t *testing.T) *ClientTrace {
	return &ClientTrace{ConnStart: func(i ConnInfo) { t.Errorf("%s is dialed", i.Endpoint) }}
}
