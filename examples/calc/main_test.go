package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// runMain in the environment makes the test binary the calc command, so that
// the replicas that tests start are real processes of the code under test.
const runMain = "CALC_TEST_RUN_MAIN"

func TestMain(m *testing.M) {
	// A fuzzing worker inherits the environment too, and has the flags of a test.
	isTest := slices.ContainsFunc(os.Args, func(arg string) bool { return strings.HasPrefix(arg, "-test.") })
	if os.Getenv(runMain) != "" && !isTest {
		main()
		return
	}
	if err := os.Setenv(runMain, "1"); err != nil {
		panic(err)
	}
	// The demos wait for the clock, and a replica with the race detector would take a
	// second to exit.
	if err := os.Setenv("GORACE", "atexit_sleep_ms=0"); err != nil {
		panic(err)
	}
	flag.Parse()
	if err := flag.Set("test.parallel", "4"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

func TestBadArgumentsAreOneClearLineAndStatus2(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"frobnicate", `unknown subcommand "frobnicate"; want serve, call, load, or none for the demo (calc help explains them)`},
		{"-frob", "flag provided but not defined: -frob"},
		{"-codec xml", `-codec is "xml"; want gob or jsonrpc`},
		{"-http -codec jsonrpc", "-http goes with -codec gob only: net/rpc's HTTP handler knows no other"},
		{"-server none", `-server is "none"; want net/rpc or rpcx`},
		{"-http -server rpcx", "-http goes with -server net/rpc only: rpcx.Serve has no HTTP handler"},
		{"-step 0s", "-step is 0s; want more than 0"},
		{"-step 0s -workers 0", "-step is 0s; want more than 0"},
		{"-step soon", `invalid value "soon" for flag -step: parse error`},
		{"-work -1s", "-work is -1s; want 0 or more"},
		{"-workers 0", "-workers is 0; want 1 to 10000"},
		{"-rate 0", "-rate is 0; want 1 to 1000000"},
		{"-bound 0s", "-bound is 0s; want more than 0"},
		{"-heartbeat -1s", "-heartbeat is -1s; want 0 or more"},
		{"-step 1s more", `unexpected argument "more"`},
		{"serve -frob", "serve: flag provided but not defined: -frob"},
		{"call -servers a:1 -7*8", "call: flag provided but not defined: -7*8; write -- before an expression that begins with a minus: -- '-7*8'"},
		{"call -servers a:1 -7x8", "call: flag provided but not defined: -7x8"},
		{"serve more", `serve: unexpected argument "more"`},
		{"serve -work -1s", "serve: -work is -1s; want 0 or more"},
		{"serve -codec xml", `-codec is "xml"; want gob or jsonrpc`},
		{"call -servers localhost 1+1", `-servers has "localhost"; want host:port, several separated by commas`},
		{"call -servers a:1,,b:2 1+1", `-servers has ""; want host:port, several separated by commas`},
		{"call -servers a:1,b:2,a:1 1+1", `-servers has "a:1" twice; name each replica once`},
		{"call -servers a:1", "call: 0 arguments; want one expression, in quotes"},
		{"call -servers a:1 1 + 1", "call: 3 arguments; want one expression, in quotes"},
		{"call -servers a:1 -timeout 0s 1+1", "-timeout is 0s; want more than 0"},
		{"call -servers a:1 7*", `expression "7*", column 3: want a number or "(", got the end`},
		{"load", "-servers is missing; want addresses such as 127.0.0.1:7001,127.0.0.1:7002"},
		{"load -servers a:1 -for 0s", "-for is 0s; want more than 0"},
		{"load -servers a:1 more", `load: unexpected argument "more"`},
	} {
		t.Run(c.args, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			require.Equal(t, 2, run(strings.Fields(c.args), &stdout, &stderr))
			require.Empty(t, stdout.String())
			require.Equal(t, "calc: "+c.want+"\n", stderr.String())
		})
	}
}

func TestHelpIsNoError(t *testing.T) {
	for args, want := range map[string]string{
		"help": "calc call -- '-3+2'", "-h": "-step", "serve -h": "-journal", "call -h": "-timeout", "load -h": "-plain",
	} {
		var stdout, stderr bytes.Buffer
		require.Equal(t, 0, run(strings.Fields(args), &stdout, &stderr), args)
		require.Contains(t, stdout.String(), want, args)
		require.Empty(t, stderr.String(), args)
		requireNarrow(t, stdout.String())
	}
}

// requireNarrow fails the test if a line has no room in columns.
func requireNarrow(t *testing.T, text string) {
	t.Helper()
	for line := range strings.Lines(text) {
		line = strings.ReplaceAll(strings.TrimRight(line, "\n"), "    \t", "        ") // as package flag has it
		require.LessOrEqual(t, utf8.RuneCountInString(line), columns, "%q", line)
	}
}

// Without -servers, call starts replicas of its own.
func TestCallWithoutServers(t *testing.T) {
	elsewhere := t.TempDir()
	t.Setenv("TMPDIR", t.TempDir())
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"call", "--", "-3+2"}, "-1\n"},
		{[]string{"call", "(1+2)*3"}, "9\n"},
		{[]string{"call", "-codec", "jsonrpc", "--", "-(1+2)*-3"}, "9\n"},
	} {
		var stdout bytes.Buffer
		stderr, err := os.Create(filepath.Join(elsewhere, "stderr")) // which processes can share
		require.NoError(t, err)
		status := run(c.args, &stdout, stderr)
		require.NoError(t, stderr.Close())
		said, err := os.ReadFile(stderr.Name())
		require.NoError(t, err)
		require.Empty(t, string(said))
		require.Equal(t, 0, status)
		require.Equal(t, c.want, stdout.String())
	}
	left, err := os.ReadDir(os.TempDir())
	require.NoError(t, err)
	require.Empty(t, left, "temporary files")
}

func TestFailureIsStatus1(t *testing.T) {
	var stdout, stderr bytes.Buffer
	require.Equal(t, 1, run([]string{"serve", "-addr", "nowhere"}, &stdout, &stderr))
	require.Equal(t, 1, strings.Count(stderr.String(), "\n"))
}
