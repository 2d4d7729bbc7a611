package promrpcx_test

import (
	"os"
	"os/exec"
	"testing"

	"resilientrpc/rpcx/internal/chaos"
	"resilientrpc/rpcx/internal/leak"
)

func TestMain(m *testing.M) {
	if chaos.Child() {
		return
	}
	leak.Main(m)
}

// tool returns the path of a command of Debian's package prometheus. Where it is
// missing the test is skipped, but not in CI.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	switch {
	case err == nil:
	case os.Getenv("CI") == "true":
		t.Fatalf("%v: install the package prometheus", err)
	default:
		t.Skipf("%v: install the package prometheus", err)
	}
	return path
}
