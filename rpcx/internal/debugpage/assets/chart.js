// Charts: the recent figures of an endpoint, and the paths that draw them.

const TICK = 500; // ms between two samples
const SAMPLES = 240; // two minutes of them
const LATE = 12; // samples that may be missed in a row
const SPAN = TICK * SAMPLES;
const WIDTH = 120, HEIGHT = 18; // of every chart, in its own units

// A Series is the last two minutes of one figure. A sample that was missed is NaN,
// which is drawn as a gap.
class Series {
  constructor() {
    this.values = new Float32Array(SAMPLES).fill(NaN);
    this.tick = 0; // of the newest sample
  }

  put(tick, value) {
    const missed = this.tick ? tick - this.tick : SAMPLES;
    const last = this.at(0);
    for (let i = 1; i < Math.min(missed, SAMPLES); i++) {
      this.values[(this.tick + i) % SAMPLES] = missed < LATE ? last : NaN; // a late frame is no gap
    }
    if (missed > 0) this.tick = tick;
    this.values[tick % SAMPLES] = value;
  }

  // raise makes the newest sample show a peak between two samples.
  raise(value) {
    const i = this.tick % SAMPLES;
    this.values[i] = Math.max(this.values[i] || 0, value);
  }

  // at returns the sample of that many ticks ago.
  at(ago) { return this.values[(this.tick - ago + SAMPLES) % SAMPLES]; }

  // points returns the series in half as many steps as it has samples, the oldest
  // first, each the larger of two, so that no peak is left out.
  points() {
    const out = [];
    for (let ago = SAMPLES - 2 + this.tick % 2; ago >= 0; ago -= 2) {
      const a = this.at(ago), b = ago > 0 ? this.at(ago - 1) : NaN;
      out.push(Number.isNaN(a) ? b : Number.isNaN(b) ? a : Math.max(a, b));
    }
    return out;
  }
}

// linePath draws points, given scale(value) from 0 at the bottom to 1 at the top.
function linePath(points, scale) {
  let d = "", pen = false;
  const step = WIDTH / (points.length - 1);
  points.forEach((v, i) => {
    if (Number.isNaN(v)) { pen = false; return; }
    const at = `${(i * step).toFixed(1)} ${yOf(scale(v))}`;
    d += pen ? `L${at}` : `M${at}h.01`; // a dot, if nothing follows
    pen = true;
  });
  return d;
}

// bandPath fills the area between two rows of points.
function bandPath(low, high, scale) {
  let d = "";
  const step = WIDTH / (high.length - 1);
  for (let i = 0; i < high.length;) {
    if (Number.isNaN(high[i]) || Number.isNaN(low[i])) { i++; continue; }
    const from = i;
    while (i < high.length && !Number.isNaN(high[i]) && !Number.isNaN(low[i])) i++;
    for (let k = from; k < i; k++) d += `${k === from ? "M" : "L"}${(k * step).toFixed(1)} ${yOf(scale(high[k]))}`;
    for (let k = i - 1; k >= from; k--) d += `L${(k * step).toFixed(1)} ${yOf(scale(low[k]))}`;
    d += "Z";
  }
  return d;
}

function yOf(share) { return (HEIGHT - 1 - Math.min(1, Math.max(0, share)) * (HEIGHT - 2)).toFixed(1); }

// A Strip is the recent states of a breaker, each with the time it began.
class Strip {
  constructor() { this.parts = []; }

  enter(at, state) {
    const last = this.parts.at(-1);
    if (last && last.state === state) return;
    if (last && at < last.at) at = last.at;
    this.parts.push({at, state});
  }

  forget(now) {
    while (this.parts.length > 1 && this.parts[1].at < now - SPAN) this.parts.shift();
    if (this.parts.length > SAMPLES) this.parts.splice(0, this.parts.length - SAMPLES);
  }

  // boxes returns [state, x, width] of the last two minutes.
  boxes(now) {
    const x = (t) => Math.max(0, (t - now + SPAN) / SPAN * WIDTH);
    return this.parts.map((p, i) => {
      const from = x(p.at), to = i + 1 < this.parts.length ? x(this.parts[i + 1].at) : WIDTH;
      return [p.state, from, Math.max(to - from, p.state === "closed" ? 0 : 0.8)];
    });
  }
}

// The height of a state in a strip: states differ by more than color.
const HEIGHTS = {closed: 3, disabled: 3, suspect: 8, "half-open": 12, open: 18, "forced-open": 18};

// The shape of a state or a level, for the same reason.
const SHAPES = {
  closed: "M8 2a6 6 0 1 1 0 12a6 6 0 0 1 0-12z", // a disc
  suspect: "M8 1.5L15 14H1z", // a triangle
  "half-open": "M2.5 2.5h11v11h-11zM4 4v8h4v-8z", // a square half full
  open: "M2.5 2.5h11v11h-11z", // a square
  "forced-open": "M3 2h3.5v12H3zM9.5 2H13v12H9.5z", // a pause sign
  disabled: "M8 2a6 6 0 1 1 0 12a6 6 0 0 1 0-12zM8 4.5a3.5 3.5 0 1 0 0 7a3.5 3.5 0 0 0 0-7z", // a ring
  good: "M6.5 13L1.5 8l1.8-1.8L6.5 9.4L12.7 3.2L14.5 5z", // a tick
  info: "M8 5a3 3 0 1 1 0 6a3 3 0 0 1 0-6z", // a dot
  warning: "M8 1.5L15 14H1z",
  bad: "M2.5 2.5h11v11h-11z",
  live: "M8 2a6 6 0 1 1 0 12a6 6 0 0 1 0-12z",
  wait: "M8 5a3 3 0 1 1 0 6a3 3 0 0 1 0-6z",
  lost: "M8 1.5L15 14H1z",
};

// --- elements ---

const $ = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";

function make(tag, text, attributes = {}) {
  const e = document.createElement(tag);
  if (text !== undefined) e.textContent = text;
  for (const [name, value] of Object.entries(attributes)) e.setAttribute(name, value);
  return e;
}

// setText sets a text if it has changed: most texts of a row have not.
function setText(e, text) { if (e.textContent !== text) e.textContent = text; }

function shape(svg, state) {
  if (svg.dataset.state === state) return;
  svg.dataset.state = state;
  svg.firstElementChild.setAttribute("d", SHAPES[state] || SHAPES.info);
}
