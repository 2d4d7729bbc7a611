
// The page: it follows the stream of frames, and draws what is on the screen. Data
// of others is only ever set as text.

// --- clients ---

const known = new Map(); // clients by name
let shown; // the client on the page
let controls = false, now = 0;

function apply(frame) {
  now = Date.parse(frame.At);
  controls = frame.Controls;
  if (frame.Whole) {
    const present = new Set(frame.Clients.map((c) => c.Name));
    for (const name of known.keys()) if (!present.has(name)) known.delete(name);
  }
  for (const c of frame.Clients) {
    if (!known.has(c.Name)) known.set(c.Name, new Client(c.Name));
    known.get(c.Name).update(now, c, frame.Whole);
  }
  if (!known.has(shown?.name)) show(known.values().next().value);
  announce();
  ordered = false;
  draw();
}

// --- the stream ---

const SILENCE = 6000; // ms without a frame after which the stream is closed
let source, received = Date.now(), tries = 0, watchdog;

const address = (format) => {
  const query = new URLSearchParams(location.search);
  query.set("format", format);
  return `${location.pathname}?${query}`;
};

function connect() {
  source = new EventSource(address("stream"));
  source.onmessage = (m) => {
    tries = 0;
    receive(JSON.parse(m.data), "live");
    clearTimeout(watchdog);
    watchdog = setTimeout(lost, SILENCE);
  };
  source.onerror = lost;
  clearTimeout(watchdog);
  watchdog = setTimeout(lost, SILENCE);
}

function receive(frame, words) {
  received = Date.now();
  link("live", words);
  apply(frame);
}

// lost requests the figures once, in case only the stream is refused, and reconnects.
async function lost() {
  source.close();
  clearTimeout(watchdog);
  tries++;
  try {
    const answer = await fetch(address("json"), {signal: AbortSignal.timeout(3000), cache: "no-store"});
    if (!answer.ok) throw new Error(await answer.text());
    const frame = await answer.json();
    if (tries > 1) receive(frame, "live, by polling");
  } catch {
    link("lost", `connection lost since ${clock(received)}`);
  }
  setTimeout(connect, tries > 1 ? 2000 : 500);
}

function link(state, words) {
  const e = $("link");
  e.dataset.state = state;
  shape(e.firstElementChild, state);
  setText(e.lastElementChild, words);
  document.body.classList.toggle("stale", state === "lost");
}

// --- drawing ---

let drawing = false;
const draw = () => {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    if (!shown) return;
    arrange();
    drawSummary();
    drawRows(true);
    drawEvents();
    drawDetail();
  });
};

let scrolling = false;
addEventListener("scroll", () => {
  if (scrolling) return;
  scrolling = true;
  requestAnimationFrame(() => { scrolling = false; drawRows(false); });
}, {passive: true});
addEventListener("resize", draw);

// --- the client's own figures ---

function drawSummary() {
  const s = shown.stats, groups = {};
  shown.mostShare = 0;
  for (const e of shown.endpoints.values()) {
    groups[e.group] = (groups[e.group] || 0) + 1;
    shown.mostShare = Math.max(shown.mostShare, e.share);
  }
  setLatencyScale();
  setText($("threshold"), String(shown.threshold));
  const rate = (f) => shown.rates[f].get(), all = shown.endpoints.size, up = all - outOf(groups);
  const tiles = [
    ["endpoints up", `${up} of ${all}`, "Endpoints that take calls, of those in use", up < all && "bad"],
    ["calls/s", count(rate("Calls"))], ["failed/s", count(rate("Failures")), "Calls that returned an error, of the method or of any other kind", rate("Failures") > 0 && "bad"],
    ["retries/s", count(rate("Retries")), "Attempts that repeated one which a server was given"],
  ];
  if (s.Hedges !== undefined) tiles.push(["hedges/s", count(rate("Hedges")), "Second attempts of calls that took long"]);
  tiles.push(["in flight", count(s.InFlight), "Calls that have begun and not ended"]);
  if (s.Budget >= 0) tiles.push(["retry budget", budget(s.Budget), "Retries that may be made now; calls fill it up again"]);
  if (s.DoubtsResolved + s.DoubtsUnresolved > 0) {
    tiles.push(["lost answers", `${count(s.DoubtsResolved)} of ${count(s.DoubtsResolved + s.DoubtsUnresolved)} resolved`,
      "Calls whose connection broke, and whose server said what became of them", s.DoubtsUnresolved > 0 && "bad"]);
  }
  if (s.Listed > all) tiles.push(["listed", count(s.Listed), "Endpoints in the set, of which this client uses a part"]);
  drawTiles($("summary"), tiles);
  drawStates(groups);
  drawClients();
  document.title = titleOf(groups);
}

// outOf is how many endpoints take no calls.
const outOf = (groups) => (groups.down || 0) + (groups["forced-open"] || 0);

const budget = (b) => count(Math.floor(b * 10) / 10);

