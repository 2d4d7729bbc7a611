package main

import "time"

// rows are the lines of the table, in order. The first subject is net/rpc's client with
// net/rpc's server, but for the rows of deadlines and answers, the second is rpcx with its default settings.
var rows = []row{
	calls("1 caller, stock server, gob", netRPC(gobTCP), toStock(gobTCP), callers(1), 0.70),
	calls("1 caller with a timeout per call, stock server, gob", netRPC(gobTCP), withTimeout(gobTCP), callers(1), 0.85),
	calls("1 caller, calls 3 ms apart, stock server, gob", netRPC(gobTCP), toStock(gobTCP), apart(3*time.Millisecond), 1.00),
	calls("2 callers, stock server, gob", netRPC(gobTCP), toStock(gobTCP), callers(2), 0.95),
	calls("4 callers, stock server, gob", netRPC(gobTCP), toStock(gobTCP), callers(4), 0.95),
	calls("16 callers, stock server, gob", netRPC(gobTCP), toStock(gobTCP), callers(16), 0.90),
	calls("128 callers, stock server, gob", netRPC(gobTCP), toStock(gobTCP), callers(128), 0.80),
	calls("1 caller, Serve, gob", netRPC(gobTCP), toServe(gobTCP), callers(1), 0.55),
	calls("16 callers, Serve, gob", netRPC(gobTCP), toServe(gobTCP), callers(16), 0.45),
	calls("128 callers, Serve, gob", netRPC(gobTCP), toServe(gobTCP), callers(128), 0.40),

	calls("1 caller, stock server, JSON", netRPC(jsonTCP), toStock(jsonTCP), callers(1), 0),
	calls("16 callers, stock server, JSON", netRPC(jsonTCP), toStock(jsonTCP), callers(16), 0),
	calls("128 callers, stock server, JSON", netRPC(jsonTCP), toStock(jsonTCP), callers(128), 0),
	calls("1 caller, Serve, JSON", netRPC(jsonTCP), toServe(jsonTCP), callers(1), 0),
	calls("16 callers, Serve, JSON", netRPC(jsonTCP), toServe(jsonTCP), callers(16), 0),
	calls("128 callers, Serve, JSON", netRPC(jsonTCP), toServe(jsonTCP), callers(128), 0),

	calls("1 caller, stock server, TLS", netRPC(gobTLS), toStock(gobTLS), callers(1), 0),
	calls("16 callers, stock server, TLS", netRPC(gobTLS), toStock(gobTLS), callers(16), 0),
	calls("1 caller, Serve, TLS", netRPC(gobTLS), toServe(gobTLS), callers(1), 0),
	calls("16 callers, Serve, TLS", netRPC(gobTLS), toServe(gobTLS), callers(16), 0),

	calls("1 caller with a deadline beside one without, Serve, gob", toServe(gobTCP), withDeadlineToServe(gobTCP), callers(1), 1.05),
	calls("16 callers with a deadline beside 16 without, Serve, gob", toServe(gobTCP), withDeadlineToServe(gobTCP), callers(16), 1.05),
	calls("128 callers with a deadline beside 128 without, Serve, gob", toServe(gobTCP), withDeadlineToServe(gobTCP), callers(128), 1.05),
	calls("1 caller with a timeout per call beside one without, Serve, gob", toServe(gobTCP), withTimeoutToServe(gobTCP), callers(1), 0),
	calls("16 callers with a timeout per call beside 16 without, Serve, gob", toServe(gobTCP), withTimeoutToServe(gobTCP), callers(16), 0),
	calls("128 callers with a timeout per call beside 128 without, Serve, gob", toServe(gobTCP), withTimeoutToServe(gobTCP), callers(128), 0),

	calls("1 caller, answers kept, beside 1 without, Serve, gob", toForgetful(gobTCP), toServe(gobTCP), callers(1), 1.05),
	calls("16 callers, answers kept, beside 16 without, Serve, gob", toForgetful(gobTCP), toServe(gobTCP), callers(16), 1.05),
	calls("128 callers, answers kept, beside 128 without, Serve, gob", toForgetful(gobTCP), toServe(gobTCP), callers(128), 1.05),
	calls("16 callers, answers kept, beside 16 without, Serve, JSON", toForgetful(jsonTCP), toServe(jsonTCP), callers(16), 0),

	allocs("allocations per call, gob", toStock(gobTCP), 3),
	allocs("allocations per call with a timeout, gob", withTimeout(gobTCP), 9),
	allocs("allocations per call, Serve, gob", toServe(gobTCP), 3),
	allocs("allocations per call with a timeout, Serve, gob", withTimeoutToServe(gobTCP), 9),
	calls("the client alone, over an instant codec", instantNetRPC, instantRPCX, alone, 1.00),
	idle("an idle endpoint, kB", " kB", "rpcx", footprint.kilobytes, 14),
	idle("an idle endpoint, goroutines", "", "rpcx", footprint.goroutines, 1),
	idle("an idle endpoint before its first ping, kB", " kB", "rpcx unpinged", footprint.kilobytes, 14),

	delay("a short call behind a slow method, Serve, p50", behindSlow(0.50), 0),
	delay("a short call behind a slow method, Serve, p99", behindSlow(0.99), 200),
	delay("a short call behind a surprisingly slow method, Serve, maximum", behindSurprise, 2000),
}

// calls compares times per call: rpcx's divided by net/rpc's.
func calls(name string, base, ours dialer, m measure, required float64) row {
	return row{name, " us", calling(base, m), calling(ours, m), ratio, required}
}

// allocs shows what the process of rpcx's client allocates for each call.
func allocs(name string, ours dialer, required float64) row {
	return row{name, "", calling(netRPC(gobTCP), allocations), calling(ours, allocations), own, required}
}

// idle shows what a connected endpoint of rpcx, or a client of net/rpc, costs its process.
func idle(name, unit, ours string, f func(footprint) float64, required float64) row {
	return row{name, unit, idling("net/rpc", f), idling(ours, f), own, required}
}

// delay compares times of calls that are made while another method runs on the same
// connection: rpcx's less net/rpc's, in microseconds.
func delay(name string, m measure, required float64) row {
	return row{name, " us", calling(netRPC(gobTCP), m), calling(toServe(gobTCP), m), excess, required}
}
