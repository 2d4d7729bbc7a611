
// The model: the contents of the frames of the last two minutes.

// --- figures in words ---

const STATES = {
  open: ["Open", "takes no calls"],
  "half-open": ["Half-open", "a probe is under way"],
  "forced-open": ["Drained", "takes no calls until it is reset"],
  suspect: ["Suspect", "late to answer; others are preferred"],
  disabled: ["No breaker", "takes every call"],
  closed: ["Closed", "takes calls"],
};

// Open and half-open, between which a breaker alternates while its endpoint is away, are
// one group, the worst.
const GROUPS = {down: "Down", "forced-open": "Drained", suspect: "Suspect", disabled: "No breaker", closed: "Closed"};
const SEVERITY = Object.keys(GROUPS);
const groupOf = (state) => (state === "open" || state === "half-open" ? "down" : state);

function duration(ms) {
  if (!(ms > 0)) return "–";
  if (ms < 1) return `${Math.round(ms * 1000)} µs`;
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60e3) return `${(ms / 1000).toFixed(ms < 10e3 ? 1 : 0)} s`;
  if (ms < 3600e3) return `${Math.floor(ms / 60e3)} min ${Math.floor(ms / 1000) % 60} s`;
  if (ms < 48 * 3600e3) return `${Math.floor(ms / 3600e3)} h ${Math.floor(ms / 60e3) % 60} min`;
  return `${Math.floor(ms / 86400e3)} days`;
}

// brief is a duration in one unit.
function brief(ms) {
  if (ms < 100e3) return `${Math.max(1, Math.round(ms / 1000))} s`;
  if (ms < 100 * 60e3) return `${Math.round(ms / 60e3)} min`;
  if (ms < 48 * 3600e3) return `${Math.round(ms / 3600e3)} h`;
  return `${Math.floor(ms / 86400e3)} days`;
}

function count(n) {
  if (n >= 1e6) return `${(n / 1e6).toFixed(1)} M`;
  if (n >= 1e4) return `${(n / 1e3).toFixed(1)} k`;
  return n >= 100 || Number.isInteger(n) ? String(Math.round(n)) : n.toFixed(1);
}

function bytes(n) {
  let unit = 0;
  while (n >= 999.5 && unit < 4) { n /= 1000; unit++; }
  return `${unit && n < 10 ? n.toFixed(1) : Math.round(n)} ${["B", "kB", "MB", "GB", "TB"][unit]}`;
}

const percent = (share) => `${(share * 100).toFixed(share < 0.0995 && share > 0 ? 1 : 0)} %`;
const clock = (ms) => new Date(ms).toLocaleTimeString([], {hour12: false});
const plural = (n, word) => `${count(n)} ${word}${n === 1 ? "" : "s"}`;

// --- clients and endpoints ---

// A Rate is how fast a counter grows, over the last few seconds.
class Rate {
  constructor() { this.past = []; }

  put(at, value) {
    if (this.past.length && value < this.past.at(-1)[1]) this.past = []; // the counter restarted
    this.past.push([at, value]);
    while (this.past.length > 2 && this.past[1][0] <= at - 5000) this.past.shift();
    return this.get();
  }

  get() {
    const [a, b] = [this.past[0], this.past.at(-1)];
    return a && b[0] > a[0] ? (b[1] - a[1]) / (b[0] - a[0]) * 1000 : 0;
  }
}

class Endpoint {
  constructor(address) {
    this.address = address;
    this.phi = new Series();
    this.low = new Series();
    this.high = new Series();
    this.strip = new Strip();
    this.calls = new Rate();
    this.read = new Rate();
    this.written = new Rate();
    this.share = 0;
  }

  // update replaces the figures by those of the last frame.
  update(now, e) {
    this.now = e;
    this.state = e.State === "closed" && e.Suspect ? "suspect" : e.State;
    this.group = groupOf(this.state);
    this.severity = SEVERITY.indexOf(this.group);
    this.down = this.group === "down";
    this.out = this.down || this.group === "forced-open"; // it takes no calls
    this.since = Date.parse(e.DownSince || e.Since);
    this.p99 = this.out ? NaN : e.P99 / 1e6;
  }

