package main

import (
	"errors"
	"fmt"
)

// VoteArgs ask for a vote.
type VoteArgs struct{ Term, Candidate, LastIndex, LastTerm int }

// VoteReply is the answer.
type VoteReply struct {
	Term    int
	Granted bool
}

// AppendArgs bring entries.
type AppendArgs struct {
	Term, Leader, PrevIndex, PrevTerm, Commit int
	Entries                                   []Entry
}

// AppendReply is the answer.
type AppendReply struct {
	Term    int
	Success bool
	Length  int // of the follower's log
}

// Raft is the service that nodes call.
type Raft struct{ node *Node }

// RequestVote answers a candidate.
func (r *Raft) RequestVote(args VoteArgs, reply *VoteReply) error {
	n := r.node
	n.mu.Lock()
	defer n.mu.Unlock()
	if args.Term > n.term {
		n.follow(args.Term, none)
	}
	index, term := n.last()
	current := args.LastTerm > term || args.LastTerm == term && args.LastIndex >= index
	if args.Term == n.term && current && (n.vote == none || n.vote == args.Candidate) {
		n.vote = args.Candidate
		n.persist(len(n.log))
		n.postpone()
		reply.Granted = true
	}
	reply.Term = n.term
	return nil
}

// AppendEntries takes entries of a leader.
func (r *Raft) AppendEntries(args AppendArgs, reply *AppendReply) error {
	n := r.node
	n.mu.Lock()
	defer n.mu.Unlock()
	reply.Term, reply.Length = n.term, len(n.log)
	if args.Term < n.term {
		return nil
	}
	if args.Term > n.term || n.role != follower || n.leader != args.Leader {
		n.follow(args.Term, args.Leader)
		reply.Term = n.term
	}
	n.postpone()
	if args.PrevIndex > len(n.log) || n.termOf(args.PrevIndex) != args.PrevTerm {
		return nil
	}
	n.merge(args.PrevIndex, args.Entries)
	reply.Success, reply.Length = true, len(n.log)
	if commit := min(args.Commit, args.PrevIndex+len(args.Entries)); commit > n.commit {
		n.commit = commit
		n.apply()
	}
	return nil
}

// merge puts entries behind the first prev. What is there already stays: a request may be late.
func (n *Node) merge(prev int, entries []Entry) {
	for i, e := range entries {
		at := prev + i
		if at < len(n.log) && n.log[at].Term == e.Term {
			continue
		}
		if at < n.commit {
			panic(fmt.Sprintf("entry %d is committed and is to be replaced", at+1))
		}
		n.log = append(n.log[:at:at], entries[i:]...)
		n.persist(at)
		return
	}
}

// KV is the service that clients call.
type KV struct{ node *Node }

// Result is the result of an operation.
type Result struct {
	Value string // of the key, with the operation done
	Done  bool
}

// The errors of Do. After the second, the operation may be done or not, now or later.
var (
	errNotLeader = errors.New("not the leader")
	errLost      = errors.New("leadership lost")
)

// Do runs an operation once it is committed.
func (kv *KV) Do(op Op, result *Result) error {
	n := kv.node
	n.mu.Lock()
	if n.role != leader {
		n.mu.Unlock()
		return errNotLeader
	}
	term, done := n.term, make(chan Result, 1)
	n.log = append(n.log, Entry{term, op})
	index := len(n.log)
	n.persist(index - 1)
	n.waiting[index] = waiter{term, done}
	n.notify()
	for n.role == leader && n.term == term {
		changed := n.changed
		n.mu.Unlock()
		select {
		case *result = <-done:
			return lostUnless(result.Done)
		case <-changed:
		}
		n.mu.Lock()
	}
	defer n.mu.Unlock()
	select {
	case *result = <-done:
		return lostUnless(result.Done)
	default:
		if n.waiting[index].done == done {
			delete(n.waiting, index)
		}
		return errLost
	}
}

func lostUnless(done bool) error {
	if !done {
		return errLost
	}
	return nil
}
