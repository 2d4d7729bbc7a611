package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// A grid is what the speed is measured of.
type grid struct {
	fields []field
	rounds int
	length time.Duration // of one contender's part of a round
}

// A field is a size of messages, and the numbers of callers that it is measured with.
type field struct {
	size    int
	callers []int
}

var (
	fullGrid = grid{
		fields: []field{{64, []int{1, 16, 128, 1024}}, {1 << 10, []int{1, 16, 128}}, {64 << 10, []int{1, 16, 128}}},
		rounds: 7, length: 200 * time.Millisecond,
	}
	quickGrid = grid{fields: []field{{64, []int{1, 128}}}, rounds: 3, length: 100 * time.Millisecond}
)

// A sample is what a call took in one round.
type sample struct {
	wall   float64 // ns from one end of a call to the next
	client float64 // ns of CPU in the client's process
	server float64 // ns of CPU in the server's
	allocs float64 // in the client's process
	bytes  float64 // allocated there
}

// A cell is a contender's samples at one size and number of callers.
type cell struct {
	contender
	samples []sample
	wire    float64 // bytes of a call and its reply on the socket
}

// median returns the middle of a value over the rounds.
func (c cell) median(value func(sample) float64) float64 {
	all := make([]float64, len(c.samples))
	for i, s := range c.samples {
		all[i] = value(s)
	}
	return middle(all)
}

func middle(all []float64) float64 {
	if len(all) == 0 {
		return math.NaN()
	}
	slices.Sort(all)
	if n := len(all); n%2 == 0 {
		return (all[n/2-1] + all[n/2]) / 2
	}
	return all[len(all)/2]
}

func wallOf(s sample) float64 { return s.wall }

// against is the middle, over the rounds, of c's time for a call in relation to
// base's in the same round, when the machine was as busy.
func (c cell) against(base cell) float64 {
	all := make([]float64, len(c.samples))
	for i := range c.samples {
		all[i] = c.samples[i].wall / base.samples[i].wall
	}
	return middle(all)
}

// runSpeed measures the whole grid, and prints a table for each of its fields.
func runSpeed(ctx context.Context, out *output) error {
	g := fullGrid
	if out.quick {
		g = quickGrid
	}
	fmt.Fprintf(out, "\n== Speed and cost: one server process, one client process, an echo; medians of %d rounds of %v each, contenders by turns; bytes on the wire in both directions ==\n", g.rounds, g.length)
	f, err := startFleet(1)
	if err != nil {
		return err
	}
	defer f.Close()
	all := &table{head: []string{"time for a call, net/rpc's is 1"}}
	for _, field := range g.fields {
		chart := newChart("Throughput, echo of "+sized(field.size), "in relation to net/rpc")
		for _, callers := range field.callers {
			cells, err := measure(ctx, f, g, callers, field.size)
			if err != nil {
				return err
			}
			speedTable(callers, field.size, cells).print(out)
			out.aim(aimsOf(callers, field.size, cells)...)
			all.addTimes(counted(callers)+", "+sized(field.size), cells)
			chart.groups = append(chart.groups, counted(callers))
			for _, c := range cells {
				chart.add(c.name, 1/c.against(cells[0]))
			}
		}
		if err := chart.save(out.plots, "speed "+sized(field.size)); err != nil {
			return err
		}
	}
	out.report["speed"] = all.markdown()
	return nil
}

// addTimes adds a column with the cells' times, and before the first one what a call
// takes of the network and of memory.
func (t *table) addTimes(head string, cells []cell) {
	if t.rows == nil {
		t.head = append(t.head, "bytes on the wire", "client allocs")
		for _, c := range cells {
			t.add(c.name, number(c.wire), number(c.median(func(s sample) float64 { return s.allocs })))
		}
	}
	t.head = append(t.head, head)
	for i, c := range cells {
		t.rows[i] = append(t.rows[i], ratio(c.against(cells[0])))
	}
}

// fast are the contenders that have a speed of their own.
func fast() []contender {
	var out []contender
	for _, c := range contenders {
		if c.same == "" {
			out = append(out, c)
		}
	}
	return out
}

