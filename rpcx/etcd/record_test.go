package etcd

import (
	"testing"

	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx"
)

// A replica that can never be reached is not registered, and left out of the set.
func TestAddressesThatCannotBeRight(t *testing.T) {
	for _, address := range []string{"", "a", "a:", "a:0", "a:99999", "a:-1", "a:no-such-service", "\ufeffa:1"} {
		_, err := decode(address, nil)
		require.Error(t, err, "%q", address)
		_, err = encode(rpcx.Endpoint{Address: address})
		require.Error(t, err, "%q", address)
	}
	for _, address := range []string{"a:1", ":1", "[::1]:1", "a:http", "/run/calc.sock", "@calc"} {
		_, err := decode(address, nil)
		require.NoError(t, err)
	}
}

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
