package rpcx_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/rpc"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx"
)

// everyHook is a trace in which every hook calls f with its name. It knows no
// hook, so that it knows those to come.
func everyHook(f func(name string)) *rpcx.ClientTrace {
	trace := new(rpcx.ClientTrace)
	v := reflect.ValueOf(trace).Elem()
	for i := range v.NumField() {
		hook, name := v.Field(i).Type(), v.Type().Field(i).Name
		v.Field(i).Set(reflect.MakeFunc(hook, func(args []reflect.Value) []reflect.Value {
			f(name)
			return args[:hook.NumOut()] // the context, if it returns one
		}))
	}
	return trace
}

func hookNames() []string {
	var names []string
	for _, f := range reflect.VisibleFields(reflect.TypeFor[rpcx.ClientTrace]()) {
		names = append(names, f.Name)
	}
	return names
}

// everything makes everything happen that a hook tells of, to clients with the given
// options: each event in a bubble of its own, since the race detector bears only so many
// timers in one.
func everything(t *testing.T, set func(*rpcx.Dialer)) {
	for _, event := range []func(*testing.T, *fleet){outage, resolution, hedge, hangUp, grayFailure, spentBudget, lostAnswer} {
		inFleet(t, 2, func(t *testing.T, f *fleet) {
			set(&f.dialer)
			event(t, f)
			synctest.Wait()
		})
	}
}

// outage has pings, suspicion, retries, and a return.
func outage(t *testing.T, f *fleet) {
	c := f.dial()
	where(t, c, 10)
	time.Sleep(5 * time.Second) // pings
	f.Stall("a:1")
	time.Sleep(5 * time.Second) // suspicion
	f.Resume("a:1")
	for _, a := range f.addrs {
		f.kill(a)
	}
	for range 10 { // retries
		require.ErrorIs(t, c.Call("Bank.Where", struct{}{}, new(string)), rpcx.ErrUnavailable)
	}
	for _, a := range f.addrs {
		f.Resume(a)
	}
	time.Sleep(time.Minute)
	where(t, c, 10)
	require.NoError(t, c.Close())
}

func resolution(t *testing.T, f *fleet) {
	f.dialer.Resolver = rpcx.Static(rpcx.Endpoint{Address: f.addrs[0]})
	c, err := f.dialer.Dial("tcp")
	require.NoError(t, err)
	require.NoError(t, c.Close())
}

func hedge(t *testing.T, f *fleet) {
	f.dialer.Hedge = &rpcx.Hedge{Delay: time.Second}
	c := f.dial()
	synctest.Wait()
	require.NoError(t, c.CallContext(rpcx.WithIdempotent(t.Context()), "Bank.Sleep", 2*time.Second, new(string)))
	time.Sleep(10 * time.Second)
	require.NoError(t, c.Close())
}

// hangUp has a server that hangs up behind pings.
func hangUp(t *testing.T, f *fleet) {
	f.serve = oneByOne
	f.start("once:1")
	c, err := f.dialer.Dial("tcp", "once:1")
	require.NoError(t, err)
	time.Sleep(10 * time.Second)
	require.NoError(t, c.Close())
}

// lostAnswer has a server that keeps answers, and a connection that breaks.
func lostAnswer(t *testing.T, f *fleet) {
	server := rpc.NewServer()
	require.NoError(t, server.RegisterName("Bank", &Bank{name: "keeps:1", ledger: f.ledger}))
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	lis := f.Listen("keeps:1")
	go func() { ended <- rpcx.Serve(ctx, lis, server, nil) }()
	c, err := f.dialer.Dial("tcp", "keeps:1")
	require.NoError(t, err)
	require.NoError(t, c.Call("Bank.Where", struct{}{}, new(string)))
	time.AfterFunc(time.Second, func() { f.Cut("keeps:1") })
	require.NoError(t, c.Call("Bank.Sleep", 2*time.Second, new(string)))
	require.NoError(t, c.Close())
	stop()
	require.NoError(t, <-ended)
}

