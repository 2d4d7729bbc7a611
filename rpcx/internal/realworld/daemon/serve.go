package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/rpc"
	"os"
	"os/signal"
	"syscall"
)

// serve runs the daemon until it is told to stop. A socket that a killed daemon has left is
// replaced.
func serve(socket string) error {
	jobs := new(Jobs)
	if err := rpc.Register(jobs); err != nil {
		return err
	}
	rpc.HandleHTTP()
	http.HandleFunc("/status", func(w http.ResponseWriter, _ *http.Request) {
		var list []Job
		jobs.List(struct{}{}, &list) //nolint:errcheck // it has no error
		fmt.Fprintf(w, "%d jobs\n", len(list))
	})
	if err := os.Remove(socket); err != nil && !os.IsNotExist(err) {
		return err
	}
	lis, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	fmt.Println("ready")
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	context.AfterFunc(ctx, func() { lis.Close() })
	if err := http.Serve(lis, nil); ctx.Err() == nil {
		return err
	}
	fmt.Println("stopped")
	return nil
}
