package simnet_test

import (
	"testing"

	"resilientrpc/rpcx/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }
