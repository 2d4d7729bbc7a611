package rpcx_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/rpc"
	"testing"

	"resilientrpc/rpcx"
)

// What a reader of the page costs its process, of 1,000 endpoints: the whole of the
// figures as JSON, beside the Stats that they are made of.
func BenchmarkDebugFigures(b *testing.B) {
	set := make([]rpcx.Endpoint, 1000)
	for i := range set {
		set[i].Address = fmt.Sprintf("replica-%d.example:7000", i)
	}
	server := rpc.NewServer()
	d := rpcx.Dialer{Resolver: rpcx.Static(set...), Subset: -1, Heartbeat: -1, NetDial: func(context.Context, string, string) (net.Conn, error) {
		near, far := net.Pipe()
		go server.ServeConn(far)
		return near, nil
	}}
	c, err := d.Dial("tcp")
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	b.Run("stats", func(b *testing.B) {
		for b.Loop() {
			if n := len(c.Stats().Endpoints); n != len(set) {
				b.Fatal(n)
			}
		}
	})
	b.Run("json", func(b *testing.B) {
		h := &rpcx.DebugHandler{Clients: map[string]*rpcx.Client{"many": c}}
		for b.Loop() {
			w := get(h, "/?format=json")
			if w.Code != http.StatusOK {
				b.Fatal(w.Code)
			}
			b.ReportMetric(float64(w.Body.Len()), "bytes")
		}
	})
}
