package rpcx_test

import (
	"context"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/balancer"
	"resilientrpc/codec/jsonhttp"
	"resilientrpc/rpcx"
	"resilientrpc/rpcx/internal/subtest"
)

// preferred is the policy whose first choice is the endpoint of an address.
type preferred string

func (p preferred) Picker(v *balancer.View) balancer.Picker { return preferredPicker{p, v} }

type preferredPicker struct {
	addr preferred
	view *balancer.View
}

func (p preferredPicker) Pick(_ time.Time, in balancer.PickInfo) (best *balancer.Node) {
	for _, n := range p.view.Nodes() {
		if !in.Tried(n) && (best == nil || n.ID() == string(p.addr)) {
			best = n
		}
	}
	return best
}

// A call with a hedge was not sent only if that is certain of both attempts, however it ends.
func TestDoubtOverAHedgedCall(t *testing.T) {
	t.Parallel()
	var all subtest.Group
	defer all.Wait()
	for name, hedge := range map[string]*rpcx.Hedge{"after a delay": {Delay: 50 * time.Millisecond}, "by suspicion": nil} {
		for _, test := range []struct {
			name          string
			first, second http.HandlerFunc // nil for one that does not answer
			want          rpcx.Sent
		}{
			{"the caller leaves", nil, nil, rpcx.MaybeSent},
			{"the first is refused", httpStatus(404, "", ""), nil, rpcx.MaybeSent},
			{"the second fails and the first is refused", httpStatus(413, "", ""), httpStatus(500, "", ""), rpcx.MaybeSent},
			{"the second fails and the caller leaves", nil, httpStatus(500, "", ""), rpcx.MaybeSent},
			{"both are refused", httpStatus(404, "", ""), httpStatus(404, "", ""), rpcx.NotSent},
		} {
			all.Run(t, name+", "+test.name, func(t *testing.T) {
				second := make(chan struct{}) // closed when it has arrived or, if it is answered, ended
				arrived := sync.OnceFunc(func() { close(second) })
				a := newWeb(t, nil, func(w http.ResponseWriter, r *http.Request) {
					select {
					case <-second:
						test.first(w, r)
					case <-r.Context().Done():
					}
				})
				answers := map[string]http.HandlerFunc{"It": func(_ http.ResponseWriter, r *http.Request) {
					arrived()
					<-r.Context().Done()
				}}
				if test.second != nil {
					answers["It"] = test.second
				}
				b := newWeb(t, answers, nil)
				d, _ := overHTTP(jsonhttp.Config{Client: &http.Client{Transport: &http.Transport{
					DisableKeepAlives: true,
					DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
						if address == a.addr() && test.first == nil {
							<-t.Context().Done() // a transport goes on dialing for other requests
							return nil, t.Context().Err()
						}
						return new(net.Dialer).DialContext(ctx, network, address)
					},
				}}})
				d.Hedge, d.Balancer, d.Methods = hedge, preferred(a.addr()), idempotent("*")
				d.Retry.MaxAttempts, d.Breaker.Disabled = -1, true
				d.Trace = d.Trace.Join(&rpcx.ClientTrace{AttemptDone: func(_ context.Context, i rpcx.AttemptInfo) {
					if i.Hedge {
						arrived()
					}
				}})
				c := dialWeb(t, d, a.addr(), b.addr())
				require.Eventually(t, func() bool { return c.Stats().Endpoints[0].Connected && c.Stats().Endpoints[1].Connected },
					10*time.Second, time.Millisecond)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if test.first == nil {
					go func() {
						<-second
						cancel()
					}()
				}
				err := callError(t, c.CallContext(ctx, "Do.It", 1, new(int)))
				require.Equal(t, 2, err.Attempts, "%v", err)
				require.Equal(t, test.want, err.Sent, "%v", err)
			})
		}
	}
}
