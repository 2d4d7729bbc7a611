package rpcx

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
)

const (
	// fileInterval is how often a file is read: cheaper than a watch is to get right
	// on every system and network file system, and blind to no kind of change.
	fileInterval = time.Second
	// fileSettle is how long a file has to stay the same to be taken: one that is
	// written in place is seen empty, and then half.
	fileSettle = 50 * time.Millisecond
	// fileUnfinished is the same for one whose last line has no newline at its end: it
	// may be half an address.
	fileUnfinished = 5 * time.Second
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
// The file is UTF-8 text, with or without a byte order mark. It may be written in place
// or replaced by another under its name, also through symbolic links, as Kubernetes
// does with a ConfigMap. If its last line does not end in a newline, the writer may not
// be done with it: such a file is used once it has not been changed for 5 seconds.
//
// A line that is not understood is a failure to learn the set, however good the others
// are. After a failure the last set stays in use, and the file is read again every
// second. A file that cannot be used when it is first read ends the watch: it is more
// likely that its name is wrong than that it will be there in a moment.
type fileResolver struct {
	network string
	path    string
}

// Watch implements Resolver.
func (f *fileResolver) Watch(ctx context.Context, deliver func([]Endpoint, error)) error {
	var last *string // nil if the file could not be read
	used := false
	return poll(ctx, deliver, nil, func(ctx context.Context) ([]Endpoint, time.Duration, error) {
		text, err := f.settled(ctx, last)
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

// settled returns the content of the file when it is the last one, or has stayed the
// same for a while.
func (f *fileResolver) settled(ctx context.Context, last *string) (*string, error) {
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
		case <-time.After(fileSettle):
		}
	}
}

func isFinished(text string) bool { return text == "" || strings.HasSuffix(text, "\n") }

var errNotUTF8 = errors.New("not UTF-8 text; save it in that encoding")

// read returns the content of the file, at most maxFileSize, and when it was changed.
// It opens nothing else: a named pipe would block.
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

func (f *fileResolver) parse(text string) ([]Endpoint, error) {
	if !utf8.ValidString(text) || strings.Contains(text, "\x00") {
		return nil, errNotUTF8
	}
	text = strings.TrimPrefix(text, "\ufeff")
	var set []Endpoint
	at := make(map[string]int) // by canonical address
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
		canonical, err := canonicalAddress(f.network, fields[0])
		if err == nil && at[canonical] > 0 {
			err = fmt.Errorf("the address %q is on line %d too; list it once and set its weight", fields[0], at[canonical])
		}
		var e Endpoint
		if err == nil {
			e, err = parseLine(fields)
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		at[canonical] = number
		set = append(set, e)
	}
	return set, nil
}

func isComment(field string) bool { return strings.HasPrefix(field, "#") }

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

// parseNumber takes what the balancer takes for a weight.
func parseNumber(key, value string, least int) (int, error) {
	const most = 1_000_000
	n, err := strconv.Atoi(value)
	if err != nil || n < least || n > most {
		return 0, fmt.Errorf("%s=%s; want a number from %d to %d", key, value, least, most)
	}
	return n, nil
}
