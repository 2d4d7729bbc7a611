package rpcx_test

import (
	"io"
	"log"
	"testing"

	"resilientrpc/rpcx/internal/chaos"
	"resilientrpc/rpcx/internal/leak"
)

func TestMain(m *testing.M) {
	if chaos.Child() {
		return
	}
	log.SetOutput(io.Discard) // net/rpc's server logs what the tests do to it
	leak.Main(m)
}
