package rpcx

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/rpc"
	"strings"
	"time"
	"unicode"

	"resilientrpc/balancer"
	"resilientrpc/breaker"
	"resilientrpc/codec"
	"resilientrpc/detector"
	"resilientrpc/rpcx/internal/config"
	"resilientrpc/rpcx/internal/dialing"
)

// A Dialer holds the options of a [Client]. The zero value is the default, and
// dialing with it is the same as calling [Dial]. In every field zero means the
// default. Negative means off, or is refused by Dial where there is no off. Its
// functions may be called concurrently; the Dialer itself is not changed and may be
// used again. A function that panics, or that returns nil where something is wanted, fails
// a dial or is passed over, unless its comment says otherwise; the first panic is logged, to
// Logger or else to slog's default.
//
// Dial refuses durations that are too short to be meant, such as 5 for 5*time.Second: below
// 1 ms, or where less makes sense, as for Hedge.Delay, below 1 µs.
type Dialer struct {
	// Codec makes the client codec of a connection. Nil means gob;
	// jsonrpc.NewClientCodec of net/rpc/jsonrpc or of this module fits as it is. One
	// that refuses an argument fails that call only, unless it has written some of it.
	Codec func(io.ReadWriteCloser) rpc.ClientCodec
	// HTTPPath, if not empty, is where CONNECT turns an HTTP connection into
	// an RPC one. It begins with a slash.
	HTTPPath string
	// NetDial makes connections. Nil means net.Dialer, with the addresses of a name, up to
	// 16, tried in parallel and started at most 250 ms apart (RFC 8305): an address that
	// drops packets does not use up the time. A NetDial that does not return when its
	// context ends is left behind, and its endpoint has no other dial until it returns. The
	// client avoids closing a connection while it writes to it: see Client.Close.
	NetDial func(ctx context.Context, network, address string) (net.Conn, error)
	// TLSConfig, if not nil, secures every connection. Its ServerName, the name that
	// the certificates of all endpoints must have, defaults to the host of the address,
	// or to what the resolver names the endpoint: with srv:/// that is the target of the
	// SRV record. If the DNS, or another registry, is not authenticated, that default
	// proves nothing: an attacker can answer with a name of their own, for which they
	// have a valid certificate. Set ServerName then (RFC 6125 asks for the service's
	// domain), or let VerifyConnection compare ConnectionState.ServerName with the
	// domain of the servers. The host in dns:///host:port is the caller's own, and
	// needs neither.
	TLSConfig *tls.Config
	// DialTimeout bounds one connection: the look-up of its name, the dial to all of
	// its addresses, TLS and HTTP handshake. Zero means 2 s.
	DialTimeout time.Duration
	// CallTimeout bounds a whole call with all its attempts, like a deadline of
	// its context. Zero and negative mean no bound: calls to a live server take
	// as long as they take, and calls to a dead one are ended by the detector.
	CallTimeout time.Duration
	// Lazy has Dial return at once, without waiting for a connection or for a resolver:
	// also while no server is up. The client connects in the background, and a call made
	// before waits for that. What is wrong with the Dialer or the addresses is an error of
	// Dial all the same.
	Lazy bool
	// WaitForReady has a call that no endpoint takes wait until one does, as long as its
	// deadline allows, and without a deadline until the client is closed, instead of
	// failing with [ErrUnavailable] (gRPC's wait-for-ready). It waits only if it was surely
	// not sent, or is idempotent and lost its server, and the wait counts neither against
	// Retry.MaxAttempts nor against Retry.Budget. A call that waits keeps its place under
	// MaxCalls. MethodOptions.WaitForReady and [WithWaitForReady] say it for methods and
	// calls. It means nothing to a client of NewClient, which has nothing to wait for.
	WaitForReady bool
	// Classify says what an error that a method returned means. The error is a
	// [ServerError], or the [*codec.Error] of a JSON-RPC error object; Classify is called
	// for no other. It is called on the way of the call and must return soon; if it panics,
	// that is logged and the error is an [AppError]. Nil means that each is.
	Classify func(serviceMethod string, err error) Class
	// Methods has the options of the methods that a pattern matches: which are
	// idempotent, and so may be repeated, which may be hedged, and how long they may
	// take. A pattern is the name of a method, or its beginning and a star, as in
	// "Arith.Get*" or "*". A field is taken from the most specific pattern that does
	// not leave it open: the name itself, then the longest beginning. A method for
	// which all leave Idempotent open is not repeated; what else they leave open is as
	// the other fields of the Dialer say. Nil means no options.
	Methods map[string]MethodOptions
	// Retry says how often and when calls are tried again.
	Retry Retry
	// Hedge lets a call of an idempotent method try a second endpoint when the first
	// takes long. Nil means that it does so only when the first becomes suspect.
	Hedge *Hedge
	// Breaker configures the circuit breaker of each endpoint. OpenFor and MaxOpenFor are
	// upper bounds where there are pings: an endpoint without a connection, and one that is
	// silent, is probed again after a fifth of the time that it has been away, which is 0.25 s
	// or more, and 1 s or less if its host answers or refuses. Its OnChange
	// must be nil: use Trace.BreakerChanged. So must its Classify, which judges the errors
	// of functions: use Classify.
	Breaker breaker.Config
	// Throttle, if not nil, turns away a share of the calls itself while servers
	// accept too few of them (breaker.Throttle); such a call fails with
	// breaker.ErrThrottled. It sheds load in proportion where a breaker is all or
	// nothing. Nil means off.
	Throttle *breaker.ThrottleConfig
	// Detector configures the failure detector of each endpoint. Its
	// FirstInterval defaults to Heartbeat.
	Detector detector.Config
	// Balancer picks the endpoint of an attempt. Nil means balancer.P2C().
	Balancer balancer.Policy
	// Resolver names the endpoints, now and whenever they change, in place of
	// Dial's addresses. Endpoints that stay in its set keep their connections and
	// all that is known of them; those that leave it finish the calls they have;
	// those that come are connected and get their share little by little. A set
	// that is refused, as one with an address twice, and an empty one change
	// nothing, unless it stays empty for 5 minutes. Nil means none.
	Resolver Resolver
	// Subset is how many of many endpoints this client uses at least, and so
	// connects to, pings and watches; it uses more with more traffic. Zero means
	// 20 if there are 64 endpoints or more, and all of fewer; negative means all.
	// See balancer.Config.
	Subset int
	// Heartbeat is the slot of the detector: a peer that gave no sign of life
	// in one is pinged. Zero means 1 s. Negative turns pings off, and with them
	// the detection of peers that hang.
	Heartbeat time.Duration
	// DetectionTime, instead of Heartbeat and Detector, is the time within which
	// a peer that stops answering is to be found, from 40 ms to 24 h: see
	// detector.Plan, which the pings follow (one each quarter of it while the
	// connection is idle). Zero leaves it to the two.
	DetectionTime time.Duration
	// Conns is the number of connections to each endpoint, of which a call takes the
	// one with the fewest calls in flight, of those that there are at the moment. Zero
	// means 1, which is the fastest for small calls; more help where large ones hold
	// up small ones.
	Conns int
	// MaxInFlight bounds the calls in flight to each endpoint. A call passes over
	// one that is full, and waits for QueueTimeout if all are; as many may wait as may
	// be in flight. Zero and negative mean no bound, as in net/rpc: which number is
	// right depends on the server, and any other one would refuse calls that it
	// could take.
	MaxInFlight int
	// MaxCalls bounds the calls under way in the client, from the first attempt
	// to the last, and with them what they need of memory. More wait for QueueTimeout,
	// as many again at most. Zero and negative mean no bound.
	MaxCalls int
	// QueueTimeout is how long a call may wait for MaxCalls or MaxInFlight; those that
	// came first go first. Then it fails with [ErrOverloaded] and is not tried
	// again. Zero means 1 s; negative means not at all.
	QueueTimeout time.Duration
	// Intercept is called in place of each call of Call, CallContext, Invoke and Go, and
	// makes it by calling next, or not at all: it can measure, change the context, the
	// arguments and the error, retry, or answer by itself. Each next is a call of its own
	// to CallTimeout, Retry, Trace and Stats, with the errors of CallContext; those
	// that are passed on unchanged reach the callers of Call and Go as without Intercept. It
	// gets context.Background() where there is no context, runs on the caller's goroutine,
	// and may panic, which the caller gets. A call of Go has a goroutine of its own instead,
	// and a panic becomes its error. Several are composed by calling one as the next of the
	// other. Notify is not intercepted. Nil means none, and costs nothing.
	Intercept func(ctx context.Context, serviceMethod string, args, reply any, next CallFunc) error
	// Trace has hooks for what happens. Nil means none.
	Trace *ClientTrace
	// Logger gets what an operator may want to know: convictions, failed dials, a
	// spent retry budget and a resolver's failures as warnings, changes of breakers
	// and endpoints at level Info, retries and hedges at Debug. What repeats is
	// logged once and then counted, with a line a minute at most; an error of another kind
	// is logged at once. A line says when a failure is over. When the client
	// is closed, a line at level Info names the patterns of Methods that have matched no
	// call. Nil means no log.
	Logger *slog.Logger
}

