package main

import (
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx"
)

// The page is there while its client is, and its figures too.
func TestPageShowsTheClient(t *testing.T) {
	near, far := net.Pipe()
	defer far.Close()
	client := rpcx.NewClient(near)
	defer client.Close()
	p, err := servePage("127.0.0.1:0", client)
	require.NoError(t, err)
	defer p.close()
	for query, text := range map[string]string{"": "<!doctype html>", "?format=json": `"Name": "calc"`} {
		resp, err := http.Get(p.url + query)
		require.NoError(t, err)
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Contains(t, string(body), text)
	}
	http.DefaultClient.CloseIdleConnections()

	_, err = servePage("nowhere.invalid:port", client)
	require.ErrorContains(t, err, "-debug: listen tcp")
	none, err := servePage("", client)
	require.NoError(t, err)
	none.close()
}
