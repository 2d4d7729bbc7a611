package browser_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx"
)

// script is a page of a client that there is not: its frames are made up.
type script struct {
	frames func(n int) map[string]any // the nth frame, from 0
	page   rpcx.DebugHandler
}

// ServeHTTP streams the frames, without end.
func (s *script) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Get("format") != "stream" {
		s.page.ServeHTTP(w, r)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for n := 0; ; n++ {
		text, err := json.Marshal(s.frames(n))
		if err != nil {
			panic(err)
		}
		if _, err := fmt.Fprintf(w, "data: %s\n\n", text); err != nil {
			return
		}
		if http.NewResponseController(w).Flush() != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-tick.C:
		}
	}
}

// ms is a duration as the page gets it.
func ms(n float64) int64 { return int64(n * 1e6) }

// endpoint is an endpoint of a frame, and what differs from one without any calls.
func endpoint(address, state string, differs map[string]any) map[string]any {
	e := map[string]any{
		"Address": address, "State": state, "Since": time.Now().Add(-10 * time.Second), "Phi": 0.0, "P50": ms(1.6), "P95": ms(2.6), "P99": ms(4.2),
		"Conns": 1, "Connected": true, "InFlight": 0, "Picks": 0, "BytesRead": 0, "BytesWritten": 0, "ServerRunning": -1, "Trips": 0,
		"Window": map[string]any{"Calls": 0, "Failures": 0, "Length": ms(10_000)},
	}
	for name, v := range differs {
		e[name] = v
	}
	return e
}

// frameOf is a whole frame of one client.
func frameOf(n int, events []map[string]any, endpoints ...map[string]any) map[string]any {
	for i, e := range events {
		e["Seq"] = i + 1
	}
	return map[string]any{"At": time.Now(), "Whole": n == 0, "Controls": true, "Clients": []any{map[string]any{
		"Name": "vault", "PhiThreshold": 8, "Events": events,
		"Stats": map[string]any{"Calls": 123456 * (n + 1), "Failures": n * 1234, "Retries": 5, "Hedges": 7, "InFlight": 123456, "Budget": 1000.5, "Listed": 1000, "Endpoints": endpoints},
	}}}
}

// overlaps is an expression: the pairs of texts on the page that cover each other. What is
// cut off where a box ends covers nothing.
const overlaps = `(() => {
	const cut = (box, e) => {
		for (; e && e !== document.body; e = e.parentElement) {
			const style = getComputedStyle(e);
			if (style.overflow !== "visible" || style.contain.includes("paint") || style.contain === "strict") {
				const b = e.getBoundingClientRect();
				box = {left: Math.max(box.left, b.left), right: Math.min(box.right, b.right), top: Math.max(box.top, b.top), bottom: Math.min(box.bottom, b.bottom)};
			}
		}
		return box;
	};
	const all = [], walk = document.createTreeWalker(document.querySelector(%q), NodeFilter.SHOW_TEXT);
	for (let node = walk.nextNode(); node; node = walk.nextNode()) {
		const e = node.parentElement;
		if (!node.data.trim() || e.closest("svg, .hidden, [hidden]") || !e.checkVisibility()) continue;
		const range = document.createRange();
		range.selectNodeContents(node);
		for (const r of range.getClientRects()) {
			const box = cut(r, e);
			if (box.right - box.left > 1 && box.bottom - box.top > 1) all.push({text: node.data.trim(), box, e});
		}
	}
	const found = [];
	all.forEach((a, i) => all.slice(i + 1).forEach((b) => {
		const x = Math.min(a.box.right, b.box.right) - Math.max(a.box.left, b.box.left);
		const y = Math.min(a.box.bottom, b.box.bottom) - Math.max(a.box.top, b.box.top);
		if (a.e !== b.e && x > 1 && y > 3) found.push(a.text + " | " + b.text);
	}));
	for (const {text, box} of all) if (box.left < 0 || box.right > innerWidth) found.push(text + " | the window's edge");
	return found;
})()`

