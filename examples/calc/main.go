// Command calc is a calculator with three replicas. Its servers are stock
// net/rpc, or rpcx.Serve if so wanted; only the client differs. Without a subcommand it is a demo: the
// same load goes through a plain rpc.Dial client and through rpcx, while one
// replica is killed, another frozen, and both brought back.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

const usage = `usage:
  calc [flags]
        the demo: kill one replica, freeze another
  calc serve [flags]
        one replica
  calc call [-servers a,b] [flags] '7*8'
        evaluate an expression; "--" goes before one that
        begins with a minus: calc call -- '-3+2'
  calc load -servers a,b [flags]
        make calls for some time, and report the results
Each command explains its flags with -h.
`

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// run is main without the process: it returns the exit status, which is 0 for
// success, 1 for failure, 2 for bad arguments and 130 when interrupted.
func run(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	err := dispatch(ctx, args, stdout, stderr)
	var bad *usageError
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case errors.As(err, &bad):
		fmt.Fprintf(stderr, "calc: %v\n", err)
		return 2
	case ctx.Err() != nil:
		fmt.Fprintln(stderr, "calc: interrupted")
		return 130
	default:
		fmt.Fprintf(stderr, "calc: %v\n", err)
		return 1
	}
}

func dispatch(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	name := ""
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		name, args = args[0], args[1:]
	}
	switch name {
	case "":
		return runDemo(ctx, args, stdout, stderr)
	case "serve":
		return runServe(ctx, args, stdout)
	case "call":
		return runCall(ctx, args, stdout, stderr)
	case "load":
		return runLoad(ctx, args, stdout)
	case "help":
		fmt.Fprint(stdout, usage)
		return nil
	}
	return usagef("unknown subcommand %q; want serve, call, load, or none for the demo (calc help explains them)", name)
}

// usageError is a mistake in the arguments: one clear line and exit status 2.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func usagef(format string, args ...any) error {
	return &usageError{fmt.Sprintf(format, args...)}
}

// parse reads flags without the flag package's habit of printing the whole
// usage after every typing error. Help goes to stdout.
func parse(fs *flag.FlagSet, args []string, stdout io.Writer) error {
	fs.SetOutput(io.Discard)
	err := fs.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		if fs.Name() == "" {
			fmt.Fprint(stdout, usage)
		}
		fmt.Fprintln(stdout, strings.TrimSpace("flags of calc "+fs.Name())+":")
		fs.SetOutput(stdout)
		fs.PrintDefaults()
		return err
	}
	if err != nil {
		return usagef("%s", strings.TrimPrefix(fs.Name()+": "+err.Error(), ": "))
	}
	return nil
}
