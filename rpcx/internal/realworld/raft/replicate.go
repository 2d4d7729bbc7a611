package main

import (
	"slices"
	"time"
)

// replicate sends a peer what it lacks, and heartbeats, while the node leads. A peer that does
// not answer gets nothing else.
func (n *Node) replicate(j int) {
	for {
		n.mu.Lock()
		changed := n.changed
		args, ok := n.lacks(j)
		n.mu.Unlock()
		var err error
		if ok {
			var reply AppendReply
			if err = n.peers[j].call("Raft.AppendEntries", args, &reply); err == nil {
				n.mu.Lock()
				n.replied(j, args, reply)
				more := n.role == leader && n.next[j] <= len(n.log)
				n.mu.Unlock()
				if more {
					continue
				}
			}
		}
		if err != nil {
			changed = nil // another try is due with the next heartbeat
		}
		select {
		case <-changed:
		case <-time.After(heartbeat):
		}
	}
}

// lacks is the request to a peer, if the node leads.
func (n *Node) lacks(j int) (AppendArgs, bool) {
	if n.role != leader {
		return AppendArgs{}, false
	}
	prev := n.next[j] - 1
	return AppendArgs{
		Term: n.term, Leader: n.id, PrevIndex: prev, PrevTerm: n.termOf(prev), Commit: n.commit,
		Entries: slices.Clone(n.log[prev:min(len(n.log), prev+maxEntries)]),
	}, true
}

// replied takes an answer to such a request.
func (n *Node) replied(j int, args AppendArgs, reply AppendReply) {
	switch {
	case reply.Term > n.term:
		n.follow(reply.Term, none)
	case n.role != leader || n.term != args.Term: // it is late
	case reply.Success:
		n.heard[j] = time.Now()
		n.match[j] = max(n.match[j], args.PrevIndex+len(args.Entries))
		n.next[j] = n.match[j] + 1
		n.advance()
	default:
		n.heard[j] = time.Now()
		n.next[j] = max(n.match[j]+1, min(n.next[j]-1, reply.Length+1))
	}
}

// advance commits what a majority has. Entries of earlier terms are committed by those of
// this one only.
func (n *Node) advance() {
	have := slices.Clone(n.match)
	have[n.id] = len(n.log)
	slices.Sort(have)
	index := have[len(have)-n.majority()]
	if index > n.commit && n.termOf(index) == n.term {
		n.commit = index
		n.apply()
		n.notify()
	}
}
