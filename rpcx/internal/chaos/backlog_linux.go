package chaos

import (
	"errors"
	"io"
	"net/netip"
	"syscall"
)

// sockets are sockets below package net, which cannot ask for a short queue.
type sockets []int

// Close implements io.Closer.
func (s sockets) Close() error {
	var errs []error
	for _, fd := range s {
		errs = append(errs, syscall.Close(fd))
	}
	return errors.Join(errs...)
}

// FullBacklog listens at addr with the shortest queue there is, fills it, and
// accepts nothing: the kernel then drops every SYN.
func FullBacklog(addr string) (_ io.Closer, err error) {
	ap, err := netip.ParseAddrPort(addr)
	if err != nil {
		return nil, err
	}
	sa := &syscall.SockaddrInet4{Port: int(ap.Port()), Addr: ap.Addr().As4()}
	var all sockets
	defer func() {
		if err != nil {
			all.Close()
		}
	}()
	open := func() (int, error) {
		fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
		if err == nil {
			all = append(all, fd)
		}
		return fd, err
	}
	fd, err := open()
	if err != nil {
		return nil, err
	}
	if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err != nil {
		return nil, err
	}
	if err := syscall.Bind(fd, sa); err != nil {
		return nil, err
	}
	if err := syscall.Listen(fd, 0); err != nil {
		return nil, err
	}
	for range 2 { // one more than it holds
		fd, err := open()
		if err != nil {
			return nil, err
		}
		if err := syscall.Connect(fd, sa); err != nil && !errors.Is(err, syscall.EINPROGRESS) {
			return nil, err
		}
	}
	return all, nil
}
