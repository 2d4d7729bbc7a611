package balancer

import (
	"testing"
	"unsafe"

	"github.com/stretchr/testify/assert"
)

// What each pick and its Done use of a node is one cache line.
func TestNodeFitsCacheLines(t *testing.T) {
	var n Node
	const line = 64
	assert.EqualValues(t, line, unsafe.Offsetof(n.owner)+unsafe.Sizeof(n.owner))
	assert.EqualValues(t, line, unsafe.Offsetof(n.appErrors))
	assert.Zero(t, unsafe.Sizeof(n)%line)
}