// Whatever an endpoint's figures are, nothing covers anything else, on any screen.
func TestPageHasRoomForEveryFigure(t *testing.T) {
	t.Parallel()
	b := newTab(t)
	long := time.Now().Add(-14*time.Hour - 32*time.Minute)
	cause := "the probe failed (first opened: tls: failed to verify certificate: x509: certificate is valid for calc-1.example.internal, not calc-2.example.internal)"
	url, _ := serve(t, &script{frames: func(n int) map[string]any {
		return frameOf(n, []map[string]any{
			{"Rev": 1, "At": long, "Kind": "breaker", "Level": "bad", "Endpoint": "[2001:db8:1234:5678:9abc:def0:1234:5678]:65535", "State": "open", "Text": "takes no calls: tls: failed to verify certificate: x509: certificate is valid for calc-1.example.internal", "Again": 10_468, "Last": time.Now()},
		},
			endpoint("[2001:db8:1234:5678:9abc:def0:1234:5678]:65535", "open", map[string]any{"DownSince": long, "Cause": cause, "RetryAfter": ms(4700)}),
			endpoint("calc-2.calculators.production.svc.cluster.local:7001", "closed", map[string]any{"Since": long, "Phi": 7.96, "Suspect": true, "P50": ms(123), "P95": ms(4567), "P99": ms(9876), "InFlight": 123456, "Conns": 16, "Picks": 98765 * n, "BytesRead": 987654321 * n, "BytesWritten": 987654321 * n, "ServerRunning": 123456}),
			endpoint("c:1", "half-open", map[string]any{"DownSince": time.Now().Add(-99 * time.Minute), "Cause": "connection refused"}),
			endpoint("d:1", "forced-open", map[string]any{"Since": long, "DownSince": long}),
			endpoint("e:1", "closed", map[string]any{"Since": time.Now().Add(-99 * time.Second), "Window": map[string]any{"Calls": 123456, "Failures": 99999, "Length": ms(10_000)}}),
		)
	}})
	b.open(url)
	b.when(inState, "e:1", "closed")
	b.when(`document.querySelectorAll("#rows .row").length === 5 && document.querySelector("#events").textContent.includes("probes failed")`)
	for _, width := range []int64{1280, 1100, 900, 700, 390, 320} {
		b.size(width, 1600, "light")
		require.Empty(t, eval[[]string](b, overlaps, "body"), "at %d px", width)
		require.LessOrEqual(t, eval[int64](b, `document.documentElement.scrollWidth`), width, "the page scrolls sideways")
		if width == 1280 || width == 390 {
			b.shot(fmt.Sprintf("extreme-%d-light", width))
		}
		b.exec(`document.querySelector(".legend").open = true`)
		require.Empty(t, eval[[]string](b, overlaps, "body"), "with the legend, at %d px", width)
		if width == 1280 || width == 390 {
			b.shot(fmt.Sprintf("legend-%d-light", width))
		}
		b.exec(`document.querySelector(".legend").open = false`)
		b.exec(`[...document.querySelectorAll("#rows .row")].find((r) => r.querySelector(".name").textContent.startsWith("calc-2")).click()`)
		b.when(`document.querySelector("#detail").textContent.includes("123.5 k requests")`)
		require.Empty(t, eval[[]string](b, overlaps, "#detail"), "with the detail, at %d px", width)
		if width == 1280 || width == 390 {
			b.shot(fmt.Sprintf("extreme-detail-%d-light", width))
		}
		b.exec(`document.querySelector("#close").click()`)
		b.when(`document.querySelector("#detail").hidden`)
	}
}

// However often an endpoint is probed in vain, its row stays in its place, says since when
// the endpoint is down, and shows nothing of the time before as if it were of now.
func TestPageShowsAnOutageAsOne(t *testing.T) {
	t.Parallel()
	b := newTab(t)
	began := time.Now().Add(-72 * time.Second)
	url, _ := serve(t, &script{frames: func(n int) map[string]any {
		state := []string{"open", "half-open"}[n%2]
		return frameOf(n, []map[string]any{
			{"Rev": 2 + n, "At": began, "Kind": "breaker", "Level": "bad", "Endpoint": "b:1", "State": "open", "Text": "takes no calls: connection refused", "Again": n + 1, "Last": time.Now()},
		},
			endpoint("a:1", "closed", map[string]any{"Picks": 20 * n}),
			endpoint("b:1", state, map[string]any{"Since": time.Now(), "DownSince": began, "Cause": "the probe failed, last: connection refused (first opened: 5 consecutive failures, last: EOF)", "Phi": 12.0, "Picks": n, "ServerRunning": 3}),
			endpoint("c:1", "closed", map[string]any{"Picks": 20 * n, "ServerRunning": 3}),
		)
	}})
	b.open(url)
	b.when(`document.querySelectorAll("#rows .row").length === 3`)
	const seen = `new Promise((done) => {
		const all = new Set(), end = Date.now() + 3000;
		const look = () => {
			const names = [...document.querySelectorAll("#rows .row")].sort((a, b) => a.ariaRowIndex - b.ariaRowIndex).map((r) => r.querySelector(".name").textContent);
			const row = [...document.querySelectorAll("#rows .row")].find((r) => r.querySelector(".name").textContent === "b:1");
			const text = (part) => row.querySelector(part + " span").textContent;
			all.add([names.join(), text(".strip").replace(/7\d/, "7x"), text(".phi"), text(".latency"), text(".share"), text(".traffic"), row.querySelectorAll(".strip rect").length, document.querySelectorAll("#events li").length].join("; "));
			if (Date.now() < end) setTimeout(look, 20); else done([...all]);
		};
		look();
	})`
	require.Equal(t, []string{"a:1,b:1,c:1; down 7x s; –; –; –; –; 1; 1"}, eval[[]string](b, seen))
	require.Contains(t, eval[string](b, `document.querySelector("#events li").textContent`), "probes failed since, the last at")
	require.Contains(t, eval[string](b, `document.querySelector("#rows").textContent`), "connection refused")
	require.NotContains(t, eval[string](b, `document.body.innerText`), "first opened")
	require.Equal(t, []string{"All 3", "Down 1", "Closed 2"}, eval[[]string](b, `[...document.querySelectorAll("#states button")].map((s) => s.textContent)`))
	b.exec(`[...document.querySelectorAll("#rows .row")].find((r) => r.textContent.includes("c:1")).click()`)
	b.when(`document.querySelector("#detail").textContent.includes("3 requests")`)
}
