package main

import "time"

const us = " us" // of time per call

// rows are the lines of the table, in order. The first client is net/rpc's, with its own
// server; the second is rpcx's, with default settings.
var rows = []row{
	{"1 caller, stock server, gob", us, netRPC(gobTCP), toStock(gobTCP), callers(1), ratio, 0.70},
	{"1 caller with a timeout per call, stock server, gob", us, netRPC(gobTCP), withTimeout(gobTCP), callers(1), ratio, 0.85},
	{"1 caller, calls 3 ms apart, stock server, gob", us, netRPC(gobTCP), toStock(gobTCP), apart(3 * time.Millisecond), ratio, 1.00},
	{"2 callers, stock server, gob", us, netRPC(gobTCP), toStock(gobTCP), callers(2), ratio, 0.95},
	{"4 callers, stock server, gob", us, netRPC(gobTCP), toStock(gobTCP), callers(4), ratio, 0.95},
	{"16 callers, stock server, gob", us, netRPC(gobTCP), toStock(gobTCP), callers(16), ratio, 0.90},
	{"128 callers, stock server, gob", us, netRPC(gobTCP), toStock(gobTCP), callers(128), ratio, 0.80},
	{"1 caller, Serve, gob", us, netRPC(gobTCP), toServe(gobTCP), callers(1), ratio, 0.55},
	{"16 callers, Serve, gob", us, netRPC(gobTCP), toServe(gobTCP), callers(16), ratio, 0.45},
	{"128 callers, Serve, gob", us, netRPC(gobTCP), toServe(gobTCP), callers(128), ratio, 0.40},
	{"allocations per call, gob", "", netRPC(gobTCP), toStock(gobTCP), allocations, own, 3},
	{"allocations per call with a timeout, gob", "", netRPC(gobTCP), withTimeout(gobTCP), allocations, own, 9},
	{"the client alone, over an instant codec", us, instantNetRPC, instantRPCX, alone, ratio, 1.00},
}
