package hostport_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx/internal/hostport"
)

func TestCanonical(t *testing.T) {
	for address, want := range map[string]string{
		"a:1":                   "a:1",
		"Calc.Internal.:0080":   "calc.internal:80",
		"calc:http":             "calc:80",
		"calc:HTTP":             "calc:80",
		":1234":                 ":1234",
		"10.0.0.1:65535":        "10.0.0.1:65535",
		"[::1]:1":               "[::1]:1",
		"[0:0::0:1]:1":          "[::1]:1",
		"[fe80::1%eth0]:1":      "[fe80::1%eth0]:1",
		"[::ffff:10.0.0.1]:1":   "10.0.0.1:1",
		"my_calc-1.example:443": "my_calc-1.example:443",
	} {
		got, err := hostport.Canonical("tcp", address)
		require.NoError(t, err, address)
		require.Equal(t, want, got)
	}
	for address, want := range map[string]string{
		"":                       "not of the form host:port",
		"calc":                   "not of the form host:port",
		"calc:":                  "not of the form host:port",
		"::1":                    "not of the form host:port",
		"[::1]":                  "not of the form host:port",
		"a:1,b:1":                "not of the form host:port",
		"http://a:1":             "not of the form host:port",
		"a:0":                    `the port "0"; want a number from 1 to 65535`,
		"a:000":                  `the port "000"; want`,
		"a:-1":                   `the port "-1"; want`,
		"a:+1":                   `the port "+1"; want`,
		"a:+":                    `the port "+"; want`,
		"a:65536":                `the port "65536"; want`,
		"a:99999":                `the port "99999"; want`,
		"a:18446744073709551617": "want a number from 1 to 65535",
		"a:no-such-service":      `the port "no-such-service", which is no number and no service`,
		"a:80x":                  `the port "80x", which is no number`,
		"a:1 ":                   `the port "1 ", which is no number`,
		"\ufeffa:1":              "a character that no host has",
		"a\u200b:1":              "a character that no host has",
		"a\u00a0b:1":             "a character that no host has",
		"a b:1":                  "a character that no host has",
		"a,b:1":                  "a character that no host has",
		"\xff\xfea:1":            "a character that no host has",
		"a\x00:1":                "a character that no host has",
		"[calc]:1":               "",
		"[::g]:1":                "no IPv6 address in its brackets",
		"[10.0.0.1:1]:1":         "no IPv6 address in its brackets",
	} {
		_, err := hostport.Canonical("tcp", address)
		if want == "" {
			require.NoError(t, err, address) // as net.Dial takes it
			continue
		}
		require.ErrorContains(t, err, want, address)
	}
}

func TestCanonicalOfOtherNetworks(t *testing.T) {
	for network, want := range map[string]string{"udp6": "a:80", "unix": "A:http", "vsock": "A:http", "": "A:http"} {
		got, err := hostport.Canonical(network, "A:http")
		require.NoError(t, err)
		require.Equal(t, want, got, network)
	}
}
