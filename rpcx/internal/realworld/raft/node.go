package main

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/rpc"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// none is the number of no node.
const none = -1

const (
	heartbeat   = 60 * time.Millisecond
	minElection = 300 * time.Millisecond // the shortest time without a leader
	maxElection = 600 * time.Millisecond
	maxReign    = 2 * maxElection // of a leader that does not hear of a majority
	maxEntries  = 256             // in one request
)

type role int

const (
	follower role = iota
	candidate
	leader
)

// A Node is one of the cluster.
type Node struct {
	id    int
	peers []*peer // nil in its own place
	disk  *storage

	mu       sync.Mutex // protects following
	changed  chan struct{}
	role     role
	term     int
	vote     int
	log      []Entry // the first has the index 1
	leader   int
	commit   int
	state    map[string]string // of the first applied entries
	applied  int
	election time.Time // when to stand for election if nothing is heard
	waiting  map[int]waiter
	next     []int       // of a leader, for each peer: the index of the next entry to be sent
	match    []int       // likewise: of the last that it is known to have
	heard    []time.Time // likewise: when it has answered last
}

// A waiter waits for its entry to be applied.
type waiter struct {
	term int
	done chan Result
}

func runNode(dir string, id, n int) error {
	disk, held, err := open(filepath.Join(dir, fmt.Sprint(id, ".log")))
	if err != nil {
		return err
	}
	node := &Node{
		id: id, peers: make([]*peer, n), disk: disk, changed: make(chan struct{}), term: held.Term, vote: held.Vote,
		log: held.Entries, leader: none, state: make(map[string]string), waiting: make(map[int]waiter),
		next: make([]int, n), match: make([]int, n), heard: make([]time.Time, n),
	}
	node.postpone()
	server := rpc.NewServer()
	if err := server.RegisterName("Raft", &Raft{node}); err != nil {
		return err
	}
	if err := server.RegisterName("KV", &KV{node}); err != nil {
		return err
	}
	socket := filepath.Join(dir, fmt.Sprint(id, ".sock"))
	os.Remove(socket) //nolint:errcheck // that of a process that was killed
	lis, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	for j := range node.peers {
		if j != id {
			node.peers[j] = &peer{socket: filepath.Join(dir, fmt.Sprint(id, "-", j, ".sock"))}
			go node.replicate(j)
		}
	}
	go node.tick()
	fmt.Println("ready")
	server.Accept(lis)
	return nil
}

// notify wakes what waits for a change. The caller holds mu, as in all that follows.
func (n *Node) notify() {
	close(n.changed)
	n.changed = make(chan struct{})
}

// postpone puts the next election off.
func (n *Node) postpone() {
	n.election = time.Now().Add(minElection + rand.N(maxElection-minElection))
}

// persist writes the term and the vote, and the entries behind the first keep.
func (n *Node) persist(keep int) {
	n.disk.write(record{Term: n.term, Vote: n.vote, Keep: keep, Entries: n.log[keep:]})
}

// last returns the index and the term of the last entry.
func (n *Node) last() (index, term int) { return len(n.log), n.termOf(len(n.log)) }

func (n *Node) termOf(index int) int {
	if index == 0 {
		return 0
	}
	return n.log[index-1].Term
}

// follow makes the node a follower, in a newer term if need be.
func (n *Node) follow(term, leader int) {
	if term > n.term {
		n.term, n.vote = term, none
		n.persist(len(n.log))
	}
	n.role, n.leader = follower, leader
	n.notify()
}

// majority is how many nodes decide.
func (n *Node) majority() int { return len(n.peers)/2 + 1 }

// apply applies what is committed, and answers those that wait for it.
func (n *Node) apply() {
	for n.applied < n.commit {
		n.applied++
		e := n.log[n.applied-1]
		if e.Op.Kind == "append" {
			n.state[e.Op.Key] += e.Op.Value
		}
		w, ok := n.waiting[n.applied]
		if !ok {
			continue
		}
		delete(n.waiting, n.applied)
		if w.term == e.Term {
			w.done <- Result{Value: n.state[e.Op.Key], Done: true}
		} else {
			w.done <- Result{} // another leader's entry is in its place
		}
	}
}

// tick begins elections, and ends the reign of a leader that has lost the others.
func (n *Node) tick() {
	for range time.Tick(heartbeat / 6) {
		n.mu.Lock()
		switch now := time.Now(); {
		case n.role != leader && now.After(n.election):
			n.stand()
		case n.role == leader:
			alive := 1
			for j, at := range n.heard {
				if j != n.id && now.Sub(at) < maxReign {
					alive++
				}
			}
			if alive < n.majority() {
				n.follow(n.term, none)
				n.postpone()
			}
		}
		n.mu.Unlock()
	}
}

// stand has the node stand for election.
func (n *Node) stand() {
	n.role, n.leader, n.term, n.vote = candidate, none, n.term+1, n.id
	n.persist(len(n.log))
	n.postpone()
	index, term := n.last()
	args := VoteArgs{Term: n.term, Candidate: n.id, LastIndex: index, LastTerm: term}
	votes := 1
	for j, p := range n.peers {
		if j == n.id {
			continue
		}
		go func() {
			var reply VoteReply
			if err := p.call("Raft.RequestVote", args, &reply); err != nil {
				return
			}
			n.mu.Lock()
			defer n.mu.Unlock()
			switch {
			case reply.Term > n.term:
				n.follow(reply.Term, none)
			case n.role == candidate && n.term == args.Term && reply.Granted:
				if votes++; votes == n.majority() {
					n.lead()
				}
			}
		}()
	}
}

// lead makes the node the leader of its term. Its first entry commits those of earlier terms.
func (n *Node) lead() {
	n.role, n.leader = leader, n.id
	for j := range n.peers {
		n.next[j], n.match[j], n.heard[j] = len(n.log)+1, 0, time.Now()
	}
	n.log = append(n.log, Entry{Term: n.term})
	n.persist(len(n.log) - 1)
	n.notify()
	fmt.Println("leader", n.term)
}
