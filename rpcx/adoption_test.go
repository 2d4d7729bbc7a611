package rpcx_test

import (
	"bytes"
	"context"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"log"
	"net"
	"net/rpc"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/codec"
	"resilientrpc/rpcx"
	"resilientrpc/rpcx/internal/leak"
)

// The sleeps of this file take virtual time: inFleet runs each test in a synctest bubble.

// These tests are the rows of README.md's table of what changes with the import, in its
// order. The client of net/rpc is beside ours wherever the row says something of it.

func TestAdoptionNames(t *testing.T) {
	goroot := strings.TrimSpace(string(goCommand(t, "", "env", "GOROOT")))
	for dir, ours := range map[string]string{"net/rpc": ".", "net/rpc/jsonrpc": "jsonrpc"} {
		theirs := exportedNames(t, filepath.Join(goroot, "src", dir))
		require.Contains(t, theirs, "Dial")
		require.Subset(t, exportedNames(t, ours), theirs)
	}
}

// exportedNames are the top-level ones of the package in a folder, without its tests.
func exportedNames(t *testing.T, dir string) (names []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	require.NoError(t, err)
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		for _, decl := range file.Decls {
			names = append(names, namesOf(decl)...)
		}
	}
	return slices.DeleteFunc(names, func(n string) bool { return !ast.IsExported(n) })
}

func namesOf(decl ast.Decl) (names []string) {
	switch decl := decl.(type) {
	case *ast.FuncDecl:
		if decl.Recv == nil {
			names = append(names, decl.Name.Name)
		}
	case *ast.GenDecl:
		for _, spec := range decl.Specs {
			switch spec := spec.(type) {
			case *ast.TypeSpec:
				names = append(names, spec.Name.Name)
			case *ast.ValueSpec:
				for _, n := range spec.Names {
					names = append(names, n.Name)
				}
			}
		}
	}
	return names
}

// All types but one are net/rpc's own.
var (
	_ *rpc.Call        = (*rpcx.Call)(nil)
	_ *rpc.Server      = (*rpcx.Server)(nil)
	_ *rpc.Request     = (*rpcx.Request)(nil)
	_ *rpc.Response    = (*rpcx.Response)(nil)
	_ *rpc.ClientCodec = (*rpcx.ClientCodec)(nil)
	_ *rpc.ServerCodec = (*rpcx.ServerCodec)(nil)
	_ *rpc.ServerError = (*rpcx.ServerError)(nil)
)

func TestAdoptionTypes(t *testing.T) {
	theirs, ours := reflect.TypeFor[*rpc.Client](), reflect.TypeFor[*rpcx.Client]()
	require.NotEqual(t, theirs, ours)
	for n := range theirs.NumMethod() {
		m := theirs.Method(n)
		same, ok := ours.MethodByName(m.Name)
		require.True(t, ok, m.Name)
		for i := 1; i < m.Type.NumIn(); i++ {
			require.Equal(t, m.Type.In(i), same.Type.In(i), m.Name)
		}
		for i := range m.Type.NumOut() {
			require.Equal(t, m.Type.Out(i), same.Type.Out(i), m.Name)
		}
	}
}

// stock is a client of net/rpc's at the fleet's first server.
func (f *fleet) stock() *rpc.Client {
	f.t.Helper()
	conn, err := f.DialContext(f.t.Context(), "tcp", f.addrs[0])
	require.NoError(f.t, err)
	return rpc.NewClient(conn)
}

func TestAdoptionLostConnection(t *testing.T) {
	t.Parallel()
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		theirs, ours := f.stock(), f.dial()
		defer theirs.Close()
		defer ours.Close()
		f.Cut("a:1") // its server goes on
		synctest.Wait()
		for range 3 {
			require.Equal(t, rpc.ErrShutdown, theirs.Call("Bank.Where", struct{}{}, new(string)))
			require.NoError(t, ours.Call("Bank.Where", struct{}{}, new(string)))
		}
		require.NoError(t, ours.Close())
		require.Equal(t, rpc.ErrShutdown, ours.Call("Bank.Where", struct{}{}, new(string)))
	})
}

func TestAdoptionFrozenServer(t *testing.T) {
	t.Parallel()
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		theirs, ours := f.stock(), f.dial()
		defer theirs.Close()
		defer ours.Close()
		time.Sleep(5 * time.Second)
		f.Stall("a:1")
		defer f.Resume("a:1")
		hanging := theirs.Go("Bank.Where", struct{}{}, new(string), nil)
		began := time.Now()
		err := ours.Call("Bank.Where", struct{}{}, new(string))
		require.ErrorIs(t, err, rpcx.ErrUnresponsive)
		require.InDelta(t, 2500*time.Millisecond, time.Since(began), float64(100*time.Millisecond))
		var callErr *rpcx.CallError
		require.ErrorAs(t, err, &callErr)
		require.Equal(t, rpcx.MaybeSent, callErr.Sent)
		time.Sleep(time.Hour)
		require.Empty(t, hanging.Done)
	})
}

