package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
)

// columns are the contenders of the features, by name and as a head of a table.
var columns = [...]struct{ contender, head string }{
	{baseline, "net/rpc"},
	{"net/rpc by hand", "by hand"},
	{"net/rpc pool", "pool"},
	{"gobreaker+backoff", "gobreaker"},
	{"failsafe-go", "failsafe-go"},
	{"grpc-go", "grpc-go"},
	{"connect-go", "connect-go"},
	{"jrpc2 by hand", "jrpc2"},
	{"rpcx", "rpcx"},
}

// A question is one that users ask. Where a probe can answer it, the answer is what
// this run has seen; otherwise it is what the documentation says, by source.
type question struct {
	text    string
	source  string
	answers [len(columns)]string
	probe   probe // may be nil, and gives "" where it cannot answer
}

// runFeatures asks every question.
func runFeatures(ctx context.Context, out *output) error {
	fmt.Fprint(out, "\n== Features: what users ask of each; ! marks what this run has seen, the rest is what documentation says ==\n")
	limits := fullLimits
	if out.quick {
		limits = quickLimits
	}
	t := &table{title: "Columns two to five, and jrpc2's, are by hand but for what the library does.", head: []string{""}}
	for _, c := range columns {
		t.head = append(t.head, c.head)
	}
	for i, q := range questions {
		answers, err := q.ask(ctx, limits)
		if err != nil {
			return fmt.Errorf("%s %w", q.text, err)
		}
		t.add(append([]string{fmt.Sprintf("%2d. %s", i+1, q.text)}, answers...)...)
		if q.source != "" {
			t.note("%d: %s", i+1, q.source)
		}
	}
	t.print(out)
	out.report["features"] = t.markdown()
	return nil
}

// ask returns an answer for each column; all are probed at the same time.
func (q question) ask(ctx context.Context, l limits) ([]string, error) {
	answers := q.answers
	if q.probe == nil {
		return answers[:], nil
	}
	var (
		wg   sync.WaitGroup
		errs [len(columns)]error
	)
	for i, c := range columns {
		wg.Go(func() {
			seen, err := q.probe(ctx, find(c.contender), l)
			if seen != "" {
				answers[i] = seen + " !"
			}
			if err != nil {
				errs[i] = fmt.Errorf("%s: %w", c.head, err)
			}
		})
	}
	wg.Wait()
	return answers[:], errors.Join(errs[:]...)
}

// same gives one answer to every column but those that differ: "connect-go: yes".
func same(answer string, but ...string) (all [len(columns)]string) {
	for i, c := range columns {
		all[i] = answer
		for _, b := range but {
			if head, other, _ := strings.Cut(b, ": "); head == c.head {
				all[i] = other
			}
		}
	}
	return all
}

