package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"

	"resilientrpc/rpcx"
)

// pagePath is where the live page is.
const pagePath = "/debug/rpcx"

// A page serves the live page of an rpcx client. Its goroutine, started by
// servePage, ends with close.
type page struct {
	url  string
	srv  *http.Server
	done chan struct{} // closed when the goroutine has ended
}

// servePage serves the page at addr, or nothing if addr is empty.
func servePage(addr string, client *rpcx.Client) (*page, error) {
	if addr == "" {
		return nil, nil //nolint:nilnil // a nil page can be closed
	}
	lis, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("-debug: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle(pagePath, &rpcx.DebugHandler{Clients: map[string]*rpcx.Client{"calc": client}})
	p := &page{
		url: "http://" + lis.Addr().String() + pagePath, done: make(chan struct{}),
		srv: &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second},
	}
	go func() {
		defer close(p.done)
		p.srv.Serve(lis) //nolint:errcheck // it ends with close
	}()
	return p, nil
}

func (p *page) close() {
	if p == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	p.srv.Shutdown(ctx) //nolint:errcheck // what is left is cut off next
	p.srv.Close()
	<-p.done
}
