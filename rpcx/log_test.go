package rpcx_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx"
)

// lines is what a log was written to.
type lines struct {
	mu   sync.Mutex // protects following
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// with returns the lines with s in them.
func (l *lines) with(s string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []string
	for line := range strings.Lines(l.text.String()) {
		if strings.Contains(line, s) {
			found = append(found, line)
		}
	}
	return found
}

// A server that is away for ten minutes is a few lines, and one when it is back.
func TestLogSumsUp(t *testing.T) {
	t.Parallel()
	inFleet(t, 2, func(t *testing.T, f *fleet) {
		var log lines
		var failed atomic.Int64
		f.dialer.Logger = slog.New(slog.NewTextHandler(&log, nil))
		f.dialer.Trace = &rpcx.ClientTrace{ConnDone: func(i rpcx.ConnInfo) {
			if i.Err != nil {
				failed.Add(1)
			}
		}}
		f.dialer.Breaker.OpenFor, f.dialer.Breaker.MaxOpenFor = time.Second, time.Second
		c := f.dial()
		synctest.Wait()
		f.kill("a:1")
		time.Sleep(10*time.Minute + time.Second)
		f.Resume("a:1")
		time.Sleep(time.Minute)
		require.NoError(t, c.Close())

		require.Greater(t, failed.Load(), int64(100), "a dial failed every few seconds")
		dials := log.with(`msg="dial failed"`)
		require.InDelta(t, 11, len(dials), 1, "one a minute")
		require.Contains(t, dials[0], "level=WARN")
		require.NotContains(t, dials[0], "suppressed")
		require.Contains(t, dials[1], "suppressed=")
		back := log.with(`msg="dial succeeded again"`)
		require.Len(t, back, 1)
		require.Contains(t, back[0], "level=INFO")
		require.Contains(t, back[0], "lasted=10m")

		require.InDelta(t, 11, len(log.with(`msg="breaker changed"`)), 1)
		require.Contains(t, log.with(`msg="breaker changed"`)[0], "level=INFO")
		require.Len(t, log.with(`msg="breaker closed"`), 1)
		require.Empty(t, log.with("level=DEBUG"))
	})
}

// A failure that is another than the last is not summed up with it, and two that take
// turns are not a line each time.
func TestLogOfAnotherFailureOfTheResolver(t *testing.T) {
	t.Parallel()
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		var log lines
		f.dialer.Logger = slog.New(slog.NewTextHandler(&log, nil))
		c, sets := f.resolve("a:1")
		defer c.Close()
		for range 10 {
			sets.saySet(nil, errors.New("no such file"))
			sets.saySet(nil, errors.New("permission denied"))
			time.Sleep(time.Second)
		}
		require.Len(t, log.with("no such file"), 1)
		require.Len(t, log.with("permission denied"), 1)
		time.Sleep(time.Minute)
		sets.saySet(nil, errors.New("permission denied"))
		require.Len(t, log.with("suppressed=18"), 1)
		sets.say("a:1")
		require.Len(t, log.with(`"endpoints resolved again" events=21`), 1)
		sets.saySet(nil, errors.New("no such file"))
		require.Len(t, log.with("no such file"), 2)
	})
}

// States and verdicts are words, whatever handler writes them.
func TestLogInJSON(t *testing.T) {
	t.Parallel()
	inFleet(t, 2, func(t *testing.T, f *fleet) {
		var log lines
		f.dialer.Logger = slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		c := f.dial()
		time.Sleep(20 * time.Second)
		f.Stall("a:1")
		time.Sleep(20 * time.Second)
		f.Resume("a:1")
		time.Sleep(20 * time.Second)
		require.NoError(t, c.Close())
		for _, words := range []string{
			`"from":"closed","to":"open"`, `"verdict":"suspected"`, `"verdict":"convicted"`, `"fault":"`,
		} {
			require.NotEmpty(t, log.with(words), "%s: %q", words, log.with(""))
		}
		for _, line := range log.with("") {
			require.NotRegexp(t, `"(from|to|verdict|fault|comparison|pings)":\d`, line)
		}
	})
}

