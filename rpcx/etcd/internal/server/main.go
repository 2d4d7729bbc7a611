// Command server is an etcd of one member for tests: a process that they can kill.
//
//	server DIRECTORY CLIENT-URL PEER-URL
//
// It prints a line when it serves, and ends with its standard input. It is a module
// of its own, because what etcd's server needs is no concern of its clients.
package main

import (
	"fmt"
	"io"
	"log"
	"net/url"
	"os"

	"go.etcd.io/etcd/server/v3/embed"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) != 4 {
		log.Fatal("usage: server DIRECTORY CLIENT-URL PEER-URL")
	}
	e, err := embed.StartEtcd(config(os.Args[1], address(os.Args[2]), address(os.Args[3])))
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		io.Copy(io.Discard, os.Stdin) //nolint:errcheck // its end is what counts
		os.Exit(0)                    // the parent is gone
	}()
	<-e.Server.ReadyNotify()
	fmt.Println("ready")
	log.Fatal(<-e.Err())
}

func address(text string) []url.URL {
	u, err := url.Parse(text)
	if err != nil {
		log.Fatal(err)
	}
	return []url.URL{*u}
}

func config(dir string, client, peer []url.URL) *embed.Config {
	cfg := embed.NewConfig()
	cfg.Dir = dir
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = client, client
	cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = peer, peer
	cfg.InitialCluster = cfg.InitialClusterFromName(cfg.Name)
	cfg.TickMs, cfg.ElectionMs = 50, 500 // a shorter least TTL of leases: 1 s
	cfg.LogLevel = "error"
	return cfg
}
