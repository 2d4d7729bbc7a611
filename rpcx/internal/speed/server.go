package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"math/big"
	"net"
	"net/rpc"
	stdjson "net/rpc/jsonrpc"
	"time"

	"resilientrpc/codec"
	"resilientrpc/rpcx"
)

// A wire is what requests and replies are encoded as and sent over.
type wire int

const (
	gobTCP wire = iota
	jsonTCP
	gobTLS
	wires // how many there are
)

// idlers is how many endpoints the rows of idle endpoints connect to: no more than a
// client uses all of by default.
const idlers = 60

// A server is the child that serves every wire three times, with net/rpc's server and with
// rpcx.Serve.
type server struct {
	*process
	addresses
}

// addresses are the answer of the child.
type addresses struct {
	Stock [wires]string // net/rpc's server
	Serve [wires]string // rpcx.Serve
	// Forgets is rpcx.Serve that keeps no answers.
	Forgets [wires]string
	Idle    []string // net/rpc's server, gob
	Cert    []byte   // of the TLS servers
}

func startServer() (*server, error) {
	s := new(server)
	var err error
	s.process, err = startChild("server", nil, &s.addresses)
	return s, err
}

// serverRole serves until the process ends.
func serverRole(orders *json.Decoder, answers *json.Encoder) error {
	if err := orders.Decode(new(any)); err != nil {
		return err
	}
	cert, err := newCertificate()
	if err != nil {
		return err
	}
	a := addresses{Cert: cert.Certificate[0], Idle: make([]string, idlers)}
	for w := range wires {
		if a.Stock[w], err = listen(w, cert, acceptAll); err != nil {
			return err
		}
		if a.Serve[w], err = listen(w, cert, serveAll(0)); err != nil {
			return err
		}
		if a.Forgets[w], err = listen(w, cert, serveAll(-1)); err != nil {
			return err
		}
	}
	for i := range a.Idle {
		if a.Idle[i], err = listen(gobTCP, cert, acceptAll); err != nil {
			return err
		}
	}
	return answers.Encode(a)
}

// listen has serve accept connections at a new address.
func listen(w wire, cert tls.Certificate, serve func(wire, net.Listener, *rpc.Server)) (string, error) {
	s := rpc.NewServer()
	if err := s.Register(Arith{}); err != nil {
		return "", err
	}
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	addr := lis.Addr().String()
	if w == gobTLS {
		lis = tls.NewListener(lis, &tls.Config{Certificates: []tls.Certificate{cert}})
	}
	go serve(w, lis, s)
	return addr, nil
}

// acceptAll is net/rpc's server.
func acceptAll(w wire, lis net.Listener, s *rpc.Server) {
	if w != jsonTCP {
		s.Accept(lis)
		return
	}
	for {
		conn, err := lis.Accept()
		if err != nil {
			return
		}
		go s.ServeCodec(stdjson.NewServerCodec(conn))
	}
}

// serveAll is rpcx's server, with ServeConfig.KeepAnswers.
func serveAll(keep int) func(wire, net.Listener, *rpc.Server) {
	return func(w wire, lis net.Listener, s *rpc.Server) {
		var newCodec func(io.ReadWriteCloser) rpc.ServerCodec // gob
		if w == jsonTCP {
			newCodec = codec.NewJSONServer
		}
		cfg := rpcx.ServeConfig{KeepAnswers: keep}
		cfg.Serve(context.Background(), lis, s, newCodec) //nolint:errcheck // it ends with the process
	}
}

// newCertificate makes a certificate of 127.0.0.1, signed by itself.
func newCertificate() (cert tls.Certificate, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return cert, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(24 * time.Hour), IsCA: true,
		BasicConstraintsValid: true, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}

// clientTLS trusts the servers' certificate.
func (a *addresses) clientTLS() (*tls.Config, error) {
	cert, err := x509.ParseCertificate(a.Cert)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AddCert(cert)
	return &tls.Config{RootCAs: roots}, nil
}