func TestAdoptionServerDown(t *testing.T) {
	t.Parallel()
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		theirs, ours := f.stock(), f.dial()
		defer theirs.Close()
		defer ours.Close()
		f.kill("a:1")
		time.Sleep(time.Minute)
		require.Equal(t, rpc.ErrShutdown, theirs.Call("Bank.Where", struct{}{}, new(string)))
		began := time.Now()
		err := ours.Call("Bank.Where", struct{}{}, new(string))
		require.ErrorIs(t, err, rpcx.ErrUnavailable)
		require.Less(t, time.Since(began), 1100*time.Millisecond, "it has waited for two probes at most")
		var callErr *rpcx.CallError
		require.True(t, errors.As(err, &callErr) && callErr.Sent == rpcx.NotSent)

		f.Resume("a:1")
		time.Sleep(6 * time.Second)
		require.NoError(t, ours.Call("Bank.Where", struct{}{}, new(string)))
	})
}

// The row of errors is TestErrorsCompareAsNetRPCs, TestRefusedDialComesBare and
// TestOwnErrorsAreCallErrors.

func TestAdoptionDialTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := rpcx.Dialer{NetDial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, &net.OpError{Op: "dial", Net: network, Err: ctx.Err()}
		}}
		began := time.Now()
		_, err := d.Dial("tcp", "calc:7001")
		require.Equal(t, 2*time.Second, time.Since(began))
		timeout, ok := err.(net.Error)
		require.True(t, ok && timeout.Timeout(), "%T %v", err, err)
	})
}

// listeningCodec notes the methods that a server is asked for.
type listeningCodec struct {
	rpc.ServerCodec
	asked func(method string)
}

func (c listeningCodec) ReadRequestHeader(r *rpc.Request) error {
	err := c.ServerCodec.ReadRequestHeader(r)
	if err == nil {
		c.asked(r.ServiceMethod)
	}
	return err
}

func TestAdoptionPings(t *testing.T) {
	var logged bytes.Buffer
	log.SetOutput(&logged)
	defer log.SetOutput(io.Discard)
	inFleet(t, 0, func(t *testing.T, f *fleet) {
		var mu sync.Mutex
		asked, conns := make(map[string]int), 0
		f.serve = func(s *rpc.Server, c io.ReadWriteCloser) {
			mu.Lock()
			conns++
			mu.Unlock()
			s.ServeCodec(listeningCodec{codec.NewGobServer(c), func(method string) {
				mu.Lock()
				defer mu.Unlock()
				asked[method]++
			}})
		}
		f.addrs = []string{"a:1"}
		f.start("a:1")
		c := f.dial()
		defer c.Close()
		where(t, c, 1)
		time.Sleep(time.Minute)
		mu.Lock()
		defer mu.Unlock()
		require.Equal(t, 1, asked["Bank.Where"])
		require.NotZero(t, asked[codec.PingMethod])
		require.Len(t, asked, 2)
		require.Equal(t, "rpcx.Ping", codec.PingMethod)
		require.Equal(t, 2, conns)
	})
	require.Empty(t, logged.String())
}

func TestAdoptionReplyThatCannotBeDecoded(t *testing.T) {
	t.Parallel()
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		theirs, ours := f.stock(), f.dial()
		defer theirs.Close()
		defer ours.Close()
		for name, c := range map[string]asyncCaller{"theirs": theirs, "ours": ours} {
			other := c.Go("Bank.Sleep", time.Second, new(string), nil)
			require.Error(t, c.Call("Bank.Where", struct{}{}, new(Deposit)))
			if err := (<-other.Done).Error; name == "ours" {
				require.NoError(t, err)
			} else {
				require.Error(t, err)
				require.Equal(t, rpc.ErrShutdown, c.Call("Bank.Where", struct{}{}, new(string)))
			}
		}
	})
}

// The bound of net/rpc is gob's: 1 GB on 32-bit machines and 8 GB on others. How to raise
// ours is TestFrameLimitIsAKnob.
func TestAdoptionSizeOfAMessage(t *testing.T) {
	t.Parallel()
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		f.dialer.Codec = codec.Gob{MaxFrame: 1 << 20}.NewClient // of the default, package codec has a test
		c := f.dial()
		defer c.Close()
		err := c.Call("Bank.Measure", strings.Repeat("x", 1<<20), new(int))
		require.ErrorContains(t, err, "codec.Gob.MaxFrame allows 1048576")
		where(t, c, 1)
	})
}

// The row of the arguments of Go is TestArgsAreTheCallersAfterGo and
// TestGoWaitsForArgsThatCannotBeCopied.

func TestAdoptionCloseAndGoroutines(t *testing.T) {
	leak.Check(t) // Close leaves none
	var addresses []string
	for range 3 {
		address, stop := replica()
		defer stop()
		addresses = append(addresses, address)
	}
	before := runtime.NumGoroutine()
	c, err := rpcx.Dial("tcp", strings.Join(addresses, ","))
	require.NoError(t, err)
	for range 100 {
		require.NoError(t, c.Call("Arith.Multiply", Args{7, 8}, new(int)))
	}
	// The servers have one for each connection, too, and Eventually has one.
	require.Eventually(t, func() bool { return runtime.NumGoroutine()-before <= 3*2+3+1 }, 10*time.Second, time.Millisecond)
	began := time.Now()
	require.NoError(t, c.Close())
	require.Less(t, time.Since(began), 4*time.Second) // 2, on a machine that is busy
}
