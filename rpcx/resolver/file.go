package resolver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/cenkalti/backoff/v4"

	"resilientrpc/rpcx/internal/hostport"
)

const (
	// fileInterval is the time between two reads. Polling is cheap, and works on every
	// system and network file system, unlike notifications.
	fileInterval = time.Second
	// fileStable is how long a file must stay unchanged before it is used: a file that is
	// being written in place is empty first, and then incomplete.
	fileStable = 50 * time.Millisecond
	// fileUnfinished replaces fileStable if the last line has no newline at its end, since
	// the line may be half an address.
	fileUnfinished = 5 * time.Second
	// maxFileSize is the largest file in bytes, for about 500,000 endpoints.
	maxFileSize = 16 << 20
)

// File returns a resolver that reads endpoints from a file every second. The network is
// that of their addresses. Each line is an address, followed by its weight and priority
// if they are not the default. Comments start with #, and empty lines are ignored:
//
//	10.0.0.1:1234            # weight 1, priority 0
//	10.0.0.2:1234 weight=2   # twice the capacity
//	10.9.0.1:1234 priority=1 # used only while all others are down
//
// The file is UTF-8 text, with or without a byte order mark. It may be written in place
// or replaced by renaming another file, also through symbolic links, as Kubernetes does
// with a ConfigMap. If the last line does not end in a newline, the file may be
// incomplete: it is used after it has not changed for 5 seconds.
//
// If one line is malformed, the whole file is an error. After an error the last set stays
// in use, and the file is read again every second. If the first read fails or finds no
// endpoint, Watch returns an error: probably the path is wrong.
func File(network, path string) Resolver {
	return &fileResolver{network: network, path: path}
}

type fileResolver struct {
	network string
	path    string
}

// Watch implements Resolver.
func (f *fileResolver) Watch(ctx context.Context, deliver func([]Endpoint, error)) error {
	var last *string // nil if the last read failed
	used := false    // whether a set has been delivered
	return poll(ctx, deliver, nil, func(ctx context.Context) ([]Endpoint, time.Duration, error) {
		text, err := f.readStable(ctx, last)
		var set []Endpoint
		if last = text; err == nil {
			set, err = f.parse(*text)
		}
		if !used && err == nil && len(set) == 0 {
			err = errors.New("it names no endpoint; write an address a line")
		}
		switch {
		case err == nil:
			used = true
		case used:
			err = fmt.Errorf("rpcx: resolve %s: %w", f.path, err)
		default:
			err = backoff.Permanent(fmt.Errorf("resolve %s: %w", f.path, err))
		}
		return set, fileInterval, err
	})
}

// readStable returns the content of the file as soon as it equals the last one, or has
// not changed for fileStable or fileUnfinished.
func (f *fileResolver) readStable(ctx context.Context, last *string) (*string, error) {
	var seen *string
	var since time.Time
	for {
		text, modified, err := f.read()
		now := time.Now()
		switch {
		case err != nil:
			return nil, err
		case last != nil && text == *last:
			return &text, nil
		case seen == nil || text != *seen:
			seen, since = &text, now
		case isFinished(text), now.Sub(modified) >= fileUnfinished, now.Sub(since) >= fileUnfinished:
			return &text, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(fileStable):
		}
	}
}

func isFinished(text string) bool { return text == "" || strings.HasSuffix(text, "\n") }

var errNotUTF8 = errors.New("not UTF-8 text; save it in that encoding")

// read returns the content of the file, at most maxFileSize, and the time of its last
// change. It opens regular files only: opening a named pipe would block.
func (f *fileResolver) read() (text string, modified time.Time, err error) {
	info, err := os.Stat(f.path)
	if err != nil {
		return "", modified, err
	}
	if !info.Mode().IsRegular() {
		return "", modified, errors.New("not a regular file")
	}
	file, err := os.Open(f.path)
	if err != nil {
		return "", modified, err
	}
	defer file.Close()
	b, err := io.ReadAll(io.LimitReader(file, maxFileSize+1))
	if len(b) > maxFileSize {
		return "", modified, fmt.Errorf("longer than %d bytes", maxFileSize)
	}
	return string(b), info.ModTime(), err
}

// parse returns the set that a file's content lists.
func (f *fileResolver) parse(text string) ([]Endpoint, error) {
	if !utf8.ValidString(text) || strings.Contains(text, "\x00") {
		return nil, errNotUTF8
	}
	text = strings.TrimPrefix(text, "\ufeff")
	var set []Endpoint
	lineOf := make(map[string]int) // by canonical address
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
		canonical, err := hostport.Canonical(f.network, fields[0])
		if err == nil && lineOf[canonical] > 0 {
			err = fmt.Errorf("the address %q is on line %d too; list it once and set its weight", fields[0], lineOf[canonical])
		}
		var e Endpoint
		if err == nil {
			e, err = parseLine(fields)
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		lineOf[canonical] = number
		set = append(set, e)
	}
	return set, nil
}

func isComment(field string) bool { return strings.HasPrefix(field, "#") }

// parseLine returns the endpoint of a line without its comment.
func parseLine(fields []string) (Endpoint, error) {
	e := Endpoint{Address: fields[0]}
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

// parseNumber accepts what the balancer accepts as a weight.
func parseNumber(key, value string, smallest int) (int, error) {
	const largest = 1_000_000
	n, err := strconv.Atoi(value)
	if err != nil || n < smallest || n > largest {
		return 0, fmt.Errorf("%s=%s; want a number from %d to %d", key, value, smallest, largest)
	}
	return n, nil
}
