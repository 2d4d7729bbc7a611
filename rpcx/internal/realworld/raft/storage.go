package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"os"
)

// An Op is what an entry of the log does to the state machine.
type Op struct {
	Kind  string // "append", "get", or "" of a new leader's first entry
	Key   string
	Value string
}

// An Entry is one of the log.
type Entry struct {
	Term int
	Op   Op
}

// record is a line of a node's file. It holds what has changed.
type record struct {
	Term, Vote int
	Keep       int // so many entries of the log stay; those below follow them
	Entries    []Entry
}

// storage keeps what a node must not forget. What was written outlives the process, even if
// it is killed; the machine is not expected to crash.
type storage struct{ file *os.File }

// open returns the storage at path and what it holds.
func open(path string) (*storage, record, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, record{}, err
	}
	held := record{Vote: none}
	var end int64
	for lines := bufio.NewReader(file); ; {
		line, err := lines.ReadBytes('\n')
		if err == io.EOF {
			break // what is left has no newline: its writer was killed within
		}
		if err != nil {
			return nil, record{}, err
		}
		var r record
		if err := json.Unmarshal(bytes.TrimSpace(line), &r); err != nil {
			return nil, record{}, err
		}
		held.Term, held.Vote = r.Term, r.Vote
		held.Entries = append(held.Entries[:r.Keep], r.Entries...)
		end += int64(len(line))
	}
	if err := file.Truncate(end); err != nil {
		return nil, record{}, err
	}
	_, err = file.Seek(end, io.SeekStart)
	return &storage{file}, held, err
}

// write adds a record. A node that cannot write must not go on.
func (s *storage) write(r record) {
	line, err := json.Marshal(r)
	if err == nil {
		_, err = s.file.Write(append(line, '\n'))
	}
	if err != nil {
		panic(err)
	}
}
