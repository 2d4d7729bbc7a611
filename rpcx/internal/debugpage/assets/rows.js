
// The rows: their selection, order and drawing.

const COLUMNS = [
  ["address", "Endpoint", () => 0],
  ["state", "Breaker", (a, b) => a.severity - b.severity],
  ["phi", "Phi", (a, b) => b.now.Phi - a.now.Phi],
  ["latency", "Latency", (a, b) => (b.p99 || 0) - (a.p99 || 0)],
  ["share", "Share", (a, b) => b.share - a.share],
  ["flight", "In flight", (a, b) => b.now.InFlight - a.now.InFlight],
  ["traffic", "Traffic", (a, b) => b.read.get() + b.written.get() - a.read.get() - a.written.get()],
];
const HEADS = ["address", "state", "phi", "latency", "share", "flight", "traffic"]; // from left to right
const HEAD_WORDS = {state: "breaker, 2 min", latency: "p50 · p95 · p99"};
const MEANINGS = { // of the columns
  address: "The endpoint's address, and why it is in its state",
  state: "The states of the breaker in the last two minutes: low and green, it took calls; high and red, it took none",
  phi: "The failure detector's level of suspicion: from 1 on others are preferred, at the dashed line the endpoint is taken out",
  latency: "How long half, 95 % and 99 % of the calls of the last minute took, at most; the line is p50, the band reaches up to p99",
  share: "The part of the client's calls that the endpoint gets; the mark is an even share",
  flight: "Calls that wait for an answer, and open connections",
  traffic: "Bytes received and sent",
};

let order = "address", only = "", wanted = "", ordered = false, settled = 0;
let list = []; // of endpoints, as shown

// arrange updates the list. Figures change all the time, so rows that are sorted by one
// change places every two seconds at most.
function arrange() {
  const at = performance.now();
  if (ordered || !shown) return;
  ordered = true;
  shown.rank();
  const kept = [];
  for (const e of shown.endpoints.values()) {
    if ((!only || e.group === only) && (!wanted || e.matches(wanted))) kept.push(e);
  }
  const before = new Map(list.map((e, i) => [e, i]));
  const hold = order !== "state" && at - settled < 2000 && kept.every((e) => before.has(e));
  if (!hold) settled = at;
  const by = COLUMNS.find((c) => c[0] === order)[2];
  kept.sort(hold
    ? (a, b) => before.get(a) - before.get(b)
    : (a, b) => by(a, b) || a.rank - b.rank);
  list = kept;
}

function rearrange() {
  ordered = false;
  settled = 0;
  draw();
}

const rows = $("rows");
const live = new Map(); // rows on the page, by endpoint
let focused; // the endpoint whose row has the focus

// drawRows keeps only the rows on the screen in the document, and a few around them.
function drawRows(fresh) {
  const height = parseFloat(getComputedStyle(rows).getPropertyValue("--row"));
  const top = -rows.getBoundingClientRect().top;
  const from = Math.max(0, Math.floor(top / height) - 3);
  const to = Math.min(list.length, Math.ceil((top + innerHeight) / height) + 3);
  if (fresh) {
    rows.style.height = `${list.length * height}px`;
    $("table").setAttribute("aria-rowcount", list.length + 1);
    $("empty").hidden = list.length > 0;
    setText($("empty"), shown.endpoints.size ? "No endpoint is like that." : "This client has no endpoints.");
  }
  if (!list.includes(focused)) focused = list[0];
  const needed = new Map();
  for (let i = from; i < to; i++) needed.set(list[i], i);
  if (focused) needed.set(focused, list.indexOf(focused)); // or it would lose the focus
  const spare = [];
  for (const [e, row] of live) if (!needed.has(e)) { spare.push(row); live.delete(e); }
  for (const [e, i] of needed) {
    let row = live.get(e);
    const isNew = !row;
    if (isNew) {
      row = spare.pop() || newRow();
      live.set(e, row);
      row.endpoint = e;
    }
    row.style.transform = `translateY(${i * height}px)`;
    row.setAttribute("aria-rowindex", i + 2);
    row.tabIndex = e === focused ? 0 : -1;
    row.classList.toggle("chosen", e === chosen);
    if (fresh || isNew) drawRow(row, e);
  }
  for (const row of spare) row.remove();
}

function newRow() {
  const row = $("row").content.firstElementChild.cloneNode(true);
  const part = (name) => row.querySelector(name);
  row.parts = {
    shape: part(".shape"), name: part(".name"), why: part(".why span"), word: part(".why b"),
    strip: part(".strip"), phi: part(".phi"), latency: part(".latency"), share: part(".share"), flight: part(".flight"), traffic: part(".traffic"),
  };
  row.addEventListener("click", () => choose(row.endpoint));
  row.addEventListener("focus", () => focusOn(row.endpoint));
  rows.append(row);
  return row;
}

function drawRow(row, e) {
  const p = row.parts, s = e.now, state = STATES[e.state] || [e.state, ""];
  row.dataset.state = e.state;
  shape(p.shape, e.state);
  setText(p.name, e.address || "the connection");
  p.name.title = e.address;
  setText(p.word, state[0]);
  setText(p.why, reason(e));
  p.why.parentNode.title = reason(e);
  drawStrip(p.strip, e);
  drawPhi(p.phi, e);
  drawLatency(p.latency, e);
  drawShare(p.share, e);
  setText(p.flight.firstElementChild, count(s.InFlight));
  setText(p.flight.lastElementChild, plural(s.Conns, "conn"));
  setText(p.traffic.firstElementChild, e.down ? "–" : `↓ ${bytes(e.read.get())}/s`);
  setText(p.traffic.lastElementChild, e.down ? "\u00a0" : `↑ ${bytes(e.written.get())}/s`);
}