// measure has all contenders by turns, each with its one client and connection.
func measure(ctx context.Context, f *fleet, g grid, callers, size int) (cells []cell, err error) {
	who := fast()
	clients, err := openAll(len(who), func(i int) (client, error) {
		return who[i].open(f.addrs(who[i].wire), options{patience: endless})
	})
	if err != nil {
		return nil, err
	}
	defer func() {
		for _, c := range clients {
			err = errors.Join(err, c.Close())
		}
	}()
	for i, c := range clients {
		wire, err := wireBytes(ctx, who[i], f.addrs(who[i].wire), callers, size, g.length/10)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", who[i].name, err)
		}
		cells = append(cells, cell{contender: who[i], wire: wire})
		if _, err := round(ctx, c, f, callers, size, g.length/10); err != nil { // to warm up
			return nil, fmt.Errorf("%s: %w", who[i].name, err)
		}
	}
	order := rand.New(rand.NewPCG(1, 1)) // in turns that change, so that none always comes after the same
	for range g.rounds {
		for _, i := range order.Perm(len(clients)) {
			s, err := round(ctx, clients[i], f, callers, size, g.length)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", cells[i].name, err)
			}
			cells[i].samples = append(cells[i].samples, s)
		}
	}
	return cells, nil
}

// round has the callers call until the time is over.
func round(ctx context.Context, c client, f *fleet, callers, size int, length time.Duration) (sample, error) {
	runtime.GC() // so that none pays for another's garbage
	server, err := f.procs[0].tell("cpu")
	if err != nil {
		return sample{}, err
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	cpu, began := processCPU(), time.Now()
	calls, err := drive(ctx, c, callers, size, length)
	wall := time.Since(began)
	cpu = processCPU() - cpu
	runtime.ReadMemStats(&after)
	serverAfter, tellErr := f.procs[0].tell("cpu")
	if err = errors.Join(err, tellErr); err != nil {
		return sample{}, err
	}
	n := float64(calls)
	return sample{
		wall: float64(wall) / n, client: float64(cpu) / n, server: float64(serverAfter-server) / n,
		allocs: float64(after.Mallocs-before.Mallocs) / n, bytes: float64(after.TotalAlloc-before.TotalAlloc) / n,
	}, nil
}

var errWrong = errors.New("wrong reply")

// drive returns the number of calls that the callers made in the time, or the first
// error or wrong reply. A caller makes one call at least.
func drive(ctx context.Context, c client, callers, size int, length time.Duration) (int64, error) {
	text := strings.Repeat("x", size)
	var (
		wg    sync.WaitGroup
		calls atomic.Int64
		over  atomic.Bool
		fail  = make(chan error, callers)
	)
	timer := time.AfterFunc(length, func() { over.Store(true) })
	defer timer.Stop()
	for i := range callers {
		wg.Go(func() {
			n := uint64(i) << 32
			defer func() { calls.Add(int64(n - uint64(i)<<32)) }()
			for first := true; (first || !over.Load()) && ctx.Err() == nil; first = false {
				in := Message{N: n, Text: text}
				out, err := c.call(ctx, echo, in)
				if err == nil && !echo.right(in, out) {
					err = errWrong
				}
				if err != nil {
					over.Store(true)
					fail <- err
					return
				}
				n++
			}
		})
	}
	wg.Wait()
	select {
	case err := <-fail:
		return 0, err
	default:
		return calls.Load(), ctx.Err()
	}
}

func counted(callers int) string {
	if callers == 1 {
		return "1 caller"
	}
	return fmt.Sprint(callers, " callers")
}

func speedTable(callers, size int, cells []cell) *table {
	t := &table{
		title: counted(callers) + ", " + sized(size),
		head:  []string{"", "ns/call", "time against net/rpc", "calls/s", "wire bytes", "client CPU ns", "server CPU ns", "client allocs", "client bytes"},
	}
	for _, c := range cells {
		wall := c.median(wallOf)
		t.add(c.name, number(wall), ratio(c.against(cells[0])), number(1e9/wall), number(c.wire),
			number(c.median(func(s sample) float64 { return s.client })), number(c.median(func(s sample) float64 { return s.server })),
			number(c.median(func(s sample) float64 { return s.allocs })), number(c.median(func(s sample) float64 { return s.bytes })))
	}
	return t
}
