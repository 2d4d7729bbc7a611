package rpcx_test

import (
	"io"
	"log"
	"testing"

	"resilientrpc/rpcx/internal/leak"
)

func TestMain(m *testing.M) {
	log.SetOutput(io.Discard) // net/rpc's server logs what the tests do to it
	leak.Main(m)
}
