package codec_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"resilientrpc/codec"
)

// A notification is as its specification writes it.
func TestNotificationsOnTheWire(t *testing.T) {
	for want, notifier := range map[string]func(*tape) any{
		`{"method":"Log.Note","params":["x"],"id":null}` + "\n":       func(conn *tape) any { return codec.NewJSONClient(conn) },
		`{"jsonrpc":"2.0","method":"Log.Note","params":["x"]}` + "\n": func(conn *tape) any { return codec.NewJSON2Client(conn) },
	} {
		conn := play(nil)
		require.NoError(t, notifier(conn).(codec.Notifier).Notify("Log.Note", "x"))
		require.Equal(t, want, conn.written.String())
	}
}
