// Command plugin is a program with plugins in the manner of hashicorp/go-plugin. A plugin is a
// process that speaks net/rpc over streams of yamux on its standard input and output. Either
// side calls the other: for a call that needs it, the host serves a stream of its own.
//
//	plugin host     start a plugin, read commands from standard input, and call it
//	plugin serve    be one
package main

import (
	"fmt"
	"os"
)

func main() {
	args := append(os.Args[1:], "")
	var err error
	switch args[0] {
	case "host":
		err = host(os.Stdin)
	case "serve":
		err = serve()
	default:
		err = fmt.Errorf("usage: plugin host | plugin serve")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "plugin:", err)
		os.Exit(1)
	}
}
