// Command speed measures rpcx against net/rpc: the server in a process of its own,
// real sockets, rpcx with its default settings, every reply checked. The two are
// measured by turns in short rounds, so that what else the machine does slows both
// down, and the medians are printed as a table.
//
//	go run ./rpcx/internal/speed             # all rows, some minutes
//	go run ./rpcx/internal/speed -only gob   # the rows with "gob" in their names
//
// Nothing else should run on the machine meanwhile. If that cannot be helped, many short
// rounds give steadier medians: -count 40 -time 50ms.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"
)

func main() {
	if child() {
		return
	}
	only := flag.String("only", "", "measure only the rows whose name contains `text`")
	count := flag.Int("count", 6, "`rounds` for each row")
	length := flag.Duration("time", 500*time.Millisecond, "`duration` of each client's part of a round")
	flag.Parse()
	if err := run(os.Stdout, *only, *count, *length); err != nil {
		fmt.Fprintln(os.Stderr, "speed:", err)
		os.Exit(1)
	}
}

// run measures the rows whose names contain only, and prints each as soon as it is
// complete.
func run(w io.Writer, only string, count int, length time.Duration) (err error) {
	if count < 1 || length <= 0 {
		return errors.New("-count and -time must be positive")
	}
	var selected []row
	for _, r := range rows {
		if strings.Contains(r.name, only) {
			selected = append(selected, r)
		}
	}
	if len(selected) == 0 {
		return fmt.Errorf("no row has %q in its name", only)
	}
	s, err := startServer()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	fmt.Fprintf(w, "%s, %s/%s, %d CPUs; medians of %d rounds of %v\n\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), count, length)
	fmt.Fprint(w, legend)
	for _, r := range selected {
		res, err := r.run(s, count, length)
		if err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
		res.print(w, r)
	}
	return nil
}
