package rpcx

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"resilientrpc/rpcx/internal/callmeta"
	"resilientrpc/rpcx/internal/config"
	"resilientrpc/rpcx/internal/rescue"
)

// A Choice is yes, no, or open. The zero Choice is open: the next less specific setting
// decides. Values other than Yes, No and 0 are an error of Dial.
type Choice int8

const (
	// No is no, whatever less specific settings say.
	No Choice = -1
	// Yes is yes, whatever less specific settings say.
	Yes Choice = 1
)

// String returns "yes", "no", or "open" for the zero Choice.
func (c Choice) String() string {
	switch c {
	case 0:
		return "open"
	case No:
		return "no"
	case Yes:
		return "yes"
	}
	return fmt.Sprintf("Choice(%d)", int8(c))
}

// MethodOptions are the options of the methods that a pattern of Dialer.Methods matches. A
// field that is zero is left to less specific patterns and to the Dialer.
type MethodOptions struct {
	// Idempotent says whether running a method twice does the same as running it once, so
	// that its calls may be retried. If no pattern says so, they are not.
	Idempotent Choice
	// Hedge says whether calls may be hedged: with Dialer.Hedge if they take long, and always
	// if their endpoint becomes suspect. The default is Yes for idempotent methods. Use No for
	// expensive ones. A method that is not idempotent is never hedged.
	Hedge Choice
	// Timeout replaces Dialer.CallTimeout, and may be longer or shorter. Negative means no
	// limit.
	Timeout time.Duration
	// WaitForReady replaces Dialer.WaitForReady.
	WaitForReady Choice
}

// over returns o, and what less says where o says nothing.
func (o MethodOptions) over(less MethodOptions) MethodOptions {
	if o.Idempotent == 0 {
		o.Idempotent = less.Idempotent
	}
	if o.Hedge == 0 {
		o.Hedge = less.Hedge
	}
	if o.Timeout == 0 {
		o.Timeout = less.Timeout
	}
	if o.WaitForReady == 0 {
		o.WaitForReady = less.WaitForReady
	}
	return o
}

// methodTable is Dialer.Methods made ready for the way of a call, which looks up
// one map for each length that a pattern has, and allocates nothing. It does not
// change.
type methodTable struct {
	exact    map[string]*methodPattern
	prefixes map[string]*methodPattern
	lengths  []int // of prefixes, the longest first
}

// methodPattern is an entry of Dialer.Methods.
type methodPattern struct {
	name    string
	options MethodOptions  // with what less says where the entry says nothing
	less    *methodPattern // the next shorter one that matches all that it matches; nil for none
	matched atomic.Bool    // a call
}

// match notes that the pattern matches a call, as do all that are less specific.
func (p *methodPattern) match() {
	for ; p != nil && !p.matched.Load(); p = p.less {
		p.matched.Store(true)
	}
}

// newMethodTable returns nil for no patterns. What a pattern leaves open is taken from
// the next shorter one that matches all that it matches.
func newMethodTable(patterns map[string]MethodOptions) (*methodTable, error) {
	if len(patterns) == 0 {
		return nil, nil //nolint:nilnil // a nil table says nothing of any method
	}
	t := &methodTable{exact: make(map[string]*methodPattern), prefixes: make(map[string]*methodPattern)}
	shortestFirst := func(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b)) }
	for _, p := range slices.SortedFunc(maps.Keys(patterns), shortestFirst) {
		if err := checkMethod(p, patterns[p]); err != nil {
			return nil, err
		}
		entry := &methodPattern{name: p, options: patterns[p]}
		prefix, ok := strings.CutSuffix(p, "*")
		if !ok {
			t.exact[p] = entry
			continue
		}
		entry.inherit(t.longest(prefix))
		t.prefixes[prefix] = entry
		if len(t.lengths) == 0 || t.lengths[0] < len(prefix) {
			t.lengths = slices.Insert(t.lengths, 0, len(prefix))
		}
	}
	for method, entry := range t.exact {
		entry.inherit(t.longest(method))
	}
	return t, nil
}

// inherit takes what the pattern leaves open from a less specific one, if there is one.
func (p *methodPattern) inherit(less *methodPattern) {
	if less != nil {
		p.options, p.less = p.options.over(less.options), less
	}
}

func checkMethod(pattern string, o MethodOptions) error {
	field := fmt.Sprintf("Methods[%q]", pattern)
	switch star := strings.IndexByte(pattern, '*'); {
	case pattern == "":
		return fmt.Errorf(`rpcx: Dialer.Methods has an empty pattern; want a method, or "*" for all`)
	case star >= 0 && star < len(pattern)-1:
		return fmt.Errorf("rpcx: Dialer.%s has a * before its end; want a method, or the beginning of some and a *", field)
	case o.Idempotent < No || o.Idempotent > Yes:
		return config.FieldError(field+".Idempotent", o.Idempotent, "Yes, No, or 0 to leave it open")
	case o.Hedge < No || o.Hedge > Yes:
		return config.FieldError(field+".Hedge", o.Hedge, "Yes, No, or 0 to leave it open")
	case o.WaitForReady < No || o.WaitForReady > Yes:
		return config.FieldError(field+".WaitForReady", o.WaitForReady, "Yes, No, or 0 to leave it open")
	}
	return config.CheckUnit(field+".Timeout", o.Timeout, config.LeastBound)
}

