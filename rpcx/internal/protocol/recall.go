package protocol

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"strings"
)

// The two methods by which a client learns what became of a call whose connection broke. A
// server that does not know them answers as for any method that it does not have.
const (
	// WelcomeMethod asks for the session of the connection; its reply is a Welcome.
	WelcomeMethod = "rpcx.Welcome"
	// RecallMethod asks for the answer to a call of another session; its argument is a
	// Recall. The reply is that of the call, or else a refusal says why there is none.
	RecallMethod = "rpcx.Recall"
)

// Session names a connection to the server that has accepted it. It is random, and known to
// the two ends only: the first half names the server's process, which is the same for all of
// its sessions, and the second the connection.
type Session [16]byte

// SameServer reports whether two sessions are of the same server.
func (s Session) SameServer(t Session) bool { return [8]byte(s[:8]) == [8]byte(t[:8]) }

// Welcome tells a client the session of its connection.
type Welcome struct {
	Session []byte
	Sum     uint32 // finds changed bits
}

// NewWelcome returns the welcome to a session, or to none.
func NewWelcome(session []byte) Welcome { return Welcome{session, ^crc32.ChecksumIEEE(session)} }

// Names returns the session, the zero value if the server gives none. It reports false if the
// welcome is not as it was sent.
func (w Welcome) Names() (s Session, ok bool) {
	if n := len(w.Session); n != 0 && n != len(s) || w.Sum != ^crc32.ChecksumIEEE(w.Session) {
		return s, false
	}
	copy(s[:], w.Session)
	return s, true
}

// Recall is the question of what became of a call.
type Recall struct {
	Session []byte
	Call    uint64 // its position among all requests of the session, from 1
	Wait    bool   // if the method still runs, its answer is to be waited for
	Sum     uint32 // finds changed bits: a wrong question would get a wrong answer
}

// NewRecall returns the question about a call.
func NewRecall(s Session, call uint64, wait bool) Recall {
	q := Recall{Session: s[:], Call: call, Wait: wait}
	q.Sum = q.sum()
	return q
}

func (q *Recall) sum() uint32 {
	b := binary.BigEndian.AppendUint64(q.Session, q.Call)
	if q.Wait {
		b = append(b, 1)
	}
	return crc32.ChecksumIEEE(b)
}

// IsValid reports whether the question is as it was asked.
func (q *Recall) IsValid() bool { return len(q.Session) == len(Session{}) && q.Sum == q.sum() }

// The answers other than the call's own.
var (
	// ErrRuns: the method runs. It is the answer only if the question is not to wait.
	ErrRuns = &Refusal{"rpcx: the method of the call still runs"}
	// ErrForgotten: the request has come, and the server keeps no answer to it.
	ErrForgotten = &Refusal{"rpcx: the server has forgotten what became of the call"}
	// ErrOtherServer: another process has given out the session.
	ErrOtherServer = &Refusal{"rpcx: the call was another server's"}
	// ErrMalformed: the question is not what was asked.
	ErrMalformed = &Refusal{"rpcx: the question about a call is malformed"}
	// ErrGivenUp refuses what arrives on a connection after a question about it: its answer
	// was final.
	ErrGivenUp = &Refusal{"rpcx: the client has given the connection up; the method did not run"}
)

const notRun = "rpcx: the server has not run the method, and will not: call "

// NotRun is the answer that the server has not run the call, and will not. It names the
// call, so that it cannot be taken for the answer to another question.
func (q *Recall) NotRun() *Refusal {
	return &Refusal{fmt.Sprint(notRun, q.Call, " of ", hex.EncodeToString(q.Session[8:12]))}
}

// Is reports whether two refusals are the same.
func (r *Refusal) Is(other error) bool {
	o, ok := other.(*Refusal)
	return ok && o.text == r.text
}

// SaysNotRun reports whether the refusal says that some call was not run.
func (r *Refusal) SaysNotRun() bool { return strings.HasPrefix(r.text, notRun) }

// answerOf returns the answer with the given text, or nil if there is none.
func answerOf(text string) *Refusal {
	for _, r := range []*Refusal{ErrRuns, ErrForgotten, ErrOtherServer, ErrMalformed, ErrGivenUp} {
		if r.text == text {
			return r
		}
	}
	if r := (&Refusal{text}); r.SaysNotRun() {
		return r
	}
	return nil
}