// maxConns is beyond what any server wants of one client.
const maxConns = 1024

// maxHeartbeat is the longest interval that a detector takes.
const maxHeartbeat = 24 * time.Hour

func (d *Dialer) withDefaults() (Dialer, error) {
	full := *d
	if err := d.checkUnits(); err != nil {
		return full, err
	}
	switch {
	case d.HTTPPath != "" && (d.HTTPPath[0] != '/' || strings.ContainsFunc(d.HTTPPath, unicode.IsSpace)):
		return full, fmt.Errorf(`rpcx: Dialer.HTTPPath is %q; want a path that begins with "/" and has no blanks`, d.HTTPPath)
	case d.DialTimeout < 0:
		return full, config.FieldError("DialTimeout", d.DialTimeout, "a positive duration, or 0 for 2s")
	case d.Breaker.OnChange != nil:
		return full, errors.New("rpcx: Dialer.Breaker.OnChange is set; use Dialer.Trace.BreakerChanged")
	case d.Breaker.Classify != nil:
		return full, errors.New("rpcx: Dialer.Breaker.Classify is set; use Dialer.Classify")
	case d.Heartbeat > maxHeartbeat:
		return full, config.FieldError("Heartbeat", d.Heartbeat, fmt.Sprintf("at most %v", maxHeartbeat))
	case d.Conns < 0 || d.Conns > maxConns:
		return full, config.FieldError("Conns", d.Conns, fmt.Sprintf("a number up to %d, or 0 for 1", maxConns))
	case !(d.Retry.Budget <= 1): // written so that NaN fails
		return full, config.FieldError("Retry.Budget", d.Retry.Budget, "a share of calls up to 1, 0 for 0.1, or a negative one for no limit")
	}
	if d.Hedge != nil {
		if err := d.Hedge.check(); err != nil {
			return full, err
		}
	}
	if d.DetectionTime != 0 {
		if d.Heartbeat != 0 || d.Detector != (detector.Config{}) {
			return full, errors.New("rpcx: Dialer.DetectionTime is set beside Heartbeat or Detector; set it alone")
		}
		schedule, err := detector.Plan(d.DetectionTime)
		if err != nil {
			return full, config.FieldError("DetectionTime", d.DetectionTime, "from 40ms to 24h, or 0")
		}
		full.Heartbeat, full.Detector = schedule.Interval, schedule.Config
	}
	if full.Conns == 0 {
		full.Conns = 1
	}
	if full.Codec == nil {
		full.Codec = codec.NewGobClient
	}
	if full.NetDial == nil {
		full.NetDial = dialing.NetDial
	}
	if full.DialTimeout == 0 {
		full.DialTimeout = 2 * time.Second
	}
	if full.Heartbeat == 0 {
		full.Heartbeat = time.Second
	}
	if full.Detector.FirstInterval == 0 && full.Heartbeat > 0 {
		full.Detector.FirstInterval = full.Heartbeat
	}
	if full.QueueTimeout == 0 {
		full.QueueTimeout = time.Second
	}
	full.Retry = full.Retry.withDefaults()
	full.Classify = guardClassify(full.Logger, full.Classify)
	full.Trace = full.Trace.Join(logTrace(full.Logger)).guarded(full.Logger)
	return full, nil
}