  matches(wanted) {
    return `${this.address} ${this.state} ${this.group} ${STATES[this.state]?.[0]} ${this.now.Cause || ""}`.toLowerCase().includes(wanted);
  }

  // sample adds the present figures to the charts. What was measured while an endpoint took
  // calls says nothing of it any more once it takes none.
  sample(now) {
    const e = this.now, tick = Math.floor(now / TICK), none = this.out;
    this.phi.put(tick, none ? NaN : e.Phi);
    this.low.put(tick, !none && e.P50 > 0 ? e.P50 / 1e6 : NaN);
    this.high.put(tick, !none && e.P99 > 0 ? e.P99 / 1e6 : NaN);
    this.calls.put(now, e.Picks);
    this.read.put(now, e.BytesRead);
    this.written.put(now, e.BytesWritten);
    if (!this.strip.parts.length) this.strip.enter(this.since, this.down ? "open" : e.State);
    this.strip.enter(now, this.down ? "open" : this.state);
    this.strip.forget(now);
  }
}

const FIGURES = ["Calls", "Failures", "Retries", "Hedges"];
const MAX_EVENTS = 256;

class Client {
  constructor(name) {
    this.name = name;
    this.endpoints = new Map();
    this.events = []; // the newest last
    this.seq = 0; // of the newest
    this.rates = Object.fromEntries(FIGURES.map((f) => [f, new Rate()]));
    this.traffic = new Series();
  }

  // update applies a frame.
  update(now, frame, whole) {
    this.closed = frame.Closed;
    this.threshold = frame.PhiThreshold;
    this.stats = frame.Stats;
    const all = frame.Stats.Endpoints || [];
    if (whole) {
      const present = new Set(all.map((e) => e.Address));
      for (const address of this.endpoints.keys()) if (!present.has(address)) this.endpoints.delete(address);
    }
    for (const address of frame.Gone || []) this.endpoints.delete(address);
    for (const e of all) {
      if (!this.endpoints.has(e.Address)) {
        this.endpoints.set(e.Address, new Endpoint(e.Address));
        this.ranked = false;
      }
      this.endpoints.get(e.Address).update(now, e);
    }
    this.addEvents(frame.Events, whole);
    this.sample(now);
  }

  // rank numbers the endpoints by address, again only when there are new ones.
  rank() {
    if (this.ranked) return;
    this.ranked = true;
    const natural = new Intl.Collator("en", {numeric: true});
    [...this.endpoints.values()].sort((a, b) => natural.compare(a.address, b.address)).forEach((e, i) => { e.rank = i; });
  }

  // addEvents adds the events that are new, and replaces those that were repeated. Numbers
  // that restart mean another client.
  addEvents(events, whole) {
    if (whole && (events.at(-1)?.Seq ?? 0) < this.seq) { this.events = []; this.seq = 0; }
    for (const e of events) {
      const i = this.events.findIndex((known) => known.Seq === e.Seq);
      if (i >= 0 && this.events[i].Rev === e.Rev) continue;
      e.time = Date.parse(e.At);
      if (i >= 0) { this.events[i] = e; continue; }
      if (e.Seq <= this.seq) continue; // it was dropped here
      this.seq = e.Seq;
      this.events.push(e);
      if (e.State) this.endpoints.get(e.Endpoint || "")?.strip.enter(e.time, groupOf(e.State) === "down" ? "open" : e.State);
    }
    if (this.events.length > MAX_EVENTS) this.events.splice(0, this.events.length - MAX_EVENTS);
  }

  sample(now) {
    let total = 0;
    for (const e of this.endpoints.values()) {
      e.sample(now);
      if (!e.out) total += e.calls.get();
    }
    for (const e of this.endpoints.values()) e.share = total && !e.out ? e.calls.get() / total : 0;
    for (const f of FIGURES) this.rates[f].put(now, this.stats[f] || 0);
    this.traffic.put(Math.floor(now / TICK), this.rates.Calls.get());
    for (const e of this.events.slice(-32)) {
      if (e.Phi && e.time > now - 2 * TICK) this.endpoints.get(e.Endpoint || "")?.phi.raise(e.Phi);
    }
  }
}
