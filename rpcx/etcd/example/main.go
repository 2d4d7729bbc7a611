// Command example shows a client that follows its servers through etcd: three servers
// register, one goes and comes back, and etcd is killed meanwhile. It fails if a call
// does.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/rpc"
	"os"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"resilientrpc/rpcx"
	"resilientrpc/rpcx/etcd"
	"resilientrpc/rpcx/etcd/internal/process"
)

func main() {
	outage := flag.Duration("outage", 5*time.Second, "how long etcd is down")
	flag.Parse()
	log.SetFlags(0)
	if err := run(os.Stdout, *outage); err != nil {
		log.Fatal("example: ", err)
	}
}

func run(stdout io.Writer, outage time.Duration) error {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	fmt.Fprintln(stdout, "building etcd …")
	binary, err := process.Build(dir)
	if err != nil {
		return err
	}
	server, err := process.New(binary, dir)
	if err != nil {
		return err
	}
	if err := server.Run(); err != nil {
		return err
	}
	defer server.Kill()
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{server.URL}, DialTimeout: 5 * time.Second, Logger: zap.NewNop()})
	if err != nil {
		return err
	}
	defer client.Close()
	s := &show{Writer: stdout, server: server, etcd: client}
	return errors.Join(s.play(outage), s.close())
}

// A show is etcd, the replicas, and the client that follows them.
type show struct {
	io.Writer
	server   *process.Server
	etcd     *clientv3.Client
	replicas []*replica
	client   *rpcx.Client

	calls, failed atomic.Int64
}

// A replica is a server and its registration.
type replica struct {
	net.Listener
	registration *etcd.Registration // nil if there is none
}

// Multiplier is the service.
type Multiplier struct{}

// Factors are what is multiplied.
type Factors struct{ A, B int }

// Multiply is its method.
func (Multiplier) Multiply(f Factors, product *int) error {
	*product = f.A * f.B
	return nil
}

// add starts a replica and registers it.
func (s *show) add() error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := rpc.NewServer()
	if err := server.Register(Multiplier{}); err != nil {
		return err
	}
	go server.Accept(ln) // until ln is closed
	r := &replica{Listener: ln}
	s.replicas = append(s.replicas, r)
	return s.register(r)
}

func (s *show) register(r *replica) (err error) {
	registrar := etcd.Registrar{Client: s.etcd, Service: "multiplier", TTL: 5 * time.Second}
	r.registration, err = registrar.Register(context.Background(), rpcx.Endpoint{Address: r.Addr().String()})
	return err
}

func (s *show) deregister(r *replica) error {
	registration := r.registration
	r.registration = nil
	return registration.Close()
}

func (s *show) play(outage time.Duration) error {
	for range 3 {
		if err := s.add(); err != nil {
			return err
		}
	}
	dialer := rpcx.Dialer{Resolver: &etcd.Resolver{Client: s.etcd, Service: "multiplier"}}
	client, err := dialer.Dial("tcp")
	if err != nil {
		return err
	}
	s.client = client
	ctx, stop := context.WithCancel(context.Background())
	loaded := make(chan struct{})
	go func() {
		defer close(loaded)
		s.load(ctx)
	}()
	err = s.acts(outage)
	stop()
	<-loaded
	fmt.Fprintf(s, "%d calls, %d failed\n", s.calls.Load(), s.failed.Load())
	if err == nil && s.failed.Load() > 0 {
		err = errors.New("calls failed")
	}
	return err
}

// acts is what happens under load.
func (s *show) acts(outage time.Duration) error {
	if err := s.sees(3, "three servers are registered"); err != nil {
		return err
	}
	last := s.replicas[2]
	if err := s.deregister(last); err != nil {
		return err
	}
	if err := s.sees(2, "one has deregistered"); err != nil {
		return err
	}
	fmt.Fprintf(s, "etcd is killed, for %v; the leases last 5s\n", outage)
	s.server.Kill()
	time.Sleep(outage)
	if n := len(s.client.Stats().Endpoints); n != 2 {
		return fmt.Errorf("the client uses %d endpoints without etcd; want 2", n)
	}
	fmt.Fprintf(s, "the client has made %d calls so far, %d failed, and still uses 2 servers\n", s.calls.Load(), s.failed.Load())
	if err := s.server.Run(); err != nil {
		return err
	}
	begin := time.Now()
	if err := s.register(last); err != nil {
		return err
	}
	fmt.Fprintf(s, "etcd is back, and took a registration after %v\n", time.Since(begin).Round(time.Millisecond))
	return s.sees(3, "the server has registered again")
}

// sees waits until the client uses n servers.
func (s *show) sees(n int, what string) error {
	begin := time.Now()
	for len(s.client.Stats().Endpoints) != n {
		if time.Since(begin) > 30*time.Second {
			return fmt.Errorf("%s: not seen", what)
		}
		time.Sleep(time.Millisecond)
	}
	fmt.Fprintf(s, "%s: the client knows after %v\n", what, time.Since(begin).Round(time.Millisecond))
	return nil
}

// load calls until ctx ends. The method is not said to be idempotent: no call may be
// lost, none is repeated.
func (s *show) load(ctx context.Context) {
	for i := 0; ctx.Err() == nil; i++ {
		var product int
		err := s.client.Call("Multiplier.Multiply", Factors{i, 7}, &product)
		s.calls.Add(1)
		if err != nil || product != 7*i {
			s.failed.Add(1)
			fmt.Fprintf(s, "%d times 7 is %d: %v\n", i, product, err)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// close ends the client, and then the servers.
func (s *show) close() error {
	var errs []error
	if s.client != nil {
		errs = append(errs, s.client.Close())
	}
	for _, r := range s.replicas {
		if r.registration != nil {
			errs = append(errs, s.deregister(r))
		}
		errs = append(errs, r.Close())
	}
	return errors.Join(errs...)
}
