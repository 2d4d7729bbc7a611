package browser_test

import (
	"context"
	"flag"
	"fmt"
	"iter"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// patience is how long a test waits for what takes a second or two.
const patience = 40 * time.Second

var (
	shots   = flag.String("shots", "", "where screenshots are kept; empty for a directory of the test")
	picture = flag.String("picture", "", "the file of the README's picture (and, with -phone, of the other), for which the test takes two minutes more")
)

// chromium returns the browser's path. Where there is none the test is skipped, but
// not in CI.
func chromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("there is no chromium: install the package chromium")
	}
	t.Skip("there is no chromium: install the package chromium")
	panic("unreachable")
}

// A tab is a page in a browser of its own, which ends with the test.
type tab struct {
	t   *testing.T
	ctx context.Context
	dir string // of the screenshots
}

func newTab(t *testing.T) *tab {
	t.Helper()
	ctx, endBrowser := chromedp.NewExecAllocator(context.Background(), chromedp.ExecPath(chromium(t)), chromedp.Headless, chromedp.NoSandbox)
	t.Cleanup(endBrowser)
	ctx, endTab := chromedp.NewContext(ctx)
	b := &tab{t: t, ctx: ctx, dir: *shots}
	if b.dir == "" {
		b.dir = t.TempDir()
	}
	require.NoError(t, chromedp.Do(ctx, size(1280, 800, 2, "light"))) // without a deadline, which would be the browser's
	var console sync.WaitGroup
	messages := chromedp.Console(ctx)
	console.Go(func() { b.listen(messages) })
	t.Cleanup(func() { endTab(); console.Wait() })
	return b
}

// listen fails the test for what the page does wrong.
func (b *tab) listen(messages iter.Seq2[chromedp.ConsoleMessage, error]) {
	for m, err := range messages {
		switch {
		case err != nil:
			return // the tab is closed
		case m.IsException(), strings.Contains(m.Text, "Content Security Policy"), strings.Contains(m.Text, "Trusted"):
			b.t.Errorf("the page's console: %s", m)
		}
	}
}

func (b *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	require.NoError(b.t, chromedp.Do(ctx, steps...))
}

func (b *tab) open(url string) {
	b.t.Helper()
	b.do(chromedp.Navigate(url))
}

// size makes the window so large, and light or dark.
func size(width, height int64, scale float64, scheme string) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		var mobile []chromedp.EmulateViewportOption
		if width < 500 {
			mobile = append(mobile, chromedp.EmulateMobile)
		}
		mobile = append(mobile, chromedp.EmulateScale(scale))
		if _, err := chromedp.EmulateViewport(width, height, mobile...)(ctx, t); err != nil {
			return err
		}
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		})
		return err
	})
}

func (b *tab) size(width, height int64, scheme string) {
	b.t.Helper()
	b.do(size(width, height, 2, scheme))
}

// eval returns what an expression comes to, once it is there if it is a promise.
func eval[T any](b *tab, expr string, args ...any) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](fmt.Sprintf(expr, args...), chromedp.EvalAwaitPromise))
	require.NoError(b.t, err, "%s", expr)
	return v
}

// exec runs a statement.
func (b *tab) exec(statement string, args ...any) {
	b.t.Helper()
	b.do(chromedp.Evaluate[chromedp.Void](fmt.Sprintf(statement, args...), chromedp.EvalAwaitPromise))
}

// press presses a key as a hand does: what the page does with it decides whether it
// is typed, which chromedp.KeyEvent does in any case.
func (b *tab) press(key, text string) {
	b.t.Helper()
	b.do(chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		down := input.DispatchKeyEventParams{Type: input.DispatchKeyEventTypeKeyDown, Key: key, Text: text}
		up := input.DispatchKeyEventParams{Type: input.DispatchKeyEventTypeKeyUp, Key: key}
		if _, err := cdp.Call(ctx, t, input.DispatchKeyEvent, down); err != nil {
			return err
		}
		_, err := cdp.Call(ctx, t, input.DispatchKeyEvent, up)
		return err
	}))
}

// when waits until an expression is true, and returns when that was.
func (b *tab) when(expr string, args ...any) time.Time {
	b.t.Helper()
	expr = fmt.Sprintf(expr, args...)
	ms := eval[float64](b, `new Promise((done) => {
		const end = Date.now() + %d;
		const look = () => {
			if (%s) done(Date.now());
			else if (Date.now() > end) done(0);
			else setTimeout(look, 10);
		};
		look();
	})`, (patience - 5*time.Second).Milliseconds(), expr)
	require.NotZero(b.t, ms, "never so: %s", expr)
	return time.UnixMilli(int64(ms))
}

// shot keeps a picture of the window.
func (b *tab) shot(name string) []byte {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	b.exec(`new Promise((done) => setTimeout(done, 600))`) // for a frame of this size
	png, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	require.NoError(b.t, err)
	require.NoError(b.t, os.MkdirAll(b.dir, 0o755))
	require.NoError(b.t, os.WriteFile(filepath.Join(b.dir, name+".png"), png, 0o644))
	return png
}

// serve serves a handler until the test ends, and returns its address.
func serve(t *testing.T, h http.Handler) (url string, srv *http.Server) {
	t.Helper()
	return serveAt(t, "127.0.0.1:0", h)
}

func serveAt(t *testing.T, addr string, h http.Handler) (url string, srv *http.Server) {
	t.Helper()
	lis, err := net.Listen("tcp", addr)
	require.NoError(t, err)
	mux := http.NewServeMux()
	mux.Handle("/debug/rpcx", h)
	srv = &http.Server{Handler: mux}
	go srv.Serve(lis) //nolint:errcheck // it ends with the server
	t.Cleanup(func() { srv.Close() })
	return "http://" + lis.Addr().String() + "/debug/rpcx", srv
}
