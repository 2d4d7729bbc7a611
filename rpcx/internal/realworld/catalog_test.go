//go:build unix

package realworld

import (
	"io"
	"net/rpc"
	"slices"
	"syscall"
	"testing"
	"time"

	msgpackrpc "github.com/hashicorp/net-rpc-msgpackrpc/v2"
	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx"
	"resilientrpc/rpcx/internal/leak"
)

// The commands of an agent: values of all kinds in msgpack, a query that waits, many calls at
// once, a method that there is not, and a server that is killed and comes back.
func TestCatalog(t *testing.T) {
	leak.Check(t)
	const web = "web1 10.0.0.1:80 [v1 ü] map[zone:a] map[upstreams:[db cache] weight:0.5] 1"
	want := []string{
		"0 map[]",
		"registered",
		"index 1: " + web,
		"the server says: permission denied: no secret or no service",
		"1 map[web:1]",
		"registered",
		"index 2:",
		"index 2:",
		"map[index 2: " + web + ":100]",
		"error: reading body",
		"2 map[db:1 web:1]",
		"the server says: rpc: can't find method Catalog.Nope",
		"error:",
		"2 map[db:1 web:1]",
		"error:",
		"0 map[]",
	}
	same(t, want, func(t *testing.T, variant string) []string {
		server := start(t, variant, "catalog", "serve")
		addr := server.line()
		agent := start(t, variant, "catalog", "agent", addr)
		var out []string
		for _, command := range []string{"services", "register web1 web 80", "nodes web", "intrude x", "services"} {
			out = append(out, agent.ask(command))
		}
		agent.say("watch cache 1 1m")
		out = append(out, agent.ask("register db1 db 5432"), agent.ask("watched"))
		agent.say("watch cache 2 50ms")
		out = append(out, agent.ask("watched"), agent.ask("many web"))
		out = append(out, agent.ask("mistake")[:19], agent.ask("services"))
		agent.say("Nope") // behind which the server hangs up; the pool learns that by its next call
		out = append(out, agent.line(), agent.ask("services")[:6], agent.ask("services"))
		server.signal(syscall.SIGKILL)
		<-server.ended
		out = append(out, agent.ask("services")[:6])
		start(t, variant, "catalog", "serve", addr).line()
		return append(append(out, agent.ask("services")), agent.rest()...)
	})
}

// A client of NewClientWithCodec is given nothing but the codec, so that it cannot see its connection be
// silent, and its agent hangs with the server, whatever the import. A Dialer has the
// connection, and may have replicas: with it, no call fails or takes long, although these
// servers end a connection behind a ping.
func TestCatalogIsFrozen(t *testing.T) {
	leak.Check(t)
	var addrs []string
	var servers []*process
	for range 3 {
		s := start(t, stock, "catalog", "serve")
		servers, addrs = append(servers, s), append(addrs, s.line())
	}
	d := rpcx.Dialer{
		Codec:       newPlainCodec,
		Methods:     map[string]rpcx.MethodOptions{"Catalog.List*": {Idempotent: rpcx.Yes}},
		Hedge:       &rpcx.Hedge{Delay: 100 * time.Millisecond},
		CallTimeout: 20 * time.Second,
	}
	client, err := d.Dial("tcp", addrs...)
	require.NoError(t, err)
	defer client.Close()
	until(t, client, func(e rpcx.EndpointStats) bool { return e.Pings == rpcx.PingsFatal })
	var agents []*process
	for _, variant := range variants {
		agent := start(t, variant, "catalog", "agent", addrs[0])
		require.Equal(t, "0 map[]", agent.ask("services"))
		agents = append(agents, agent)
	}
	servers[0].freeze()
	for _, agent := range agents {
		agent.say("services")
	}
	before := client.Stats().Endpoints
	until(t, client, func(e rpcx.EndpointStats) bool { return e.Address != addrs[0] || e.Picks > before[0].Picks })
	for _, agent := range agents {
		line, answered := agent.lineWithin(5 * time.Second)
		require.False(t, answered, line)
	}
}

// until makes calls, of which none may fail, until something holds for all
// endpoints.
func until(t *testing.T, client *rpcx.Client, holds func(rpcx.EndpointStats) bool) {
	t.Helper()
	for begun := time.Now(); time.Since(begun) < aWhile; time.Sleep(10 * time.Millisecond) { // real time: 100 calls a second
		var out struct{ Index uint64 }
		require.NoError(t, client.Call("Catalog.ListServices", struct{}{}, &out))
		endpoints := client.Stats().Endpoints
		if !slices.ContainsFunc(endpoints, func(e rpcx.EndpointStats) bool { return !holds(e) }) {
			return
		}
	}
	require.Fail(t, "too late", "%+v", client.Stats().Endpoints)
}

// newPlainCodec begins a connection of a single stream.
func newPlainCodec(conn io.ReadWriteCloser) rpc.ClientCodec {
	conn.Write([]byte{0}) //nolint:errcheck // the first request says it
	return msgpackrpc.NewClientCodec(conn)
}