func grayFailure(t *testing.T, f *fleet) {
	f.dialer.Breaker.Disabled = true
	c, err := f.dialer.Dial("tcp", f.addrs[0])
	require.NoError(t, err)
	for range 70 {
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		require.ErrorIs(t, c.CallContext(ctx, "Bank.Sleep", time.Hour, new(string)), context.DeadlineExceeded)
		cancel()
	}
	require.NoError(t, c.Close())
}

// spentBudget has repetitions until the retry budget is spent.
func spentBudget(t *testing.T, f *fleet) {
	f.dialer.Breaker.Disabled = true
	f.dialer.Retry.Budget = 1e-3
	c := f.dial()
	for range 15 {
		time.AfterFunc(time.Second, func() {
			for _, a := range f.addrs {
				f.Cut(a)
			}
		})
		c.CallContext(rpcx.WithIdempotent(t.Context()), "Bank.Sleep", 2*time.Second, new(string)) //nolint:errcheck // the last ones fail
	}
	require.NoError(t, c.Close())
}

func TestEveryHookIsCalled(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex // protects following
	seen := make(map[string]bool)
	trace := everyHook(func(name string) {
		mu.Lock()
		defer mu.Unlock()
		seen[name] = true
	})
	everything(t, func(d *rpcx.Dialer) { d.Trace = trace })
	for _, name := range hookNames() {
		require.True(t, seen[name], name)
	}
}

// A hook that panics costs its client nothing, and is logged once.
func TestPanickingHooksAreStopped(t *testing.T) {
	t.Parallel()
	var log lines
	everything(t, func(d *rpcx.Dialer) {
		d.Logger = slog.New(slog.NewTextHandler(&log, nil))
		d.Trace = everyHook(func(name string) { panic("from " + name) })
	})
	for _, name := range hookNames() {
		told := log.with(`panic="from ` + name + `"`)
		require.NotEmpty(t, told, name)
		require.LessOrEqual(t, len(told), 7, "once for each of seven clients")
	}
}

// A panic in the logger itself has nowhere to go.
func TestPanickingLoggerIsStopped(t *testing.T) {
	t.Parallel()
	everything(t, func(d *rpcx.Dialer) {
		d.Logger = slog.New(slog.NewTextHandler(new(lines), &slog.HandlerOptions{
			Level:       slog.LevelDebug,
			ReplaceAttr: func([]string, slog.Attr) slog.Attr { panic("in the log") },
		}))
	})
}

// Hooks hold up no other call and may call the client: in virtual time, a lock that is
// held would stop the clock for good.
func TestHooksMayCallTheClient(t *testing.T) {
	t.Parallel()
	inFleet(t, 2, func(t *testing.T, f *fleet) {
		var mu sync.Mutex // protects following
		var c *rpcx.Client
		f.dialer.Trace = everyHook(func(name string) {
			mu.Lock()
			client := c
			mu.Unlock()
			if client == nil || strings.HasPrefix(name, "Call") || strings.HasPrefix(name, "Attempt") ||
				slices.Contains([]string{"Pick", "Retry", "BudgetExhausted"}, name) {
				return // what calls do would call for ever
			}
			client.Stats()
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			client.CallContext(ctx, "Bank.Where", struct{}{}, new(string)) //nolint:errcheck // that it returns is all
		})
		client := f.dial()
		mu.Lock()
		c = client
		mu.Unlock()
		where(t, client, 10)
		for _, a := range f.addrs {
			f.Stall(a)
			time.Sleep(5 * time.Second)
			f.Resume(a)
			f.kill(a)
			time.Sleep(5 * time.Second)
			f.Resume(a)
			time.Sleep(time.Minute)
		}
		require.Len(t, where(t, client, 100), 2)
		require.NoError(t, client.Close())
	})
}

