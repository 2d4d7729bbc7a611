package main

// A hardCase is a fault that some breaker has had.
type hardCase struct {
	number  int
	name    string
	try     func(*trial) error
	process bool // tried in a process of its own, by callback
}

var hardCases = []hardCase{
	{1, "a stale outcome decides the new state", staleDecides, false},
	{2, "a stale outcome mints a permit", staleMints, false},
	{3, "a hung probe wedges half-open", hungProbe, false},
	{4, "a probe panics or calls Goexit", dyingProbe, false},
	{5, "a canceled probe keeps its permit", canceledProbeLeaks, false},
	{6, "a canceled probe closes the circuit", canceledProbeCloses, false},
	{7, "half-open stampede", stampede, false},
	{8, "a racing success beats a failure", racingSuccess, false},
	{9, "state published before its deadline", earlyState, false},
	{10, "late failures reopen or extend", lateFailures, false},
	{11, "the caller's cancellation counts", cancellation, false},
	{12, "the caller's tiny deadline counts", tinyDeadline, false},
	{13, "application errors count as failures", applicationErrors, false},
	{14, "failures slower than the window", slowFailures, false},
	{15, "pile-up before the first verdict", pileUp, false},
	{16, "burst across a window's boundary", boundaryBurst, false},
	{17, "low traffic never trips", lowTraffic, false},
	{18, "runs of chance trip under load", chanceRuns, false},
	{19, "state and counts stand still", standstill, false},
	{20, "the callback calls back, or panics", nil, true},
	{21, "the clock runs back", clockBack, false},
	{22, "open intervals in step, or never growing", openIntervals, false},
	{23, "all open: which one is back first?", allOpen, false},
	{24, "a failed dial is the probe's result", failedDial, false},
	{25, "rejections fed back", rejectionsFedBack, false},
}
