package browser_test

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx"
	"resilientrpc/rpcx/internal/leak"
)

// A thousand endpoints, whose frames come twice a second, are scrolled through.
func TestPageWithAThousandEndpoints(t *testing.T) {
	b := newTab(t)
	leak.Check(t)
	m := newMemory(t)
	var addrs []string
	for i := range 1000 {
		addrs = append(addrs, fmt.Sprintf("replica-%d.example:7000", i))
	}
	client := m.client(t, 5*time.Second, addrs...)
	done := make(chan struct{})
	var callers sync.WaitGroup
	defer func() { close(done); callers.Wait() }()
	for range 2 {
		callers.Go(func() {
			for {
				select {
				case <-done:
					return
				case <-time.After(time.Millisecond):
					client.Call("Clerk.Echo", "", new(string)) //nolint:errcheck // it is for the charts
				}
			}
		})
	}
	for _, i := range []int{7, 400, 993} {
		m.fail(addrs[i], "no route to host")
	}
	url, _ := serve(t, &rpcx.DebugHandler{Clients: map[string]*rpcx.Client{"many": client}})
	b.open(url)
	b.when(`document.querySelector("#table").getAttribute("aria-rowcount") === "1001"`)
	b.when(`document.title.startsWith("3 down")`)
	names := func() []string {
		return eval[[]string](b, `[...document.querySelectorAll("#rows .row")].sort((a, b) => a.ariaRowIndex - b.ariaRowIndex).map((r) => r.querySelector(".name").textContent)`)
	}
	require.Equal(t, addrs[:3], names()[:3], "what is wrong does not change the order")
	b.exec(`document.querySelector(".heads .state button").click()`)
	require.Eventually(t, func() bool {
		return slices.Equal([]string{addrs[7], addrs[400], addrs[993]}, names()[:3])
	}, 10*time.Second, 50*time.Millisecond, "unless the user asks for it: then what is wrong comes first")

	frames := eval[[]float64](b, `new Promise((done) => {
		const times = [], start = performance.now();
		let last = start;
		const frame = (now) => {
			times.push(now - last);
			last = now;
			scrollBy(0, scrollY + innerHeight >= document.documentElement.scrollHeight - 10 ? -scrollY : 60);
			if (now - start < 4000) requestAnimationFrame(frame); else done(times.slice(1));
		};
		requestAnimationFrame(frame);
	})`)
	slices.Sort(frames)
	median, p95 := frames[len(frames)/2], frames[len(frames)*95/100]
	t.Logf("%d frames in 4 s while scrolling: median %.1f ms, p95 %.1f ms, worst %.1f ms", len(frames), median, p95, frames[len(frames)-1])
	require.Less(t, median, 2000.0, "it stands still")
	require.Less(t, eval[int](b, `document.querySelectorAll("#rows .row").length`), 60, "only what is on the screen is drawn")
	b.shot("thousand-light")

	// The keyboard.
	b.exec(`scrollTo(0, 0)`)
	b.press("/", "/")
	b.do(chromedp.KeyEvent("replica-99"))
	b.when(`document.querySelector("#table").getAttribute("aria-rowcount") === "12"`)
	require.Equal(t, addrs[993], names()[0])
	b.do(chromedp.KeyEvent(kb.ArrowDown), chromedp.KeyEvent(kb.ArrowDown))
	require.Equal(t, addrs[99], eval[string](b, `document.activeElement.querySelector(".name").textContent`))
	b.do(chromedp.KeyEvent(kb.Enter))
	b.when(`document.querySelector("#detail-title").textContent === %q && !document.querySelector("#detail").hidden`, addrs[99])
	b.do(chromedp.KeyEvent(kb.Escape))
	b.when(`document.querySelector("#detail").hidden`)
	b.press("/", "/")
	b.do(chromedp.KeyEvent(kb.Escape))
	b.when(`document.querySelector("#table").getAttribute("aria-rowcount") === "1001"`)
	b.exec(`document.querySelector("#rows").focus()`)
	b.do(chromedp.KeyEvent(kb.End))
	b.when(`document.activeElement.querySelector?.(".name")?.textContent === %q`, addrs[999])
	require.True(t, eval[bool](b, `(() => { const r = document.activeElement.getBoundingClientRect(); return r.top >= 0 && r.bottom <= innerHeight + 1 })()`), "it is on the screen")
	b.do(chromedp.KeyEvent(kb.Home))
	b.when(`document.activeElement.querySelector?.(".name")?.textContent === %q`, addrs[7])
	b.exec(`document.querySelector(".heads .address button, .heads .name button").click()`)
	b.when(`document.querySelector(".heads .name").getAttribute("aria-sort") === "ascending"`)
	b.exec(`scrollTo(0, 0)`)
	b.when(`[...document.querySelectorAll("#rows .row")].find((r) => r.ariaRowIndex === "2").querySelector(".name").textContent === %q`, addrs[0])
	b.exec(`[...document.querySelectorAll("#states button")].find((s) => s.dataset.group === "down").click()`)
	b.when(`Number(document.querySelector("#table").getAttribute("aria-rowcount")) <= 4`)
}

