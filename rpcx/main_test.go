package rpcx_test

import (
	"io"
	"log"
	"os"
	"testing"

	"resilientrpc/rpcx/internal/leak"
)

func TestMain(m *testing.M) {
	if journal := os.Getenv(childEnv); journal != "" {
		runChild(journal)
		return
	}
	log.SetOutput(io.Discard) // net/rpc's server logs what the tests do to it
	leak.Main(m)
}
