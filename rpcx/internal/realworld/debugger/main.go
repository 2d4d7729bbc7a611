// Command debugger debugs a small built-in program. Server and client are two processes that talk
// JSON-RPC over TCP, in the manner of delve: every command is a call, and "continue" is one
// that lasts until the program stops. The server is for one client, and ends with it.
//
//	debugger serve          print the address, and serve the first client that connects
//	debugger connect ADDR   read commands from standard input
package main

import (
	"fmt"
	"os"
)

func main() {
	args := append(os.Args[1:], "", "")
	var err error
	switch args[0] {
	case "serve":
		err = serve()
	case "connect":
		err = connect(args[1], os.Stdin)
	default:
		err = fmt.Errorf("usage: debugger serve | debugger connect ADDR")
	}
	if err != nil {
		fmt.Println("debugger:", err)
		os.Exit(1)
	}
}