// What comes from the wire, or from a resolver, is text whatever it looks like.
func TestPageShowsTextAsText(t *testing.T) {
	t.Parallel()
	b := newTab(t)
	const script, image = `<script>window.hacked=1</script>`, `<img src=x onerror="window.hacked=2">`
	m := newMemory(t)
	client := m.client(t, 0, script, image, "c:1")
	url, _ := serve(t, &rpcx.DebugHandler{Clients: map[string]*rpcx.Client{image: client, "{{script}}": client}})
	b.open(url)
	m.fail(script, image)
	b.when(`document.querySelector("#rows")?.textContent.includes(%q)`, image)
	b.when(inState, script, "open half-open")
	b.when(`document.querySelector("#events").textContent.includes(%q)`, script)
	b.exec(`[...document.querySelectorAll("#rows .row")].find((r) => r.textContent.includes(%q)).click()`, script)
	b.when(`document.querySelector("#detail").textContent.includes("<b>1</b>")`)
	require.Equal(t, script, eval[string](b, `document.querySelector("#detail-title").textContent`))
	b.exec(`document.querySelectorAll("#clients button")[1].click()`)
	b.when(`document.title.includes("{{script}}")`)
	require.Equal(t, "undefined", eval[string](b, `typeof window.hacked`))
	require.Zero(t, eval[int](b, `document.querySelectorAll("body img, body b b, main script").length`))
	b.shot("text-light")
}

// Whoever knows the token can act; the page asks for it once.
func TestPageControls(t *testing.T) {
	t.Parallel()
	b := newTab(t)
	client := newMemory(t).client(t, 0, "a:1", "b:1", "c:1")
	url, _ := serve(t, &rpcx.DebugHandler{Clients: map[string]*rpcx.Client{"clerk": client}, Token: "sesame"})
	b.open(url)
	b.when(inState, "b:1", "closed")
	b.exec(`[...document.querySelectorAll("#rows .row")].find((r) => r.textContent.includes("b:1")).click()`)
	press := func(action string) {
		b.when(`!document.querySelector("#controls").hidden`)
		b.exec(`document.querySelector("#controls [data-action=%s]").click()`, action)
		b.when(`document.querySelector("#ask").open`)
	}
	press("drain")
	b.do(chromedp.KeyEvent("open" + kb.Enter))
	b.when(`document.querySelector("#ask-error").textContent === "the token is wrong or missing"`)
	b.shot("token-light")
	b.exec(`document.querySelector("#ask input").focus()`)
	b.do(chromedp.KeyEvent("sesame" + kb.Enter))
	b.when(inState, "b:1", "forced-open")
	b.when(`!document.querySelector("#ask").open`)
	b.when(`document.querySelector("#events").textContent.includes("was drained by hand, from 127.0.0.1")`)
	b.shot("drained-light")
	press("reset")
	require.True(t, eval[bool](b, `document.querySelector("#ask-token").hidden`), "it is asked for once")
	b.do(chromedp.KeyEvent(kb.Enter))
	b.when(inState, "b:1", "closed")
	press("trip")
	b.do(chromedp.KeyEvent(kb.Enter))
	b.when(inState, "b:1", "open")
	require.Empty(t, eval[string](b, `Object.values(sessionStorage).concat(Object.values(localStorage), document.cookie).join()`), "no token is kept")
}

// A page whose server goes says since when, and is live again when it is back.
func TestPageReconnects(t *testing.T) {
	t.Parallel()
	b := newTab(t)
	client := newMemory(t).client(t, 0, "a:1", "b:1")
	h := &rpcx.DebugHandler{Clients: map[string]*rpcx.Client{"clerk": client}}
	url, srv := serve(t, h)
	b.open(url)
	b.when(`document.querySelector("#link").textContent.trim() === "live"`)
	require.True(t, eval[bool](b, `document.querySelector("#controls").hidden`), "there is no token")
	addr := url[len("http://") : len(url)-len("/debug/rpcx")]
	require.NoError(t, srv.Shutdown(t.Context()), "an open page does not hold it up")
	b.when(`/connection lost since \d+:\d\d:\d\d/.test(document.querySelector("#link").textContent)`)
	b.shot("lost-light")
	serveAt(t, addr, h)
	b.when(`document.querySelector("#link").textContent.trim() === "live"`)
	require.NoError(t, client.Close())
	b.when(`document.querySelector("#clients").textContent.includes("clerk (closed)")`)
	b.shot("closed-light")
}

// A stream that cannot be had is no reason to be blind.
func TestPagePollsWithoutStream(t *testing.T) {
	t.Parallel()
	b := newTab(t)
	client := newMemory(t).client(t, 0, "a:1")
	h := &rpcx.DebugHandler{Clients: map[string]*rpcx.Client{"clerk": client}}
	url, _ := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("format") == "stream" {
			http.Error(w, "no streams here", http.StatusServiceUnavailable)
			return
		}
		h.ServeHTTP(w, r)
	}))
	b.open(url)
	b.when(`document.querySelector("#link").textContent.trim() === "live, by polling"`)
	b.when(inState, "a:1", "closed")
}
