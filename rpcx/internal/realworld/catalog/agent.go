package main

import (
	"bufio"
	"fmt"
	"io"
	"net/rpc"
	"strconv"
	"strings"
	"sync"
	"time"
)

// agent runs the commands of its input.
func agent(addr string, in io.Reader) error {
	p := &pool{addr: addr}
	defer p.forget()
	lines := bufio.NewScanner(in)
	var watched chan string
	for lines.Scan() {
		args := append(strings.Fields(lines.Text()), "", "", "", "")
		switch args[0] {
		case "watch": // answered by "watched"
			watched = make(chan string, 1)
			query := ServiceQuery{ServiceName: args[1]}
			query.MinQueryIndex, _ = strconv.ParseUint(args[2], 10, 64)
			query.MaxQueryTime, _ = time.ParseDuration(args[3])
			go func() { watched <- p.nodes(query) }()
		case "watched":
			fmt.Println(<-watched)
		default:
			fmt.Println(p.run(args))
		}
	}
	return lines.Err()
}

func (p *pool) run(args []string) string {
	switch args[0] {
	case "register":
		port, _ := strconv.Atoi(args[3])
		err := p.call("Catalog.Register", RegisterRequest{
			Node: args[1], Address: "10.0.0.1", Secret: []byte{0, 255, 7},
			Service: &NodeService{
				Service: args[2], Port: port, Tags: []string{"v1", "ü"}, Meta: map[string]string{"zone": "a"},
				Proxy: map[string]any{"weight": 0.5, "upstreams": []any{"db", "cache"}},
			},
		}, new(struct{}))
		return orError("registered", err)
	case "intrude":
		return orError("registered", p.call("Catalog.Register", RegisterRequest{Node: args[1]}, new(struct{})))
	case "services":
		var out IndexedServices
		err := p.call("Catalog.ListServices", QueryOptions{}, &out)
		return orError(fmt.Sprint(out.Index, " ", out.Services), err)
	case "nodes":
		return p.nodes(ServiceQuery{ServiceName: args[1]})
	case "many":
		return p.many(args[1])
	case "mistake": // a reply of another type than the method's
		return orError("no error", p.call("Catalog.ListServices", QueryOptions{}, new([]int)))
	}
	return orError("", p.call("Catalog."+args[0], struct{}{}, new(struct{})))
}

// many has a hundred queries at once.
func (p *pool) many(service string) string {
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		count = make(map[string]int)
	)
	for range 100 {
		wg.Go(func() {
			answer := p.nodes(ServiceQuery{ServiceName: service})
			mu.Lock()
			defer mu.Unlock()
			count[answer]++
		})
	}
	wg.Wait()
	return fmt.Sprint(count)
}

func (p *pool) nodes(query ServiceQuery) string {
	var out IndexedServiceNodes
	if err := p.call("Catalog.ServiceNodes", query, &out); err != nil {
		return orError("", err)
	}
	answer := fmt.Sprint("index ", out.Index, ":")
	for _, n := range out.ServiceNodes {
		s := n.NodeService
		answer += fmt.Sprintf(" %s %s:%d %v %v %v %d", n.Node, n.Address, s.Port, s.Tags, s.Meta, s.Proxy, n.CreateTime.Unix())
	}
	return answer
}

// orError returns the answer to a command: text, or the error.
func orError(text string, err error) string {
	switch err.(type) {
	case nil:
		return text
	case rpc.ServerError:
		return "the server says: " + err.Error()
	}
	return "error: " + err.Error()
}