// The story of a call: what hooks a call that moves on and waits runs, in order, and
// what contexts they get.
func TestHooksOfACallInOrder(t *testing.T) {
	t.Parallel()
	type key string
	inFleet(t, 2, func(t *testing.T, f *fleet) {
		var story []string
		tell := func(ctx context.Context, format string, args ...any) {
			call, attempt := ctx.Value(key("call")), ctx.Value(key("attempt"))
			story = append(story, fmt.Sprintf(format, args...)+fmt.Sprintf(" [%v %v %v]", ctx.Value(key("user")), call, attempt))
		}
		var first string
		name := func(addr string) string {
			if addr == first {
				return "here"
			}
			return "there"
		}
		f.dialer.Trace = &rpcx.ClientTrace{
			CallStart: func(ctx context.Context, i rpcx.CallInfo) context.Context {
				tell(ctx, "call")
				return context.WithValue(ctx, key("call"), i.Method)
			},
			CallDone: func(ctx context.Context, i rpcx.CallInfo) {
				tell(ctx, "call done %d %v", i.Attempts, i.Err)
			},
			Pick: func(ctx context.Context, i rpcx.PickInfo) {
				if first == "" {
					first = i.Endpoint
				}
				tell(ctx, "pick %d %s", i.Attempt, name(i.Endpoint))
			},
			AttemptStart: func(ctx context.Context, i rpcx.AttemptInfo) context.Context {
				tell(ctx, "attempt %d %s", i.Attempt, name(i.Endpoint))
				return context.WithValue(ctx, key("attempt"), i.Attempt)
			},
			AttemptDone: func(ctx context.Context, i rpcx.AttemptInfo) {
				tell(ctx, "attempt done %d %s %v %v", i.Attempt, name(i.Endpoint), i.Sent, i.Err != nil)
			},
			Retry: func(ctx context.Context, i rpcx.RetryInfo) { tell(ctx, "retry %d %v", i.Attempt, i.Wait > 0) },
		}
		c := f.dial()
		synctest.Wait()
		time.AfterFunc(500*time.Millisecond, func() { f.Refuse(first); f.Cut(first) })
		ctx := rpcx.WithIdempotent(context.WithValue(t.Context(), key("user"), "me"))
		require.NoError(t, c.CallContext(ctx, "Bank.Sleep", time.Second, new(string)))
		require.NoError(t, c.Close())
		require.Equal(t, []string{
			"call [me <nil> <nil>]",
			"pick 1 here [me Bank.Sleep <nil>]",
			"attempt 1 here [me Bank.Sleep <nil>]",
			"attempt done 1 here maybe true [me Bank.Sleep 1]",
			"retry 1 true [me Bank.Sleep <nil>]",
			"pick 2 there [me Bank.Sleep <nil>]",
			"attempt 2 there [me Bank.Sleep <nil>]",
			"attempt done 2 there no false [me Bank.Sleep 2]",
			"call done 2 <nil> [me Bank.Sleep <nil>]",
		}, story)
	})
}

func TestJoinedHooks(t *testing.T) {
	var story []string
	first := everyHook(func(name string) { story = append(story, "first "+name); panic(name) })
	second := everyHook(func(name string) { story = append(story, "second "+name) })
	all := reflect.ValueOf(first.Join(second)).Elem()
	var none *rpcx.ClientTrace
	for i := range all.NumField() {
		story = nil
		hook, name := all.Field(i), all.Type().Field(i).Name
		var args []reflect.Value
		for j := range hook.Type().NumIn() {
			args = append(args, reflect.Zero(hook.Type().In(j)))
		}
		require.PanicsWithValue(t, name, func() { hook.Call(args) }, "the guard around the joined hooks gets the panic")
		require.Equal(t, []string{"first " + name, "second " + name}, story)
		for _, one := range []*rpcx.ClientTrace{first.Join(nil), none.Join(first), first.Join(&rpcx.ClientTrace{})} {
			require.Equal(t, reflect.ValueOf(first).Elem().Field(i).Pointer(), reflect.ValueOf(one).Elem().Field(i).Pointer(), name)
		}
	}
	require.Zero(t, *none.Join(nil))

	type key string
	add := func(k key) *rpcx.ClientTrace {
		return &rpcx.ClientTrace{CallStart: func(ctx context.Context, i rpcx.CallInfo) context.Context {
			return context.WithValue(ctx, k, i.Method)
		}}
	}
	ctx := add("a").Join(add("b")).CallStart(t.Context(), rpcx.CallInfo{Method: "m"})
	require.Equal(t, "m", ctx.Value(key("a")))
	require.Equal(t, "m", ctx.Value(key("b")))
}
