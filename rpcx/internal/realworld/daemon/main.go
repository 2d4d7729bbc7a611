// Command daemon runs jobs in the background. It is server and command line in one, as many
// daemons are: net/rpc over HTTP on a Unix socket, beside a page of its state.
//
//	daemon -socket PATH serve               run jobs until SIGTERM
//	daemon -socket PATH submit NAME TIME    start a job
//	daemon -socket PATH list
//	daemon -socket PATH wait ID             print the job once it has ended
//	daemon -socket PATH cancel ID
//	daemon -socket PATH shell               read such commands from standard input
package main

import (
	"flag"
	"fmt"
	"os"
)

func main() {
	socket := flag.String("socket", "daemon.sock", "path of the Unix socket")
	flag.Parse()
	var err error
	switch flag.Arg(0) {
	case "serve":
		err = serve(*socket)
	case "shell":
		err = shell(*socket, os.Stdin)
	default:
		err = once(*socket, flag.Args())
	}
	if err != nil {
		fmt.Println("daemon:", err)
		os.Exit(1)
	}
}
