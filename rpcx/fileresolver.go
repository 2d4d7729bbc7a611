package rpcx

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// fileInterval is how often a file is read: cheaper than a watch is to get right
	// on every system and network file system, and blind to no kind of change.
	fileInterval = time.Second
	// fileSettle is how long a file has to stay the same to be taken: one that is
	// written in place is seen empty, and then half.
	fileSettle = 50 * time.Millisecond
	// maxFileSize is that of some 500,000 endpoints.
	maxFileSize = 16 << 20
)

// fileResolver reads endpoints from a file. Each line is one, an address with a
// weight and a priority if they are not the default; comments start with # and empty
// lines mean nothing:
//
//	10.0.0.1:1234            # twice as strong as the next
//	10.0.0.2:1234 weight=2
//	10.9.0.1:1234 priority=1 # only if all others are down
//
// The file may be written in place or replaced by another under its name, also
// through symbolic links, as Kubernetes does with a ConfigMap. A line that is not
// understood is a failure to learn the set, however good the others are.
type fileResolver struct {
	network string
	path    string
}

// Watch implements Resolver.
func (f *fileResolver) Watch(ctx context.Context, deliver func([]Endpoint, error)) error {
	var last *string // nil if the file could not be read
	return poll(ctx, deliver, nil, func(ctx context.Context) ([]Endpoint, time.Duration, error) {
		text, err := f.settled(ctx, last)
		var set []Endpoint
		if last = text; err == nil {
			set, err = f.parse(*text)
		}
		if err != nil {
			err = fmt.Errorf("rpcx: resolve %s: %w", f.path, err)
		}
		return set, fileInterval, err
	})
}

// settled returns the content of the file when it is the last one, or stays the same
// for a while.
func (f *fileResolver) settled(ctx context.Context, last *string) (*string, error) {
	text, err := f.read()
	for err == nil && (last == nil || text != *last) {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(fileSettle):
		}
		seen := text
		last = &seen
		text, err = f.read()
	}
	if err != nil {
		return nil, err
	}
	return &text, nil
}

// read returns the content of the file, at most maxFileSize. It opens nothing else:
// a named pipe would block.
func (f *fileResolver) read() (string, error) {
	info, err := os.Stat(f.path)
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() {
		return "", errors.New("not a regular file")
	}
	file, err := os.Open(f.path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	b, err := io.ReadAll(io.LimitReader(file, maxFileSize+1))
	if len(b) > maxFileSize {
		return "", fmt.Errorf("longer than %d bytes", maxFileSize)
	}
	return string(b), err
}

func (f *fileResolver) parse(text string) ([]Endpoint, error) {
	var set []Endpoint
	at := make(map[string]int)
	number := 0
	for line := range strings.Lines(text) {
		number++
		fields := strings.Fields(line)
		if i := slices.IndexFunc(fields, isComment); i >= 0 {
			fields = fields[:i]
		}
		if len(fields) == 0 {
			continue
		}
		e, err := f.parseLine(fields)
		if err == nil && at[e.Address] > 0 {
			err = fmt.Errorf("the address %q is on line %d too; list it once and set its weight", e.Address, at[e.Address])
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		at[e.Address] = number
		set = append(set, e)
	}
	return set, nil
}

func isComment(field string) bool { return strings.HasPrefix(field, "#") }

func (f *fileResolver) parseLine(fields []string) (Endpoint, error) {
	e := Endpoint{Address: fields[0]}
	if !strings.HasPrefix(f.network, "unix") {
		if _, port, err := net.SplitHostPort(e.Address); err != nil || port == "" || strings.Contains(port, "#") {
			return e, fmt.Errorf("the address %q is not of the form host:port, followed by a space", e.Address)
		}
	}
	seen := make(map[string]bool)
	for _, field := range fields[1:] {
		key, value, _ := strings.Cut(field, "=")
		if seen[key] {
			return e, fmt.Errorf("%s is set twice", key)
		}
		seen[key] = true
		var err error
		switch key {
		case "weight":
			e.Weight, err = parseNumber(key, value, 1)
		case "priority":
			e.Priority, err = parseNumber(key, value, 0)
		default:
			err = fmt.Errorf("%q is unknown; after the address there may be weight=N, priority=N and a # comment", field)
		}
		if err != nil {
			return e, err
		}
	}
	return e, nil
}

// parseNumber takes what the balancer takes for a weight.
func parseNumber(key, value string, least int) (int, error) {
	const most = 1_000_000
	n, err := strconv.Atoi(value)
	if err != nil || n < least || n > most {
		return 0, fmt.Errorf("%s=%s; want a number from %d to %d", key, value, least, most)
	}
	return n, nil
}
