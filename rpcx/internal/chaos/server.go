package chaos

import (
	"bufio"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log"
	"math/bits"
	"net"
	"net/rpc"
	"net/rpc/jsonrpc"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"resilientrpc/codec"
	"resilientrpc/rpcx"
)

// The variables that make the test binary a server: the file of its journal, where
// it listens, the format in which it serves with rpcx.Serve, and stops in order (empty
// for net/rpc's server), and what its methods take.
const (
	journalEnv = "CHAOS_JOURNAL"
	addrEnv    = "CHAOS_ADDR"
	orderlyEnv = "CHAOS_ORDERLY"
	workEnv    = "CHAOS_WORK"
)

// serverCodecs are those of rpcx.Serve, by format.
var serverCodecs = map[string]func(io.ReadWriteCloser) rpc.ServerCodec{
	"gob":  codec.NewGobServer,
	"json": codec.NewJSONServer,
	either: newEither,
}

// either is the format of a server that serves both with rpcx.Serve.
const either = "gob or json"

// newEither returns the codec of the format that the client speaks.
func newEither(rwc io.ReadWriteCloser) rpc.ServerCodec {
	r := bufio.NewReader(rwc)
	first, _ := r.Peek(1) //nolint:errcheck // the codec gets it again
	both := struct {
		io.Reader
		io.WriteCloser
	}{r, rwc}
	if len(first) > 0 && first[0] == '{' {
		return codec.NewJSONServer(both)
	}
	return codec.NewGobServer(both)
}

// Child reports whether this process is a server that a test has started. If so
// it has served until its parent was gone, and there is nothing left to do.
func Child() bool {
	journal := os.Getenv(journalEnv)
	if journal == "" {
		return false
	}
	log.SetOutput(io.Discard) // net/rpc's server logs what is done to it
	if err := serve(journal, os.Getenv(addrEnv)); err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(1)
	}
	return true
}

// A Slip is the argument of every call and its reply. Its sum keeps a slip that
// was damaged on the way from passing for another.
type Slip struct{ ID, Sum uint64 }

// NewSlip returns the slip of a call.
func NewSlip(id uint64) Slip { return Slip{id, checksum(id)} }

func (s Slip) valid() bool { return s.Sum == checksum(s.ID) }

func checksum(id uint64) uint64 {
	return bits.RotateLeft64((id^0x9e3779b97f4a7c15)*0xbf58476d1ce4e5b9, 31) * 0x94d049bb133111eb
}

// defaultWork is what a method takes.
const defaultWork = time.Millisecond

// Vault is the service of the servers.
type Vault struct {
	journal *os.File
	work    time.Duration // that a method takes
}

// Deposit is not idempotent.
func (v *Vault) Deposit(s Slip, reply *Slip) error { return v.run(s, reply) }

// Peek is idempotent.
func (v *Vault) Peek(s Slip, reply *Slip) error { return v.run(s, reply) }

var (
	errDamaged = errors.New("the slip is damaged")
	errRefused = errors.New("the vault refuses")
)

// refuses tells the calls that the method itself fails, after it has run.
func refuses(id uint64) bool { return id%101 == 1 }

func (v *Vault) run(s Slip, reply *Slip) error {
	if !s.valid() {
		return errDamaged
	}
	entry := binary.LittleEndian.AppendUint64(nil, s.ID)
	entry = binary.LittleEndian.AppendUint64(entry, uint64(time.Now().UnixNano())) //nolint:gosec // it is positive
	if _, err := v.journal.Write(entry); err != nil {
		return err
	}
	time.Sleep(v.work) // in a real process
	if refuses(s.ID) {
		return errRefused
	}
	*reply = s
	return nil
}

func serve(journal, addr string) error {
	f, err := os.OpenFile(journal, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	work, err := time.ParseDuration(os.Getenv(workEnv))
	if err != nil {
		return err
	}
	if err := rpc.Register(&Vault{f, work}); err != nil {
		return err
	}
	lis, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	fmt.Println(lis.Addr())
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		io.Copy(io.Discard, os.Stdin) //nolint:errcheck // its end is all that counts
		stop()
	}()
	if newCodec := serverCodecs[os.Getenv(orderlyEnv)]; newCodec != nil {
		return rpcx.Serve(ctx, lis, nil, newCodec)
	}
	go accept(lis)
	<-ctx.Done()
	return nil
}

