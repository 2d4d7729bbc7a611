package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// A journal is a replica's list of executions, each a line: its time, in nanoseconds
// since 1970, and the id of the call. It outlives a SIGKILL: what write(2) has taken belongs to the kernel.
type journal struct{ f *os.File }

func openJournal(path string) (*journal, error) {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	return &journal{f}, nil
}

// append records one execution. A nil journal keeps none.
func (j *journal) append(id string) error {
	if j == nil {
		return nil
	}
	if id == "" || strings.ContainsAny(id, "\r\n") {
		return fmt.Errorf("deposit id %q: want one line that is not empty", id)
	}
	_, err := fmt.Fprintf(j.f, "%d %s\n", time.Now().UnixNano(), id) // one write: O_APPEND keeps lines whole
	return err
}

func (j *journal) close() error {
	if j == nil {
		return nil
	}
	return j.f.Close()
}

// executions returns when each call id was executed, over all journals.
// A journal that was never written counts as empty.
func executions(paths ...string) (map[string][]time.Time, error) {
	runs := make(map[string][]time.Time)
	for _, path := range paths {
		if err := addExecutions(runs, path); err != nil {
			return nil, err
		}
	}
	return runs, nil
}

func addExecutions(runs map[string][]time.Time, path string) error {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		stamp, id, _ := strings.Cut(lines.Text(), " ")
		nanos, err := strconv.ParseInt(stamp, 10, 64)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		runs[id] = append(runs[id], time.Unix(0, nanos))
	}
	return lines.Err()
}
