package main

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	grpc "google.golang.org/grpc/balancer"
	_ "google.golang.org/grpc/balancer/leastrequest" // registers itself
	_ "google.golang.org/grpc/balancer/roundrobin"   // registers itself
	"google.golang.org/grpc/connectivity"
	estats "google.golang.org/grpc/experimental/stats"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/serviceconfig"
)

// grpcGo runs a balancer of google.golang.org/grpc itself: it plays the part of
// the channel, whose connections are ready at once. What the balancer draws at
// random is not seeded, so its runs differ a little from each other.
type grpcGo struct {
	grpc.ClientConn // for the methods that are not called
	grpc.Picker
	// events are what the channel tells the balancer once its call returns.
	events []func()
}

// subConn is a connection that stands for a server.
type subConn struct {
	grpc.SubConn // for the methods that are not called
	server       int
	owner        *grpcGo
	listener     func(grpc.SubConnState)
}

func newGRPC(name, config string, servers int) picker {
	g := &grpcGo{}
	builder := grpc.Get(name)
	b := builder.Build(g, grpc.BuildOptions{})
	state := grpc.ClientConnState{}
	for i := range servers {
		addr := resolver.Address{Addr: strconv.Itoa(i)}
		state.ResolverState.Endpoints = append(state.ResolverState.Endpoints, resolver.Endpoint{Addresses: []resolver.Address{addr}})
	}
	state.BalancerConfig = parse(builder, config)
	if err := b.UpdateClientConnState(state); err != nil {
		panic(err)
	}
	for len(g.events) > 0 {
		event := g.events[0]
		g.events = g.events[1:]
		event()
	}
	return g
}

func parse(builder grpc.Builder, config string) serviceconfig.LoadBalancingConfig {
	parser, ok := builder.(grpc.ConfigParser)
	if !ok || config == "" {
		return nil
	}
	c, err := parser.ParseConfig(json.RawMessage(config))
	if err != nil {
		panic(fmt.Sprintf("config %s: %v", config, err))
	}
	return c
}

func (g *grpcGo) pick(c *call, _ time.Duration) {
	res, err := g.Pick(grpc.PickInfo{})
	if err != nil {
		panic(err)
	}
	c.server, c.done = res.SubConn.(*subConn).server, res.Done
}

func (g *grpcGo) done(c *call, _ time.Duration) {
	if c.done != nil {
		c.done(grpc.DoneInfo{})
	}
}

// What follows is called by the balancer.

func (g *grpcGo) NewSubConn(addrs []resolver.Address, o grpc.NewSubConnOptions) (grpc.SubConn, error) {
	server, err := strconv.Atoi(addrs[0].Addr)
	return &subConn{server: server, owner: g, listener: o.StateListener}, err
}

func (g *grpcGo) UpdateState(s grpc.State)                { g.Picker = s.Picker }
func (g *grpcGo) ResolveNow(resolver.ResolveNowOptions)   {}
func (g *grpcGo) Target() string                          { return "sim" }
func (g *grpcGo) MetricsRecorder() estats.MetricsRecorder { return nil }
func (s *subConn) Shutdown()                              {}

func (s *subConn) Connect() {
	s.owner.events = append(s.owner.events,
		func() { s.listener(grpc.SubConnState{ConnectivityState: connectivity.Connecting}) },
		func() { s.listener(grpc.SubConnState{ConnectivityState: connectivity.Ready}) })
}

func (s *subConn) RegisterHealthListener(f func(grpc.SubConnState)) {
	s.owner.events = append(s.owner.events, func() { f(grpc.SubConnState{ConnectivityState: connectivity.Ready}) })
}