// An error of another kind than those before is logged at once, whatever is suppressed; one
// that differs in figures only is a repetition.
func TestLogOfAnotherErrorOfADial(t *testing.T) {
	t.Parallel()
	inFleet(t, 2, func(t *testing.T, f *fleet) {
		var log lines
		var fails atomic.Pointer[error]
		f.dialer.Logger = slog.New(slog.NewTextHandler(&log, nil))
		f.dialer.Breaker.OpenFor, f.dialer.Breaker.MaxOpenFor = time.Second, time.Second
		dial := f.dialer.NetDial
		var dials atomic.Int64
		f.dialer.NetDial = func(ctx context.Context, network, address string) (net.Conn, error) {
			if err := fails.Load(); err != nil && address == "a:1" {
				n := dials.Add(1)
				return nil, fmt.Errorf("%w (port %d, after %v)", *err, n, time.Duration(n)*time.Millisecond)
			}
			return dial(ctx, network, address)
		}
		c := f.dial()
		synctest.Wait()
		fail := func(text string) {
			err := errors.New(text)
			fails.Store(&err)
			time.Sleep(10 * time.Second)
		}
		f.kill("a:1")
		fail("no route to host")
		require.Len(t, log.with("no route to host"), 2, "the dial, and the breaker that it opened: %q", log.with(""))
		fail("certificate required")
		require.Len(t, log.with(`err="certificate required`), 1)
		fail("no route to host")
		require.Len(t, log.with(`err="no route to host`), 1, "it is known")
		require.Greater(t, dials.Load(), int64(10))
		fails.Store(nil)
		f.Resume("a:1")
		time.Sleep(10 * time.Second)
		require.NoError(t, c.Close())
		require.Len(t, log.with(`msg="dial succeeded again"`), 1)
	})
}

// There is a bound on the kinds of errors that are told apart.
func TestLogOfManyKindsOfErrors(t *testing.T) {
	t.Parallel()
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		var log lines
		f.dialer.Logger = slog.New(slog.NewTextHandler(&log, nil))
		c, sets := f.resolve("a:1")
		defer c.Close()
		for i := range 100 {
			sets.saySet(nil, errors.New("no such file "+strings.Repeat("x", i)))
		}
		require.Len(t, log.with(`msg="endpoints not resolved"`), 9)
	})
}

// An endpoint that comes and goes is not two lines each time, and no end is told
// of what has not begun.
func TestLogOfAFlappingEndpoint(t *testing.T) {
	t.Parallel()
	inFleet(t, 2, func(t *testing.T, f *fleet) {
		var log lines
		f.dialer.Logger = slog.New(slog.NewTextHandler(&log, nil))
		c := f.dial()
		synctest.Wait()
		for range 60 {
			f.kill("a:1")
			time.Sleep(8 * time.Second)
			f.Resume("a:1")
			time.Sleep(12 * time.Second)
		}
		require.NoError(t, c.Close())
		begun, ended := len(log.with(`msg="breaker changed"`)), len(log.with(`msg="breaker closed"`))
		require.InDelta(t, 20, begun, 2, "one a minute")
		require.LessOrEqual(t, ended, begun)
		require.InDelta(t, begun, ended, 2)
	})
}

func TestLogLevels(t *testing.T) {
	t.Parallel()
	var log lines
	logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	everything(t, func(d *rpcx.Dialer) { d.Logger = logger })
	for msg, level := range map[string]string{
		"call is tried again":                        "DEBUG",
		"call is hedged":                             "DEBUG",
		"endpoint is suspected":                      "DEBUG",
		"breaker changed":                            "INFO",
		"breaker closed":                             "INFO",
		"dial succeeded again":                       "INFO",
		"endpoint does not respond":                  "WARN",
		"dial failed":                                "WARN",
		"retry budget is exhausted":                  "WARN",
		"endpoint answers pings, but its calls fail": "WARN",
	} {
		told := log.with(`msg="` + msg + `"`)
		require.NotEmpty(t, told, msg)
		for _, line := range told {
			require.Contains(t, line, "level="+level)
		}
	}
}

// A pattern of Dialer.Methods that is misspelt says nothing of any method. The log does, once
// calls were made, and however the client is closed.
func TestLogOfPatternsThatMatchNoCall(t *testing.T) {
	t.Parallel()
	closers := map[string]func(*rpcx.Client) error{
		"Close":        (*rpcx.Client).Close,
		"CloseContext": func(c *rpcx.Client) error { return c.CloseContext(context.Background()) },
	}
	for name, closeClient := range closers {
		inFleet(t, 1, func(t *testing.T, f *fleet) {
			var log lines
			f.dialer.Logger = slog.New(slog.NewTextHandler(&log, nil))
			f.dialer.Methods = map[string]rpcx.MethodOptions{"Bnak.*": {Idempotent: rpcx.Yes}, "Bank": {}, "Bank.*": {}}
			c := f.dial()
			require.NoError(t, c.Call("Bank.Where", struct{}{}, new(string)))
			require.Empty(t, log.with("Dialer.Methods"))
			require.NoError(t, closeClient(c))
			found := log.with(`msg="patterns of Dialer.Methods have matched no call"`)
			require.Len(t, found, 1, name)
			require.Contains(t, found[0], `level=INFO`)
			require.Contains(t, found[0], `patterns="[Bank Bnak.*]"`)

			var unused lines
			f.dialer.Logger = slog.New(slog.NewTextHandler(&unused, nil))
			require.NoError(t, closeClient(f.dial()))
			require.Empty(t, unused.with("Dialer.Methods"), "no call was made")
		})
	}
}