var questions = []question{
	{
		text: "Does a call without a deadline end when its server freezes?", probe: probeFreeze,
		source: "golang/go#33615 for net/rpc; the least keepalive time of grpc-go is 10 s (grpc/grpc-go#2642)",
	},
	{
		text: "Does a call end when its context does?", probe: probeDeadline,
		source: "net/rpc has no contexts",
	},
	{
		text: "Does the client connect again by itself?", probe: probeRedial,
		source: "golang/go#31337 for net/rpc",
	},
	{
		text: "Is a call run twice that is not idempotent, if replies get lost?", probe: probeRepeat,
		source: "of three replicas each takes the request and then resets the connection",
	},
	{
		text: "Does one reply that does not fit end the other calls of its connection?", probe: probePoison,
		answers: same("", "pool: no", "grpc-go: no", "connect-go: no", "jrpc2: no"),
		source:  "the others decode each reply on its own, and the pool has a stream for each call",
	},
	{
		text:    "Is there a circuit breaker for each replica?",
		answers: same("no", "gobreaker: yes", "failsafe-go: yes", "grpc-go: outliers", "rpcx: yes"),
		source:  "grpc-go's outlier detection is experimental, and comes with its xds package only (grpc/grpc-go#7647)",
	},
	{
		text:    "Is a dead replica found while there are no calls?",
		answers: same("no", "pool: yes", "grpc-go: yes", "connect-go: yes", "rpcx: yes"),
		source:  "pool: yamux's keepalive; grpc-go: keepalive with PermitWithoutStream; connect-go: net/http's HTTP2Config.SendPingTimeout; rpcx: Dialer.Heartbeat",
	},
	{
		text:    "Does a client avoid a replica that is slow?",
		answers: same("no", "grpc-go: in part", "rpcx: yes"),
		source:  "grpc-go: least_request and weighted_round_robin, the latter with load reports of the servers; rpcx: balancer.P2C; see also the scenario slow",
	},
	{
		text:    "Is a replica left that answers each call with an error?",
		answers: same("no", "grpc-go: outliers", "rpcx: yes"),
		source:  "net/rpc's errors are texts, so that one of the method and one of a broken replica look the same; rpcx: Dialer.Classify, and without it balancer.P2C, if the others return far fewer; see the scenario failing",
	},
	{
		text:    "Can calls wait for a connection when none is up?",
		answers: same("no", "pool: by hand", "grpc-go: yes", "rpcx: yes"),
		source:  "grpc-go: waitForReady; rpcx: Dialer.WaitForReady; see the scenario all down",
	},
	{
		text:    "Can calls be hedged?",
		answers: same("no", "failsafe-go: yes", "rpcx: yes"),
		source:  "failsafe-go: hedgepolicy; grpc-go: grpc/grpc-go#2823; rpcx: Dialer.Hedge",
	},
	{
		text:    "Do retries have a budget?",
		answers: same("no", "failsafe-go: yes", "grpc-go: yes", "rpcx: yes"),
		source:  "failsafe-go: WithBudget; grpc-go: retryThrottling; rpcx: Retry.Budget",
	},
	{
		text:    "Does an error say whether the call may have run?",
		answers: same("no", "rpcx: yes"),
		source:  "rpcx: CallError.Sent; the status codes of grpc-go and connect-go leave it open (UNAVAILABLE is either)",
	},
	{
		text:    "Does a server stop without failing calls?",
		answers: same("no", "grpc-go: yes", "connect-go: yes", "rpcx: with Serve"),
		source:  "grpc-go: GracefulStop; connect-go: net/http's Shutdown; rpcx: Serve; see the scenario rolling",
	},
	{
		text:    "Does a method that panics cost its own call only?",
		answers: same("no", "connect-go: yes", "rpcx: with Serve"),
		source:  "grpc/grpc-go#441; net/http recovers for connect-go",
	},
	{
		text:    "Does the deadline of a call reach the server?",
		answers: same("no", "grpc-go: yes", "connect-go: yes", "rpcx: with Serve"),
		source:  "rpcx: ContextOf; a stock server of net/rpc knows no deadlines",
	},
	{
		text:    "Does the server learn that a call was given up?",
		answers: same("no", "grpc-go: yes", "connect-go: yes", "jrpc2: by hand", "rpcx: with Serve"),
		source:  "jrpc2: Server.CancelRequest, to be called by a method of one's own (creachadair/jrpc2#104); rpcx: ContextOf",
	},
	{
		text:    "Do errors have codes?",
		answers: same("no", "grpc-go: yes", "connect-go: yes", "jrpc2: yes", "rpcx: JSON-RPC 2"),
		source:  "rpcx: codec.Error",
	},
	{
		text:    "Can a call stream?",
		answers: same("no", "grpc-go: yes", "connect-go: yes", "jrpc2: pushes"),
		source:  "jrpc2: ServerOptions.AllowPush",
	},
	{
		text:    "Are there interceptors?",
		answers: same("no", "grpc-go: yes", "connect-go: yes", "rpcx: yes"),
		source:  "rpcx: Dialer.Intercept, and hooks that see all and change nothing",
	},
	{
		text:    "Are there clients and servers in other languages?",
		answers: same("JSON", "grpc-go: yes", "connect-go: yes", "jrpc2: yes"),
		source:  "JSON-RPC 1.0 of net/rpc/jsonrpc, of rpcx also 2.0",
	},
	{
		text:    "Do servers of net/rpc stay as they are?",
		answers: same("yes", "pool: no", "grpc-go: no", "connect-go: no", "jrpc2: no"),
	},
	{
		text:    "Is there no code to generate?",
		answers: same("none", "grpc-go: protobuf", "connect-go: protobuf"),
	},
	{
		text:    "Does the client follow replicas that come and go?",
		answers: same("no", "grpc-go: yes", "rpcx: yes"),
		source:  "grpc-go: dns, xDS, resolvers of one's own; rpcx: dns, SRV, a file, Dialer.Resolver, rpcx/etcd",
	},
	{
		text:    "Is there a control plane, or a mesh, that speaks it?",
		answers: same("no", "grpc-go: yes", "connect-go: yes"),
		source:  "grpc-go: xDS; connect-go: as HTTP, and with gRPC's protocol",
	},
}
