// Package browser_test drives the page of rpcx.DebugHandler in headless Chromium.
package browser_test

import (
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
