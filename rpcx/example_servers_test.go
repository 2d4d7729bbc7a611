package rpcx_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"log"
	"math/big"
	"net"
	"net/rpc"
	"time"

	"resilientrpc/rpcx/internal/dnstest"
)

// What the examples need at the other end.

// slowArith has a method that takes as long as it is told.
type slowArith struct{ Arith }

func (slowArith) Wait(d time.Duration, _ *struct{}) error {
	time.Sleep(d) // it is what the method does
	return nil
}

// brokenArith cannot do anything.
type brokenArith struct{}

func (brokenArith) Multiply(Args, *int) error { return errors.New("database is closed") }

// serve starts a server of a service and returns its address.
func serve(arith any, accept func(*rpc.Server, net.Listener)) (addr string, stop func()) {
	server := rpc.NewServer()
	if err := server.RegisterName("Arith", arith); err != nil {
		log.Fatal(err)
	}
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go accept(server, lis)
	return lis.Addr().String(), func() { lis.Close() }
}

// certificate makes a certificate for a name, and the roots that vouch for it.
func certificate(name string) (tls.Certificate, *x509.CertPool) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		log.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		log.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, roots
}

// resolves starts a name server that knows one name.
func resolves(name, ip string) (addr string, stop func()) {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	s := new(dnstest.Server)
	s.Set(name, dnstest.TypeA, dnstest.Answer{TTL: 30, Records: []dnstest.Record{dnstest.IP(ip)}})
	s.Set(name, dnstest.TypeAAAA, dnstest.Answer{})
	go s.ServePacket(conn)
	return conn.LocalAddr().String(), func() { conn.Close() }
}