// reason returns why an endpoint is in its state, or else what is notable.
function reason(e) {
  const s = e.now, said = [];
  if (s.Cause) said.push(plain(s.Cause, e.address));
  else if (STATES[e.state]) said.push(STATES[e.state][1]);
  if (e.state === "open" && s.RetryAfter > 0) said.push(`next probe in ${Math.ceil(s.RetryAfter / 1e9)} s`);
  if (e.state === "half-open" && s.Cause) said.push(STATES[e.state][1]);
  if (e.group === "closed" && s.Window.Failures > 0) said.push(failures(s.Window));
  if (e.group === "closed" && s.Connected === false) said.push("not connected");
  if (shown.closed) said.push("as it was when the client was closed");
  return said.join("; ");
}

// failures says what the breaker counts.
const failures = (w) => `${count(w.Failures)} of ${plural(w.Calls, "call")} failed in ${brief(w.Length / 1e6)}`;

// plain is the last known reason of a cause, without what the page says beside it: the
// address, and that probes have failed since the breaker opened.
const plain = (cause, address) => cause
  .replace(/^the probe (?:failed|was slow)(?:, last: (.*))? \(first opened: (.*)\)$/s, (_, last, first) => last || first)
  .replaceAll("rpcx: ", "")
  .replaceAll("peer does not respond", "does not respond")
  .replaceAll(`dial tcp ${address}: `, "")
  .replaceAll("connect: connection refused", "connection refused");

// age says for how long an endpoint has been as it is, or down: all probes are one time.
function age(e, at, words = brief) {
  const word = e.down ? "down" : e.group === "forced-open" ? "drained" : "for";
  return `${word} ${words(Math.max(at - e.since, 0))}`;
}

function drawStrip(cell, e, at = now) {
  setText(cell.firstElementChild, age(e, at));
  const svg = cell.lastElementChild, boxes = e.strip.boxes(at);
  while (svg.childElementCount > boxes.length) svg.lastElementChild.remove();
  while (svg.childElementCount < boxes.length) svg.append(document.createElementNS(SVG, "rect"));
  boxes.forEach(([state, x, width], i) => {
    const box = svg.children[i], height = HEIGHTS[state] || 3;
    box.dataset.state = state;
    box.setAttribute("x", x.toFixed(2));
    box.setAttribute("width", width.toFixed(2));
    box.setAttribute("y", HEIGHT - height);
    box.setAttribute("height", height);
  });
}

function drawPhi(cell, e) {
  setText(cell.firstElementChild, e.out ? "–" : e.now.Phi < 1000 ? e.now.Phi.toFixed(1) : "> 999");
  const scale = (v) => v / (shown.threshold * 1.15), points = e.phi.points();
  const [limit, area, line] = cell.lastElementChild.children;
  const y = yOf(scale(shown.threshold));
  for (const [name, value] of [["x1", 0], ["x2", WIDTH], ["y1", y], ["y2", y]]) limit.setAttribute(name, value);
  area.setAttribute("d", bandPath(points.map((v) => v * 0), points, scale));
  line.setAttribute("d", linePath(points, scale));
}

function drawLatency(cell, e) {
  const s = e.now, three = e.out ? [] : s.P99 > 0 ? [s.P50, s.P95, s.P99] : [s.Latency];
  setText(cell.firstElementChild, figures(three.map((ns) => ns / 1e6)));
  const [area, line] = cell.lastElementChild.children, low = e.low.points(), high = e.high.points();
  area.setAttribute("d", bandPath(low, high, latencyScale));
  line.setAttribute("d", linePath(low, latencyScale));
}

// figures formats a few durations in one unit.
function figures(ms) {
  const most = Math.max(0, ...ms);
  if (!(most > 0)) return "–";
  const [unit, by] = most < 1 ? ["µs", 1000] : most < 10000 ? ["ms", 1] : ["s", 0.001];
  return `${ms.map((v) => (v * by < 9.95 ? (v * by).toFixed(1) : Math.round(v * by))).join(" · ")} ${unit}`;
}

// latencyScale is the same for all endpoints, so that charts can be compared. It is
// logarithmic, from the least to the largest so far.
let latencyScale = () => 0;

function setLatencyScale() {
  let least = Infinity, most = 0;
  for (const e of shown.endpoints.values()) {
    if (!e.out && e.now.P50 > 0) least = Math.min(least, e.now.P50 / 1e6);
    if (e.p99 > 0) most = Math.max(most, e.p99);
  }
  shown.least = Math.min(shown.least ?? Infinity, least / 1.5);
  shown.most = Math.max(shown.most ?? 0, most * 1.5);
  const low = Math.log(shown.least), span = Math.log(shown.most) - low || 1;
  latencyScale = (v) => (Math.log(v) - low) / span;
}

function drawShare(cell, e) {
  setText(cell.firstElementChild, e.out ? "–" : percent(e.share));
  const [, bar, fair] = cell.lastElementChild.children;
  const even = 1 / shown.endpoints.size, most = Math.max(shown.mostShare, even * 1.5);
  bar.setAttribute("width", (e.share / most * WIDTH).toFixed(1));
  for (const x of ["x1", "x2"]) fair.setAttribute(x, (even / most * WIDTH).toFixed(1));
}
