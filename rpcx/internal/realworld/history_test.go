//go:build unix

package realworld

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/require"
)

// An op is an operation of the replicated log, as its client prints it.
type op struct {
	Worker       int
	Op           struct{ Kind, Key, Value string }
	Call, Return time.Duration
	Known        bool
	Value        string
	Error        string
}

func parseOp(t *testing.T, line string) op {
	t.Helper()
	var o op
	require.NoError(t, json.Unmarshal([]byte(line), &o), line)
	return o
}

// texts is the state machine: a text for each key, that is appended to. The output of each
// operation is the text behind it.
var texts = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		byKey := make(map[string][]porcupine.Operation)
		for _, o := range history {
			key := o.Input.(op).Op.Key
			byKey[key] = append(byKey[key], o)
		}
		var parts [][]porcupine.Operation
		for _, part := range byKey {
			parts = append(parts, part)
		}
		return parts
	},
	Init: func() any { return "" },
	Step: func(state, input, output any) (bool, any) {
		o, text := input.(op), state.(string)
		if o.Op.Kind == "append" {
			text += o.Op.Value
		}
		return !o.Known || output.(string) == text, text
	},
}

// requireLinearizable fails the test if no order of the operations explains what their callers saw. An
// append of which its caller does not know whether it is done may be done at any time up to
// the first sight of it; if it is never seen, it need not be done.
func requireLinearizable(t *testing.T, ops []op) {
	t.Helper()
	require.Equal(t, porcupine.Ok, check(ops))
}

func check(ops []op) porcupine.CheckResult {
	var history []porcupine.Operation
	for _, o := range ops {
		end := o.Return
		if !o.Known {
			end = firstSight(ops, o)
		}
		if end < math.MaxInt64 {
			history = append(history, porcupine.Operation{ClientId: o.Worker, Input: o, Call: int64(o.Call), Output: o.Value, Return: int64(end)})
		}
	}
	return porcupine.CheckOperationsTimeout(texts, history, time.Minute)
}

// firstSight is the earliest end of an operation that has seen an append.
func firstSight(ops []op, unknown op) time.Duration {
	sight := time.Duration(math.MaxInt64)
	if unknown.Op.Kind != "append" {
		return sight
	}
	for _, o := range ops {
		if o.Known && o.Op.Key == unknown.Op.Key && o.Return < sight && strings.Contains(" "+o.Value, " "+unknown.Op.Value) {
			sight = o.Return
		}
	}
	return sight
}

// The checker itself, on histories with and without a fault.
func TestHistories(t *testing.T) {
	at := func(o op, kind, value string, call, end time.Duration) op {
		o.Op.Kind, o.Op.Value, o.Call, o.Return = kind, value, call, end
		return o
	}
	seen := func(text string) op { return op{Known: true, Value: text} }
	for name, c := range map[string]struct {
		ops  []op
		want porcupine.CheckResult
	}{
		"one after the other": {[]op{at(seen("a "), "append", "a ", 0, 1), at(seen("a "), "get", "", 2, 3)}, porcupine.Ok},
		"a stale read":        {[]op{at(seen("a "), "append", "a ", 0, 1), at(seen(""), "get", "", 2, 3)}, porcupine.Illegal},
		"a read beside it":    {[]op{at(seen("a "), "append", "a ", 0, 3), at(seen(""), "get", "", 1, 2)}, porcupine.Ok},
		"done twice":          {[]op{at(seen("a "), "append", "a ", 0, 1), at(seen("a a "), "get", "", 2, 3)}, porcupine.Illegal},
		"unknown, not done":   {[]op{at(op{}, "append", "a ", 0, 1), at(seen(""), "get", "", 2, 3)}, porcupine.Ok},
		"unknown, done late":  {[]op{at(op{}, "append", "a ", 0, 1), at(seen(""), "get", "", 2, 3), at(seen("a "), "get", "", 4, 5)}, porcupine.Ok},
		"unknown, lost again": {[]op{at(op{}, "append", "a ", 0, 1), at(seen("a "), "get", "", 2, 3), at(seen(""), "get", "", 4, 5)}, porcupine.Illegal},
		"unknown, done twice": {[]op{at(op{}, "append", "a ", 0, 1), at(seen("a a "), "get", "", 2, 3)}, porcupine.Illegal},
	} {
		require.Equal(t, c.want, check(c.ops), name)
	}
}