// checkUnits looks for a duration without a unit.
func (d *Dialer) checkUnits() error {
	var hedge Hedge
	if d.Hedge != nil {
		hedge = *d.Hedge
	}
	for _, f := range []struct {
		field        string
		value, least time.Duration
	}{
		{"DialTimeout", d.DialTimeout, config.LeastBound},
		{"CallTimeout", d.CallTimeout, config.LeastBound},
		{"QueueTimeout", d.QueueTimeout, config.LeastBound},
		{"Heartbeat", d.Heartbeat, config.LeastBound},
		{"Hedge.Delay", hedge.Delay, config.LeastSetting},
		{"Breaker.SlowCall", d.Breaker.SlowCall, config.LeastSetting},
		{"Breaker.OpenFor", d.Breaker.OpenFor, config.LeastBound},
		{"Breaker.MaxOpenFor", d.Breaker.MaxOpenFor, config.LeastBound},
		{"Detector.FirstInterval", d.Detector.FirstInterval, config.LeastSetting},
		{"Detector.AcceptablePause", d.Detector.AcceptablePause, config.LeastSetting},
		{"Detector.MinStdDev", d.Detector.MinStdDev, config.LeastSetting},
		{"Detector.MaxInterval", d.Detector.MaxInterval, config.LeastSetting},
		{"Detector.MaxSilence", d.Detector.MaxSilence, config.LeastSetting},
	} {
		if err := config.CheckUnit(f.field, f.value, f.least); err != nil {
			return err
		}
	}
	return nil
}
