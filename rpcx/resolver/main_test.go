package resolver_test

import (
	"io"
	"log"
	"net"
	"testing"

	"resilientrpc/rpcx/internal/leak"
)

func TestMain(m *testing.M) {
	log.SetOutput(io.Discard) // net/rpc's server logs what the tests do to it
	// The first look-up reads the system's files, which must not be done in a bubble.
	net.LookupPort("tcp", "http") //nolint:errcheck // only that it is done counts
	leak.Main(m)
}
