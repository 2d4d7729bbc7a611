package browser_test

import (
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/breaker"
	"resilientrpc/rpcx"
	"resilientrpc/rpcx/internal/chaos"
)

// load calls the client until the function that it returns is called.
func load(t *testing.T, c *rpcx.Client, callers int) (stop func()) {
	done := make(chan struct{})
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			for id := uint64(2 + i); ; id += 101 { // none that the method refuses
				select {
				case <-done:
					return
				case <-time.After(4 * time.Millisecond):
				}
				var reply chaos.Slip
				if err := c.Call("Vault.Peek", chaos.NewSlip(id), &reply); err != nil || reply != chaos.NewSlip(id) {
					t.Errorf("call %d: %v", id, err)
					return
				}
			}
		})
	}
	return sync.OnceFunc(func() { close(done); wg.Wait() })
}

// knowledge is when a client has learned of the states of its endpoints.
type knowledge struct {
	mu sync.Mutex // protects following
	at map[string]time.Time
}

func (k *knowledge) trace() *rpcx.ClientTrace {
	k.at = make(map[string]time.Time)
	return &rpcx.ClientTrace{BreakerChanged: func(i rpcx.BreakerInfo) {
		k.mu.Lock()
		defer k.mu.Unlock()
		if i.To != breaker.Open || i.From == breaker.Closed { // not that it is still so
			k.at[i.Endpoint+" "+i.To.String()] = time.Now()
		}
	}}
}

func (k *knowledge) of(addr, state string) time.Time {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.at[addr+" "+state]
}

// inState is an expression: the row of an endpoint shows one of these states.
const inState = `[...document.querySelectorAll("#rows .row")].some((r) => r.querySelector(".name").textContent === %q && %q.split(" ").includes(r.dataset.state))`

// Real processes are killed, frozen, and brought back, and the page says so.
func TestPageFollowsRealProcesses(t *testing.T) {
	t.Parallel()
	b := newTab(t)
	var servers []*chaos.Server
	var addrs []string
	for range 4 {
		s := chaos.StartServer(t, "127.0.0.1")
		servers, addrs = append(servers, s), append(addrs, s.Addr)
	}
	slices.SortFunc(servers, func(a, b *chaos.Server) int { return strings.Compare(a.Addr, b.Addr) })
	var known knowledge
	d := rpcx.Dialer{Trace: known.trace(), Methods: map[string]rpcx.MethodOptions{"*": {Idempotent: rpcx.Yes}}}
	client, err := d.Dial("tcp", addrs...)
	require.NoError(t, err)
	defer client.Close()
	defer load(t, client, 4)()
	url, _ := serve(t, &rpcx.DebugHandler{Clients: map[string]*rpcx.Client{"vault": client}})
	b.open(url)
	for _, s := range servers {
		b.when(inState, s.Addr, "closed")
	}
	killed, frozen := servers[1], servers[2]
	if *picture != "" {
		eventfulMinutes(servers[0], servers[3])
	}

	report := func(what string, s *chaos.Server, since time.Time, states, state string) {
		t.Helper()
		seen, learned := b.when(inState, s.Addr, states), known.of(s.Addr, state)
		require.False(t, learned.IsZero(), "%s: the client knows", what)
		t.Logf("%s: the page shows it %v after the fact and %v after the client knew", what,
			seen.Sub(since).Round(time.Millisecond), seen.Sub(learned).Round(time.Millisecond))
	}
	at := time.Now()
	frozen.Freeze()
	defer frozen.Thaw()
	report("frozen", frozen, at, "open half-open", "open")
	at = time.Now()
	killed.Kill()
	report("killed", killed, at, "open half-open", "open")
	b.when(`document.querySelector("#events").textContent.includes("does not respond: silent for")`)
	b.when(`document.querySelector("#events").textContent.includes("connection refused")`)
	b.when(`document.title.startsWith("2 down")`)
	if *picture != "" {
		b.paint(*picture)
	}
	b.size(1280, 800, "light")
	b.looks("faults")

	at = time.Now()
	frozen.Thaw()
	report("thawed", frozen, at, "closed", "closed")
	at = time.Now()
	killed.Start()
	report("restarted", killed, at, "closed", "closed")
	b.when(`document.querySelector("#events").textContent.includes("takes calls again")`)
	b.shot("recovered-light")
}

// eventfulMinutes is what a picture needs: a past.
func eventfulMinutes(a, b *chaos.Server) {
	for _, step := range []func(){func() {}, a.Freeze, a.Thaw, func() {}, b.Kill, b.Start, func() {}} {
		step()
		time.Sleep(14 * time.Second) // in real processes, and for their charts
	}
}

// paint keeps the README's pictures: on a desktop, light, and on a phone, dark.
func (b *tab) paint(file string) {
	b.t.Helper()
	time.Sleep(6 * time.Second) // until the shares have followed
	keep := func(file string) {
		png := b.shot("picture")
		require.NoError(b.t, os.WriteFile(file, png, 0o644))
		require.Less(b.t, len(png), 150_000, "it is in every clone")
	}
	b.do(size(1280, 640, 1, "light"))
	keep(file)
	b.do(size(390, 844, 1, "dark"))
	keep(strings.TrimSuffix(file, ".png") + "-phone.png")
}

// looks keeps pictures of the page as it is: light, dark, and on a phone, where
// nothing may stand out at the side.
func (b *tab) looks(name string) {
	b.t.Helper()
	for _, scheme := range []string{"light", "dark"} {
		b.size(1280, 800, scheme)
		b.shot(name + "-" + scheme)
		for _, width := range []int64{390, 320} {
			b.size(width, 844, scheme)
			require.LessOrEqual(b.t, eval[int64](b, `document.documentElement.scrollWidth`), width, "the page scrolls sideways")
		}
		b.size(390, 844, scheme)
		b.shot(name + "-phone-" + scheme)
	}
	b.size(1280, 800, "light")
	b.exec(`document.querySelector("#rows .row").click()`)
	b.when(`!document.querySelector("#detail").hidden`)
	b.shot(name + "-detail-light")
	b.size(390, 844, "dark")
	b.shot(name + "-detail-phone-dark")
	b.exec(`document.querySelector("#close").click()`)
	b.size(1280, 800, "light")
}
