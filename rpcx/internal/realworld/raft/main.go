// Command raft is a replicated log (Ongaro and Ousterhout, "In Search of an Understandable
// Consensus Algorithm", 2014) over net/rpc on Unix sockets, without snapshots and changes of
// membership. Its state machine holds texts that are appended to.
//
//	raft node -dir DIR -id N      run a node, from 0 to -n less 1, until it is killed
//	raft client -dir DIR          read commands from standard input, and run them one by one
//	raft load -dir DIR            call without a pause until standard input ends, and print what happened
//
// Node I serves on the socket DIR/I.sock. It reaches node J by DIR/I-J.sock, and clients reach J by
// DIR/c-J.sock, so that a proxy may stand between any two.
package main

import (
	"flag"
	"fmt"
	"os"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Println("usage: raft node | client | load")
		os.Exit(2)
	}
	flags := flag.NewFlagSet("raft", flag.ExitOnError)
	dir := flags.String("dir", ".", "where the sockets and the logs are")
	id := flags.Int("id", 0, "the node's number")
	n := flags.Int("n", 5, "the number of nodes")
	wander := flags.Bool("wander", true, "whether workers of load wander; else all stay")
	flags.Parse(os.Args[2:]) //nolint:errcheck // it exits
	var err error
	switch os.Args[1] {
	case "node":
		err = runNode(*dir, *id, *n)
	case "client":
		err = script(newClient(*dir, *n), os.Stdin)
	case "load":
		err = load(newClient(*dir, *n), os.Stdin, *wander)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "raft:", err)
		os.Exit(1)
	}
}