// find returns what is said of the method of a call.
func (t *methodTable) find(method string) MethodOptions {
	if t == nil {
		return MethodOptions{}
	}
	p := t.exact[method]
	if p == nil {
		p = t.longest(method)
	}
	if p == nil {
		return MethodOptions{}
	}
	p.match()
	return p.options
}

// unmatched returns the patterns that have matched no call, in order.
func (t *methodTable) unmatched() []string {
	if t == nil {
		return nil
	}
	var out []string
	for _, patterns := range [...]map[string]*methodPattern{t.exact, t.prefixes} {
		for _, p := range patterns {
			if !p.matched.Load() {
				out = append(out, p.name)
			}
		}
	}
	slices.Sort(out)
	return out
}

// logUnmatched logs the patterns of Dialer.Methods that have matched no call of a client that
// is closed: a misspelt one says nothing of any method, and nothing else shows that.
func (c *core) logUnmatched() {
	log := c.dialer.Logger
	if log == nil || c.calls.Load() == 0 {
		return
	}
	defer rescue.Stop(log, new(sync.Once), "Dialer.Logger") // the client may be closed by the garbage collector
	if patterns := c.patterns.unmatched(); len(patterns) > 0 {
		log.LogAttrs(context.Background(), slog.LevelInfo, "patterns of Dialer.Methods have matched no call", slog.Any("patterns", patterns))
	}
}

// longest returns the longest prefix that method begins with, nil if there is none.
func (t *methodTable) longest(method string) *methodPattern {
	for _, n := range t.lengths {
		if n <= len(method) {
			if p := t.prefixes[method[:n]]; p != nil {
				return p
			}
		}
	}
	return nil
}

// optionsKey is the context key of callOptions.
type optionsKey struct{}

// callOptions are what is known of a call: by its context, and as to the fields
// from idempotent on by the Dialer too.
type callOptions struct {
	key        string
	hasKey     bool
	retry      bool               // it is one itself: see AsRetry
	chain      *callmeta.Incoming // of the request that it is made for; nil for none
	idempotent bool
	wait       bool          // for an endpoint that takes calls
	hedge      bool          // it may be hedged, if the client hedges
	timeout    time.Duration // of the whole call; not positive for none
}

func contextOptions(ctx context.Context) callOptions {
	o, _ := ctx.Value(optionsKey{}).(callOptions)
	return o
}

// options decides what holds for one call: what its context says, or else
// Dialer.Methods, or else the other fields of the Dialer.
func (c *core) options(ctx context.Context, method string) callOptions {
	o, m := contextOptions(ctx), c.patterns.find(method)
	o.chain = callmeta.FromContext(ctx)
	o.retry = o.retry || o.chain != nil && o.chain.Retry
	o.idempotent = o.idempotent || m.Idempotent == Yes
	o.wait = o.wait || m.WaitForReady == Yes || m.WaitForReady == 0 && c.dialer.WaitForReady
	o.hedge = o.idempotent && !o.retry && m.Hedge != No
	o.timeout = c.dialer.CallTimeout
	if m.Timeout != 0 {
		o.timeout = m.Timeout
	}
	return o
}

// WithIdempotent returns a context whose calls are idempotent: they may be retried although
// an earlier attempt may have run. It takes precedence over the Dialer.
func WithIdempotent(ctx context.Context) context.Context {
	o := contextOptions(ctx)
	o.idempotent = true
	return context.WithValue(ctx, optionsKey{}, o)
}

// WithWaitForReady returns a context whose calls wait for an endpoint that takes calls,
// as with Dialer.WaitForReady. It takes precedence over the Dialer.
func WithWaitForReady(ctx context.Context) context.Context {
	o := contextOptions(ctx)
	o.wait = true
	return context.WithValue(ctx, optionsKey{}, o)
}

// WithKey returns a context whose calls carry a key for a hashing balancer:
// calls with equal keys go to the same endpoint while it is connected and takes calls.
// Other policies ignore it.
func WithKey(ctx context.Context, key string) context.Context {
	o := contextOptions(ctx)
	o.key, o.hasKey = key, true
	return context.WithValue(ctx, optionsKey{}, o)
}

// AsRetry returns a context whose calls are themselves retries, because a caller further up
// retries the operation that they belong to. Retries at every layer of a chain of services
// multiply: three attempts at each of four layers are 81 for the last ("Site Reliability
// Engineering", chapter 22; gRPC's grpc-previous-rpc-attempts, gRFC A6). Such a call is
// tried once and not hedged, and adds nothing to Retry.Budget. It may still move to another
// endpoint if it was not sent, because no server sees that.
//
// The request carries this mark to a server of [Serve], as does an attempt that is a retry. A
// call that the method then makes with [ContextOf] is a retry, too. Requests of net/rpc have
// no place for the mark; for other servers, use an argument of the method.
func AsRetry(ctx context.Context) context.Context {
	o := contextOptions(ctx)
	o.retry = true
	return context.WithValue(ctx, optionsKey{}, o)
}
