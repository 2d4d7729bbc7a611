package rpcx_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx"
)

// A question that waits for a long method holds its connection at the server only until the
// same is asked over another one. Else a client whose connection breaks again and again
// would use up the server's.
func TestQuestionsLeaveNoConnections(t *testing.T) {
	t.Parallel()
	inShop(t, 1, rpcx.ServeConfig{MaxConns: 10}, false, func(t *testing.T, s *shop) {
		c := s.dial()
		defer c.Close()
		var receipt string
		call := c.Go("Till.Ring", &Sale{ID: 1, Takes: 10 * time.Minute}, &receipt, nil)
		for range 50 {
			time.Sleep(5 * time.Second)
			s.relays[0].breakClients()
		}
		time.Sleep(5 * time.Second)
		require.LessOrEqual(t, s.network.Open("server:0"), 2)
		require.NoError(t, (<-call.Done).Error)
		require.Equal(t, "sale 1", receipt)
		require.Equal(t, 1, s.ledger.count(1))
	})
}

// The connection that broke may hold the last place at the server: a question is answered all
// the same, and frees it.
func TestQuestionBeyondMaxConns(t *testing.T) {
	inShop(t, 1, rpcx.ServeConfig{MaxConns: 1}, false, func(t *testing.T, s *shop) {
		c := s.dial()
		defer c.Close()
		r := s.relays[0]
		time.AfterFunc(time.Second, func() {
			r.shut(&r.up)
			r.breakClients() // and the server does not notice
			hold := r.swap(&r.up)
			time.AfterFunc(time.Minute, func() { close(hold) })
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		began := time.Now()
		receipt, err := rpcx.Invoke[string](ctx, c, "Till.Ring", &Sale{ID: 1, Takes: 20 * time.Second})
		require.Less(t, time.Since(began), 20*time.Second+50*time.Millisecond, "one question waits, and is not asked again")
		require.NoError(t, err)
		require.Equal(t, "sale 1", receipt)
		require.Equal(t, 1, s.ledger.count(1))
	})
}
