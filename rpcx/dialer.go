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
// default. Negative means off, or is an error of Dial if the field cannot be off. The
// functions may be called concurrently. The Dialer itself is not changed and may be
// used again. If a function panics, or returns nil where a value is required, the dial fails
// or the function is ignored, unless its comment says otherwise; the first panic is logged,
// to Logger or else to slog's default.
//
// A duration without a unit, such as 5 for 5*time.Second, is an error of Dial: less than
// 1 ms, or less than 1 µs for fields that may be short, such as Hedge.Delay.
type Dialer struct {
	// Codec makes the client codec of a connection. Nil means gob;
	// jsonrpc.NewClientCodec of net/rpc/jsonrpc or of this module can be used as it is. If a
	// codec returns an error for an argument, only that call fails, unless a part of the
	// request has been written.
	Codec func(io.ReadWriteCloser) rpc.ClientCodec
	// HTTPPath, if not empty, is the path of the CONNECT request that turns an HTTP
	// connection into one of net/rpc. It begins with a slash.
	HTTPPath string
	// NetDial makes connections. Nil means net.Dialer; up to 16 addresses of a name are then
	// tried in parallel, started at most 250 ms apart (RFC 8305), so that an address that
	// drops packets does not use up the time. If NetDial does not return when its context
	// ends, the client does not wait for it, and does not dial its endpoint again until it
	// returns. The client avoids closing a connection during a write: see Client.Close.
	NetDial func(ctx context.Context, network, address string) (net.Conn, error)
	// TLSConfig, if not nil, secures every connection. Its ServerName, the name that
	// the certificates of all endpoints must have, defaults to the host of the address,
	// or to the name that the resolver gives the endpoint: with srv:/// that is the target of
	// the SRV record. If the DNS, or another registry, is not authenticated, that default
	// proves nothing: an attacker can answer with a name of their own, for which they
	// have a valid certificate. Then set ServerName (RFC 6125 asks for the service's
	// domain), or compare ConnectionState.ServerName with the domain of the servers in
	// VerifyConnection. With dns:///host:port neither is needed, because the host is not
	// taken from the DNS.
	TLSConfig *tls.Config
	// DialTimeout bounds the time to make one connection: the look-up of its name, the dial
	// to all of its addresses, TLS and HTTP handshake. Zero means 2 s.
	DialTimeout time.Duration
	// CallTimeout bounds a whole call with all its attempts, like a deadline of
	// its context. Zero and negative mean no bound: a call to a live server may
	// take any time, and calls to a dead one are ended by the detector.
	CallTimeout time.Duration
	// Lazy makes Dial return at once, without waiting for a connection or for a resolver,
	// also while no server is up. The client connects in the background, and early calls wait
	// for a connection. Dial still returns an error if a field or an address is invalid.
	Lazy bool
	// WaitForReady makes a call wait while no endpoint takes calls, instead of failing with
	// [ErrUnavailable] (gRPC's wait-for-ready). It waits until its deadline or, without one,
	// until the client is closed. A call waits only if it certainly was not sent, or is
	// idempotent and lost its server. The wait counts neither against Retry.MaxAttempts nor
	// against Retry.Budget, but the call counts against MaxCalls. MethodOptions.WaitForReady
	// and [WithWaitForReady] set it for methods and for single calls. It has no effect on a
	// client of NewClient, whose one connection is never replaced.
	WaitForReady bool
	// Classify says what an error that a method returned means. The error is a
	// [ServerError], or the [*codec.Error] of a JSON-RPC error object; Classify is called
	// for no other. The call waits for it, so it must return soon. If it panics, that is
	// logged, and the error counts as an [AppError]. Nil means that all errors are AppError.
	Classify func(serviceMethod string, err error) Class
	// Methods has the options of methods by pattern: which methods are idempotent, and so
	// may be retried, which may be hedged, and how long they may take. A pattern is the name
	// of a method, or a prefix and a star, as in "Arith.Get*" or "*". Each option is taken
	// from the most specific pattern that sets it: the name itself, then the longest prefix.
	// A method for which no pattern sets Idempotent is not idempotent; the other options
	// default to the fields of the Dialer. Nil means no options.
	Methods map[string]MethodOptions
	// Retry says how often and when calls are tried again.
	Retry Retry
	// Hedge makes a call of an idempotent method try a second endpoint if the first takes
	// long. Nil means that it does so only if the first becomes suspect.
	Hedge *Hedge
	// Breaker configures the circuit breaker of each endpoint. With pings, OpenFor and
	// MaxOpenFor are upper bounds: an endpoint that is silent or has no connection is probed
	// again after at most a fifth of the time for which it has been away, or 0.25 s if that is
	// more; and after at most 1 s if its host answers or refuses connections. OnChange must be
	// nil: use Trace.BreakerChanged. Classify of breaker.Config must be nil, too: use
	// Dialer.Classify.
	Breaker breaker.Config
	// Throttle, if not nil, makes the client reject a share of its calls while servers
	// accept too few of them (breaker.Throttle); such a call fails with
	// breaker.ErrThrottled. A breaker, in contrast, rejects all calls or none. Nil means off.
	Throttle *breaker.ThrottleConfig
	// Detector configures the failure detector of each endpoint. Its
	// FirstInterval defaults to Heartbeat.
	Detector detector.Config
	// Balancer picks the endpoint of an attempt. Nil means balancer.P2C().
	Balancer balancer.Policy
	// Resolver delivers the set of endpoints, now and whenever it changes, in place of
	// Dial's addresses. Endpoints that stay in the set keep their connections and
	// statistics; those that leave it finish their calls; new ones are connected, and their
	// share of the calls rises slowly. An invalid set, such as one with an address twice,
	// changes nothing. Nor does an empty set, unless it stays empty for 5 minutes, in which the
	// resolver delivers neither another set nor an error. Nil means none.
	Resolver Resolver
	// Subset is the least number of endpoints of a large fleet that this client uses, and so
	// connects to, pings and watches; it uses more with more traffic. Zero means 20 of 64
	// endpoints or more, and all of fewer; negative means all. See balancer.Config.
	Subset int
	// Heartbeat is the probe slot of the detector: a peer that gave no sign of life in one
	// is pinged. Zero means 1 s. Negative turns pings off, and with them the detection of
	// peers that hang.
	Heartbeat time.Duration
	// DetectionTime is the time within which a peer that stops answering is to be found,
	// from 40 ms to 24 h. It replaces Heartbeat and Detector by those of detector.Plan:
	// Heartbeat is a quarter of it. Zero means that Heartbeat and Detector apply, whose
	// defaults are those of 4 s.
	DetectionTime time.Duration
	// Conns is the number of connections to each endpoint. A call takes the connection with
	// the fewest calls in flight. Zero means 1, which is the fastest for small calls; use
	// more if large calls delay small ones.
	Conns int
	// MaxInFlight limits the calls in flight to each endpoint. If an endpoint has as many, a
	// call goes to another one; if all have, it waits for up to QueueTimeout. At most as many
	// calls wait as may be in flight. Zero and negative mean no limit, as in net/rpc: the right
	// number depends on the server, and a wrong one would refuse calls that it could take.
	MaxInFlight int
	// MaxCalls limits the calls of the client that have begun and not ended, and so their
	// memory. Further calls, MaxCalls of them at most, wait for up to QueueTimeout. Zero and
	// negative mean no limit.
	MaxCalls int
	// QueueTimeout is how long a call may wait because of MaxCalls or MaxInFlight, first
	// come first served. Then it fails with [ErrOverloaded] and is not tried again. Zero
	// means 1 s; negative means that calls do not wait.
	QueueTimeout time.Duration
	// Intercept is called for each call of Call, CallContext, Invoke and Go. It makes the
	// call by calling next, once, several times, or not at all: it can measure, change the
	// context, the arguments and the error, retry, or answer by itself. Each call of next is
	// a call of its own for CallTimeout, Retry, Trace and Stats, and has the errors of
	// CallContext; if Intercept returns such an error unchanged, Call and Go return what they
	// return without Intercept. For Call and Go, ctx is context.Background(). Intercept runs
	// on the caller's goroutine, and the caller gets its panics. For Go it has a goroutine of
	// its own, and a panic becomes the error of the call. To compose several, call one as the
	// next of the other. Notify is not intercepted. Nil means none, and costs nothing.
	Intercept func(ctx context.Context, serviceMethod string, args, reply any, next CallFunc) error
	// Trace has hooks for calls, attempts, connections, pings and breakers. Nil means none.
	Trace *ClientTrace
	// Logger gets what an operator may want to know: convictions, failed dials, a
	// spent retry budget and a resolver's failures as warnings, changes of breakers
	// and endpoints at level Info, retries and hedges at Debug. A repeated message is
	// counted and logged once a minute at most (at Debug once a second); an error of another
	// kind is logged at once. A line says when a failure is over. When the client is closed, a
	// line at level Info names the patterns of Methods that have matched no call. Nil means no
	// log.
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
