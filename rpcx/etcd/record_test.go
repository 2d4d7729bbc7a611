package etcd

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// What is understood comes back when it is written and read.
func FuzzRecord(f *testing.F) {
	f.Add("a:1", []byte(`{"weight":2,"priority":1,"metadata":{"zone":"north"}}`))
	f.Add("a:1", []byte(""))
	f.Add("a:1", []byte(`{} {}`))
	f.Fuzz(func(t *testing.T, address string, value []byte) {
		e, err := decode(address, value)
		if err != nil {
			return
		}
		text, err := encode(e)
		require.NoError(t, err)
		again, err := decode(address, []byte(text))
		require.NoError(t, err)
		if len(e.Metadata) == 0 {
			e.Metadata, again.Metadata = nil, nil
		}
		require.Equal(t, e, again)
	})
}
