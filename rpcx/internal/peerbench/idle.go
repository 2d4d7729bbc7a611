package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"time"
)

// An idler is what an endpoint costs that is connected and not used. It is measured
// in a process of its own, where nothing else comes and goes.
type idler struct {
	Endpoints  int
	Heap       float64 // bytes, for each
	Stacks     float64 // bytes, for each
	Goroutines float64 // for each
}

// idleEnv is the variable that makes this program measure an idler, and idleOrder
// what it holds.
const idleEnv = "PEERBENCH_IDLE"

type idleOrder struct {
	Contender string
	Addrs     []string
	Clients   int
}

// runIdle prints what idle endpoints cost.
func runIdle(ctx context.Context, out *output) error {
	clients := 100
	if out.quick {
		clients = 20
	}
	fmt.Fprintf(out, "\n== Idle: %d clients of each contender, each connected to all replicas that it uses, of three; in the client's process ==\n", clients)
	f, err := startFleet(3)
	if err != nil {
		return err
	}
	defer f.Close()
	t := &table{title: "for each endpoint", head: []string{"", "heap, bytes", "stacks, bytes", "goroutines"}}
	chart := newChart("An idle endpoint", "KiB of heap and stacks")
	chart.groups = []string{""}
	idlers := make([]idler, len(contenders))
	errs := make([]error, len(contenders))
	var wg sync.WaitGroup
	slots := make(chan struct{}, runtime.NumCPU())
	for i, c := range contenders { // side by side, for they are not timed
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			idlers[i], errs[i] = idleElsewhere(ctx, idleOrder{c.name, f.addrs(c.wire), clients})
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	for n, c := range contenders {
		i := idlers[n]
		t.add(c.name, number(i.Heap), number(i.Stacks), fmt.Sprintf("%.1f", i.Goroutines))
		chart.add(c.name, (i.Heap+i.Stacks)/(1<<10))
	}
	t.print(out)
	out.report["idle"] = t.markdown()
	return chart.save(out.plots, "idle")
}

// idleElsewhere has the order carried out by a process of its own.
func idleElsewhere(ctx context.Context, o idleOrder) (i idler, err error) {
	exe, err := os.Executable()
	if err != nil {
		return i, err
	}
	order, err := json.Marshal(o)
	if err != nil {
		return i, err
	}
	cmd := exec.CommandContext(ctx, exe)
	cmd.Env = append(os.Environ(), idleEnv+"="+string(order))
	cmd.Stderr = os.Stderr
	answer, err := cmd.Output()
	if err != nil {
		return i, fmt.Errorf("%s: %w", o.Contender, err)
	}
	return i, json.Unmarshal(answer, &i)
}

// idleChild carries out the order in this process.
func idleChild(order string) error {
	var o idleOrder
	if err := json.Unmarshal([]byte(order), &o); err != nil {
		return err
	}
	i, err := idle(find(o.Contender), o.Addrs, o.Clients)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(i)
}

// idle opens clients and lets them be.
func idle(c contender, addrs []string, clients int) (_ idler, err error) {
	warm, err := c.open(addrs, options{}) // for what packages keep for good
	if err != nil {
		return idler{}, err
	}
	defer warm.Close() // it is there before and after
	var before, after runtime.MemStats
	settle(&before)
	goroutines := runtime.NumGoroutine()
	all, err := openAll(clients, func(int) (client, error) { return c.open(addrs, options{}) })
	if err != nil {
		return idler{}, err
	}
	defer func() {
		for _, client := range all {
			err = errors.Join(err, client.Close())
		}
	}()
	settle(&after)
	i := idler{Endpoints: clients * len(addrs)}
	if c.alone || c.sticks {
		i.Endpoints = clients
	}
	n := float64(i.Endpoints)
	i.Heap = (float64(after.HeapAlloc) - float64(before.HeapAlloc)) / n
	i.Stacks = (float64(after.StackInuse) - float64(before.StackInuse)) / n
	i.Goroutines = float64(runtime.NumGoroutine()-goroutines) / n
	return i, nil
}

// settle reads the statistics once what was begun has ended and there is no garbage;
// finalizers take a second collection, and pools a third.
func settle(m *runtime.MemStats) {
	time.Sleep(300 * time.Millisecond) // real connections take real time
	for range 3 {
		runtime.GC()
	}
	runtime.ReadMemStats(m)
}
