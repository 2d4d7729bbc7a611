package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/rpc"
	"sync"
	"time"

	msgpackrpc "github.com/hashicorp/net-rpc-msgpackrpc/v2"
	"github.com/hashicorp/yamux"
)

// Catalog is the service of the server.
type Catalog struct {
	mu      sync.Mutex // protects following
	index   uint64
	nodes   []*ServiceNode
	changed chan struct{} // closed with the next change
}

// Register enters a service.
func (c *Catalog) Register(in RegisterRequest, _ *struct{}) error {
	if in.Service == nil || len(in.Secret) == 0 {
		return errors.New("permission denied: no secret or no service")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.index++
	c.nodes = append(c.nodes, &ServiceNode{Node: in.Node, Address: in.Address, NodeService: in.Service, CreateTime: time.Unix(int64(c.index), 0)})
	close(c.changed)
	c.changed = make(chan struct{})
	return nil
}

// ServiceNodes returns the nodes of a service, once the catalog is as new as was asked for.
func (c *Catalog) ServiceNodes(in ServiceQuery, out *IndexedServiceNodes) error {
	c.await(in.QueryOptions)
	c.mu.Lock()
	defer c.mu.Unlock()
	out.Index = c.index
	for _, n := range c.nodes {
		if n.NodeService.Service == in.ServiceName {
			out.ServiceNodes = append(out.ServiceNodes, n)
		}
	}
	return nil
}

// ListServices returns the names of all services.
func (c *Catalog) ListServices(in QueryOptions, out *IndexedServices) error {
	c.await(in)
	c.mu.Lock()
	defer c.mu.Unlock()
	out.Index, out.Services = c.index, make(map[string]int)
	for _, n := range c.nodes {
		out.Services[n.NodeService.Service]++
	}
	return nil
}

// await has a query wait.
func (c *Catalog) await(o QueryOptions) {
	limit := time.After(o.MaxQueryTime)
	for {
		c.mu.Lock()
		index, changed := c.index, c.changed
		c.mu.Unlock()
		if index > o.MinQueryIndex || o.MinQueryIndex == 0 {
			return
		}
		select {
		case <-changed:
		case <-limit:
			return
		}
	}
}

// serve serves each connection as its first byte says.
func serve(addr string) error {
	server := rpc.NewServer()
	if err := server.Register(&Catalog{changed: make(chan struct{})}); err != nil {
		return err
	}
	lis, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	fmt.Println(lis.Addr())
	for {
		conn, err := lis.Accept()
		if err != nil {
			return err
		}
		go handleConn(server, conn)
	}
}

func handleConn(server *rpc.Server, conn net.Conn) {
	defer conn.Close()
	kind := make([]byte, 1)
	if _, err := io.ReadFull(conn, kind); err != nil {
		return
	}
	switch kind[0] {
	case typePlain:
		handleStream(server, conn)
	case typeMultiplex:
		session, err := yamux.Server(conn, nil)
		if err != nil {
			return
		}
		for {
			stream, err := session.Accept()
			if err != nil {
				return
			}
			go handleStream(server, stream)
		}
	}
}

// handleStream serves one request after the other, and ends the stream with the first that it
// cannot.
func handleStream(server *rpc.Server, stream net.Conn) {
	defer stream.Close()
	codec := msgpackrpc.NewCodecFromHandle(true, true, stream, handle)
	for {
		if err := server.ServeRequest(codec); err != nil {
			return
		}
	}
}
