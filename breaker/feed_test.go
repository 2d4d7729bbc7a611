package breaker

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Two goroutines that changed the state one after the other may come to
// publish in the opposite order.
func TestFeedPutsEventsInOrder(t *testing.T) {
	var told []uint64
	f := &feed{fn: func(e Event) { told = append(told, e.Seq) }}
	f.publish(Event{Seq: 3})
	f.publish(Event{Seq: 2})
	require.Empty(t, told)
	f.publish(Event{Seq: 1})
	f.publish(Event{Seq: 4})
	require.Equal(t, []uint64{1, 2, 3, 4}, told)
}
