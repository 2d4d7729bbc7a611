package main

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// A list is a file that names the replicas, one a line. All methods may be called on
// nil, which is none.
type list struct {
	path string // empty until prepare has chosen one
}

// newList understands the flag -resolver.
func newList(resolver string) (*list, error) {
	switch path, isFile := strings.CutPrefix(resolver, "file://"); {
	case resolver == "":
		return nil, nil //nolint:nilnil // no list
	case resolver == "file":
		return &list{}, nil
	case isFile && filepath.IsAbs(filepath.FromSlash(path)):
		return &list{path: filepath.FromSlash(path)}, nil
	}
	return nil, usagef("-resolver is %q; want file or file:///path (for etcd there is rpcx/etcd/example)", resolver)
}

// prepare writes the list for the first time: in dir, unless it has a path already. It
// overwrites nothing.
func (l *list) prepare(dir string, f fleet) error {
	if l == nil {
		return nil
	}
	if l.path == "" {
		l.path = filepath.Join(dir, "calc.replicas")
	}
	file, err := os.OpenFile(l.path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	return l.write(f)
}

// write replaces what the list says. A file that is renamed is never seen half.
func (l *list) write(f fleet) error {
	next := l.path + ".new"
	text := strings.Join(f.addrs(), "\n") + "\n"
	if err := os.WriteFile(next, []byte(text), 0o600); err != nil {
		return err
	}
	return os.Rename(next, l.path)
}

// remove deletes what prepare has made.
func (l *list) remove() {
	if l != nil {
		os.Remove(l.path) //nolint:errcheck // it is not needed any more
	}
}

// url is the list's address for rpcx.
func (l *list) url() string {
	path := filepath.ToSlash(l.path)
	if !strings.HasPrefix(path, "/") {
		path = "/" + path // C:/calc.replicas
	}
	return (&url.URL{Scheme: "file", Path: path}).String()
}
