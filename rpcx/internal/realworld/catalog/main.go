// Command catalog is a catalog of services in the manner of consul. Its server speaks net/rpc in
// msgpack, one request at a time on each stream of yamux; its agent has a pool of streams.
//
//	catalog serve [ADDR]     print the address, and serve
//	catalog agent ADDR       read commands from standard input, and call the server
package main

import (
	"cmp"
	"fmt"
	"os"
)

func main() {
	args := append(os.Args[1:], "", "")
	var err error
	switch args[0] {
	case "serve":
		err = serve(cmp.Or(args[1], "127.0.0.1:0"))
	case "agent":
		err = agent(args[1], os.Stdin)
	default:
		err = fmt.Errorf("usage: catalog serve [ADDR] | catalog agent ADDR")
	}
	if err != nil {
		fmt.Println("catalog:", err)
		os.Exit(1)
	}
}
