package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// A client runs operations on whatever node leads.
type client struct{ nodes []*peer }

func newClient(dir string, n int) *client {
	c := new(client)
	for j := range n {
		c.nodes = append(c.nodes, &peer{socket: filepath.Join(dir, fmt.Sprint("c-", j, ".sock"))})
	}
	return c
}

// do runs an operation, beginning at a node, none of which it gives more time than that. It returns the one that has answered. An error
// means that the operation may have run, or may yet.
func (c *client) do(op Op, at int, limit time.Duration) (value string, answered int, err error) {
	for {
		var result Result
		sent, err := c.nodes[at].callWithin(limit, "KV.Do", op, &result)
		if err == nil {
			return result.Value, at, nil
		}
		at = (at + 1) % len(c.nodes)
		if sent && err.Error() != errNotLeader.Error() {
			return "", at, err
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// script runs the commands of its input.
func script(c *client, in io.Reader) error {
	at := 0
	for lines := bufio.NewScanner(in); lines.Scan(); {
		words := append(strings.Fields(lines.Text()), "", "", "")
		value, answered, err := c.do(Op{words[0], words[1], words[2]}, at, forever)
		at = answered
		if err != nil {
			value = "perhaps: " + err.Error()
		}
		fmt.Println(words[0], words[1], value)
	}
	return nil
}

// An Event is an operation as its caller saw it.
type Event struct {
	Worker       int
	Op           Op
	Call, Return time.Duration // since the start
	Known        bool          // it is done; else it may be, or may yet
	Value        string        // then
	Error        string        `json:",omitempty"`
}

// Of the workers, a third stay with the node that has answered last, and wait for its answers. The
// others wander: they begin each operation anywhere, and do not wait for long, so that they
// find a new leader while an old one still believes to lead; of these, one half only reads.
const (
	workers  = 6
	keys     = 16
	pause    = 5 * time.Millisecond
	patience = 200 * time.Millisecond
)

// load runs operations until the input ends, then reads all keys, and prints an Event for each.
func load(c *client, in io.Reader, wander bool) error {
	var (
		begun  = time.Now()
		wg     sync.WaitGroup
		over   = make(chan struct{})
		events = make(chan Event)
		ended  = make(chan error)
	)
	run := func(worker int, op Op, at *int) (known bool) {
		e := Event{Worker: worker, Op: op, Call: time.Since(begun)}
		limit := forever
		if wander && worker%3 > 0 {
			*at, limit = rand.IntN(len(c.nodes)), patience
		}
		value, answered, err := c.do(op, *at, limit)
		*at = answered
		e.Return, e.Value, e.Known = time.Since(begun), value, err == nil
		if err != nil {
			e.Error = err.Error()
		}
		events <- e
		return e.Known
	}
	go func() {
		encoder := json.NewEncoder(os.Stdout)
		for e := range events {
			encoder.Encode(e) //nolint:errcheck // to standard output
		}
		close(ended)
	}()
	for w := range workers {
		wg.Go(func() {
			for i, at := 0, 0; ; i++ {
				select {
				case <-over:
					return
				default:
				}
				op := Op{Kind: "append", Key: fmt.Sprint("k", (w+i)%keys), Value: fmt.Sprint(w, ".", i, " ")}
				if i%3 == 0 || w%3 == 2 {
					op.Kind, op.Value = "get", ""
				}
				run(w, op, &at)
				time.Sleep(pause)
			}
		})
	}
	io.Copy(io.Discard, in) //nolint:errcheck // its end is what counts
	close(over)
	wg.Wait()
	for k, at := 0, 0; k < keys; k++ {
		for !run(0, Op{Kind: "get", Key: fmt.Sprint("k", k)}, &at) {
		}
	}
	close(events)
	<-ended
	return nil
}