function drawTiles(dl, tiles) {
  while (dl.childElementCount > tiles.length) dl.lastElementChild.remove();
  tiles.forEach(([name, value, meaning, mark], i) => {
    let tile = dl.children[i];
    if (!tile) {
      tile = make("div");
      tile.append(make("dt"), make("dd"));
      dl.append(tile);
    }
    setText(tile.firstElementChild, name);
    setText(tile.lastElementChild, value);
    tile.title = meaning || "";
    tile.dataset.mark = mark || "";
  });
}

function titleOf(groups) {
  const out = outOf(groups);
  return `${out ? `${out} down · ` : ""}${shown.name} · rpcx`;
}

function drawStates(groups) {
  const box = $("states"), names = SEVERITY.filter((g) => groups[g] || g === only);
  keyed(box, ["", ...names], () => make("button", "", {type: "button"}), (button, group) => {
    const n = group ? groups[group] || 0 : shown.endpoints.size;
    setText(button, `${group ? GROUPS[group] : "All"} ${n}`);
    button.dataset.group = group;
    button.setAttribute("aria-pressed", String(group === only));
    button.onclick = () => { only = group; rearrange(); };
  });
}

function drawClients() {
  const box = $("clients");
  box.classList.toggle("single", known.size === 1);
  keyed(box, [...known.keys()], () => make("button", "", {type: "button"}), (button, name) => {
    const c = known.get(name);
    setText(button, c.closed ? `${name} (closed)` : name);
    button.setAttribute("aria-pressed", String(c === shown));
    button.onclick = () => { show(c); draw(); };
  });
}

// keyed keeps one child for each key, and updates each.
function keyed(box, keys, create, update) {
  while (box.childElementCount > keys.length) box.lastElementChild.remove();
  while (box.childElementCount < keys.length) box.append(create());
  keys.forEach((key, i) => update(box.children[i], key));
}

function show(client) {
  shown = client;
  list = [];
  chosen = focused = undefined;
  ordered = false;
  for (const [, row] of live) row.remove();
  live.clear();
  drawn = undefined;
}

// --- keyboard ---

function focusOn(e) {
  if (focused === e) return;
  const was = live.get(focused);
  if (was) was.tabIndex = -1;
  focused = e;
  live.get(e).tabIndex = 0;
}

function move(by) {
  if (!list.length) return;
  const i = Math.min(list.length - 1, Math.max(0, list.indexOf(focused) + by));
  focused = list[i];
  drawRows(false);
  const row = live.get(focused), height = row.offsetHeight, y = rows.getBoundingClientRect().top + i * height;
  const top = Math.max(0, $("heads").getBoundingClientRect().bottom);
  if (y < top) scrollBy(0, y - top);
  else if (y + height > innerHeight) scrollBy(0, y + height - innerHeight);
  row.focus({preventScroll: true});
}

const STEPS = {ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10, Home: -Infinity, End: Infinity};

document.addEventListener("keydown", (k) => {
  if (k.ctrlKey || k.metaKey || k.altKey || $("ask").open) return;
  const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(k.target.tagName);
  const onRow = k.target.closest?.("#rows .row");
  if (k.key === "/" && !typing) $("filter").focus();
  else if (k.key === "Escape" && k.target === $("filter")) { $("filter").value = wanted = ""; rearrange(); $("filter").blur(); }
  else if (k.key === "Escape" && chosen) unchoose();
  else if (k.key === "ArrowDown" && k.target === $("filter")) move(0);
  else if (onRow && (k.key === "Enter" || k.key === " ")) choose(onRow.endpoint);
  else if ((onRow || k.target === rows) && k.key in STEPS) move(STEPS[k.key]);
  else return;
  k.preventDefault();
});

$("filter").addEventListener("input", (i) => { wanted = i.target.value.trim().toLowerCase(); rearrange(); });

// --- sorting ---

function sortBy(column) {
  order = column;
  $("order").value = column;
  for (const head of $("heads").children) {
    const mine = head.dataset.column === column;
    head.setAttribute("aria-sort", !mine ? "none" : column === "address" || column === "state" ? "ascending" : "descending");
  }
  rearrange();
}

for (const [id, words] of COLUMNS) $("order").append(make("option", `by ${words.toLowerCase()}`, {value: id}));
for (const id of HEADS) {
  const head = make("div", undefined, {role: "columnheader", class: id === "address" ? "name" : `cell ${id}`});
  const words = HEAD_WORDS[id] || COLUMNS.find((c) => c[0] === id)[1].toLowerCase();
  head.dataset.column = id;
  head.append(make("button", words, {type: "button", title: `${MEANINGS[id]}. Click to sort.`}));
  head.firstElementChild.onclick = () => sortBy(id);
  $("heads").append(head);
}
$("order").onchange = () => sortBy($("order").value);

$("close").onclick = unchoose;

sortBy("address");
link("wait", "connecting");
connect();