func accept(lis net.Listener) {
	for {
		conn, err := lis.Accept()
		if err != nil {
			return
		}
		go serveConn(conn)
	}
}

// peeked is a connection whose first byte was looked at.
type peeked struct {
	net.Conn
	r *bufio.Reader
}

func (p peeked) Read(b []byte) (int, error) { return p.r.Read(b) }

// serveConn serves with stock net/rpc the format that the client speaks: JSON
// begins with a brace, and gob with the length of a type that is no such number.
func serveConn(conn net.Conn) {
	// Package gob panics over some streams. That costs the connection, and not
	// the server, since it is not what is under test.
	defer func() {
		if recover() != nil {
			conn.Close()
		}
	}()
	p := peeked{conn, bufio.NewReader(conn)}
	switch first, err := p.r.Peek(1); {
	case err != nil:
		conn.Close()
	case first[0] == '{':
		jsonrpc.ServeConn(p)
	default:
		rpc.ServeConn(p)
	}
}

// A Server is a server in a process of its own, at one address for life.
type Server struct {
	Addr    string
	tb      testing.TB
	journal string
	orderly string // see orderlyEnv: its format, or either; empty for a stock server, which has both
	work    time.Duration
	cmd     *exec.Cmd
	in      io.Closer // its end, when this process ends, ends the child
}

// StartServer starts a server at some port of host. It ends with the test.
func StartServer(tb testing.TB, host string) *Server {
	tb.Helper()
	return startServer(tb, host, "", 0)
}

// startServer starts a server whose methods take the given time, 0 for defaultWork.
func startServer(tb testing.TB, host, orderly string, work time.Duration) *Server {
	tb.Helper()
	s := &Server{
		tb: tb, Addr: net.JoinHostPort(host, "0"), journal: filepath.Join(tb.TempDir(), "journal"),
		orderly: orderly, work: cmp.Or(work, defaultWork),
	}
	s.Start()
	if s.cmd == nil {
		tb.FailNow()
	}
	tb.Cleanup(s.Kill)
	return s
}

// Start starts a new process at the server's address.
func (s *Server) Start() {
	var err error
	for range 20 { // for the port may be somebody's own end of a connection
		if err = s.start(); err == nil {
			return
		}
		time.Sleep(100 * time.Millisecond) // real processes take real time
	}
	s.tb.Errorf("chaos: no server at %s: %v", s.Addr, err)
}

func (s *Server) start() error {
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), journalEnv+"="+s.journal, addrEnv+"="+s.Addr, orderlyEnv+"="+s.orderly, workEnv+"="+s.work.String())
	cmd.Stderr = os.Stderr
	if s.in, err = cmd.StdinPipe(); err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	s.cmd = cmd
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		s.Kill()
		return err
	}
	s.Addr = strings.TrimSpace(line)
	return nil
}

func (s *Server) host() string {
	host, _, _ := net.SplitHostPort(s.Addr)
	return host
}

// Kill is SIGKILL.
func (s *Server) Kill() {
	s.cmd.Process.Kill() //nolint:errcheck // it may be gone
	s.cmd.Wait()         //nolint:errcheck // its status is ours
}

// Stop asks the server to stop, and waits until it has.
func (s *Server) Stop() error {
	return errors.Join(s.in.Close(), s.cmd.Wait())
}

// Executions calls f with the id of each execution on record, and when it began.
func (s *Server) Executions(f func(id uint64, at time.Time)) error {
	b, err := os.ReadFile(s.journal)
	if err != nil {
		return err
	}
	if len(b)%16 != 0 {
		return fmt.Errorf("chaos: the journal %s is torn: %d bytes", s.journal, len(b))
	}
	for ; len(b) > 0; b = b[16:] {
		f(binary.LittleEndian.Uint64(b), time.Unix(0, int64(binary.LittleEndian.Uint64(b[8:])))) //nolint:gosec // as it was written
	}
	return nil
}
