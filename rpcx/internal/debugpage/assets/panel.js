
// The panel at the side: recent events, one endpoint, and its controls.

// --- events ---

let drawn; // identifies the contents of the list of events

function drawEvents() {
  const about = chosen ? shown.events.filter((e) => (e.Endpoint || "") === chosen.address) : shown.events;
  const key = `${shown.name} ${chosen?.address} ${about.length} ${Math.max(0, ...about.map((e) => e.Rev))}`;
  if (key === drawn) return;
  drawn = key;
  setText($("log-title"), chosen ? "Recent events of this endpoint" : "Recent events");
  const newest = about.slice(-100).reverse();
  if (!newest.length) {
    $("events").replaceChildren(make("li", "Nothing has happened yet.", {class: "none"}));
    return;
  }
  $("events").replaceChildren(...newest.map(eventItem));
}

function eventItem(e) {
  const li = make("li");
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("class", "shape");
  svg.setAttribute("aria-hidden", "true");
  svg.append(document.createElementNS(SVG, "path"));
  shape(svg, e.Level);
  const text = make("p");
  if (e.Endpoint) text.append(make("b", e.Endpoint), " ");
  text.append(plain(e.Text, e.Endpoint));
  if (e.Again) text.append(make("small", `${plural(e.Again, "probe")} failed since, the last at ${clock(Date.parse(e.Last))}`));
  li.append(svg, make("time", clock(e.time), {datetime: e.At}), text);
  return li;
}

// announce gives a screen reader the last change, every few seconds at most.
let announced = 0;

function announce() {
  if (!shown) return;
  const fresh = shown.events.filter((e) => e.Kind === "breaker" && e.Level !== "info" && e.Seq > (shown.announced ?? Infinity));
  if (shown.announced === undefined) shown.announced = shown.seq;
  if (!fresh.length || Date.now() - announced < 3000) return;
  announced = Date.now();
  shown.announced = shown.seq;
  const last = fresh.at(-1);
  setText($("news"), `${fresh.length > 1 ? `${fresh.length} changes. ` : ""}${last.Endpoint || ""} ${last.Text}`);
}

// --- one endpoint ---

let chosen; // the endpoint in the panel

function choose(e) {
  chosen = e === chosen ? undefined : e;
  focused = e || focused;
  draw();
  if (chosen && getComputedStyle($("detail")).position === "fixed") requestAnimationFrame(() => $("detail").focus());
}

function unchoose() {
  const was = chosen;
  chosen = undefined;
  draw();
  if (was) requestAnimationFrame(() => live.get(was)?.focus({preventScroll: true}));
}

function drawDetail() {
  const panel = $("detail");
  if (chosen && shown.endpoints.get(chosen.address) !== chosen) chosen = shown.endpoints.get(chosen.address);
  panel.hidden = !chosen;
  if (!chosen) return;
  const e = chosen, s = e.now;
  panel.dataset.state = e.state;
  setText($("detail-title"), e.address || "the connection");
  setText($("detail-state"), `${(STATES[e.state] || [e.state])[0]}: ${reason(e)}`);
  drawBig(e);
  const w = s.Window, known = !e.out && w.Length > 0 && e.state !== "disabled";
  drawTiles($("detail-figures"), [
    ["calls/s", e.out ? "–" : count(e.calls.get())], ["share", e.out ? "–" : percent(e.share), MEANINGS.share], ["in flight", count(s.InFlight), "Calls that wait for an answer"],
    ["connections", count(s.Conns)], ["received", bytes(s.BytesRead)], ["sent", bytes(s.BytesWritten)],
    ["attempts", count(s.Picks), "Attempts of calls that were given to this endpoint"], ["opened", plural(s.Trips, "time"), "How often the breaker has opened"],
    [known ? `failed in ${brief(w.Length / 1e6)}` : "failed", known ? `${count(w.Failures)} of ${count(w.Calls)}` : "–", "The calls that ended in this time, by which the breaker decides"],
    ...(s.ServerRunning >= 0 ? [["on the server", e.down ? "–" : plural(s.ServerRunning, "request"), "Requests of all clients that the server was running when it last answered a ping"]] : []),
    ...(s.Priority ? [["priority", String(s.Priority), "Endpoints of a higher number get calls while those of a lower one are down"]] : []),
    ...Object.entries(s.Metadata || {}),
  ]);
  $("controls").hidden = !controls || e.state === "disabled" || shown.closed;
  const idle = {trip: e.state === "forced-open", drain: e.state === "forced-open", reset: e.state === "closed"};
  for (const button of $("controls").children) button.disabled = idle[button.dataset.action];
}

// drawBig draws the charts of a row larger.
function drawBig(e) {
  const box = $("detail-charts");
  if (!box.childElementCount) {
    for (const [name, words, meaning] of [["strip", "Breaker", "the last 2 minutes"], ["phi", "Phi", "1: others are preferred · dashed: it is taken out"], ["latency", "Latency", "line: p50 · band: up to p99"]]) {
      const cell = $("row").content.querySelector(`.${name}`).cloneNode(true);
      cell.removeAttribute("role");
      const figure = make("figure");
      figure.append(make("figcaption", words), cell, make("small", meaning));
      box.append(figure);
    }
  }
  drawStrip(box.querySelector(".strip"), e);
  setText(box.querySelector(".strip").firstElementChild, age(e, now, duration));
  drawPhi(box.querySelector(".phi"), e);
  drawLatency(box.querySelector(".latency"), e);
}

// --- controls ---

const EFFECTS = {
  trip: "It takes no calls for 30 seconds, and is then tried with a ping.",
  drain: "It takes no more calls, and finishes those it has, until it is reset.",
  reset: "Its breaker is closed, whatever it was, and it takes calls again.",
};
let token = ""; // requested once, and never stored

function ask(action) {
  const dialog = $("ask"), target = chosen.address, client = shown.name;
  setText($("ask-title"), `${action[0].toUpperCase()}${action.slice(1)} ${target}?`);
  setText($("ask-text"), EFFECTS[action]);
  setText(dialog.querySelector(".primary"), action[0].toUpperCase() + action.slice(1));
  $("ask-token").hidden = token !== "";
  $("ask-error").hidden = true;
  dialog.querySelector("form").onsubmit = (submit) => {
    submit.preventDefault();
    command(client, target, action).then((error) => {
      if (!error) { dialog.close(); return; }
      $("ask-token").hidden = token !== "";
      $("ask-error").hidden = false;
      setText($("ask-error"), error);
    });
  };
  dialog.showModal();
  dialog.querySelector(token ? ".primary" : "input").focus();
}

// command sends an order, and returns an error's text or an empty one.
async function command(client, endpoint, action) {
  const field = $("ask-token").querySelector("input");
  token ||= field.value;
  try {
    const answer = await fetch(location.pathname, {
      method: "POST", headers: {Authorization: `Bearer ${token}`},
      body: new URLSearchParams({client, endpoint, action}), signal: AbortSignal.timeout(5000),
    });
    if (answer.status === 403) { token = ""; field.value = ""; }
    return answer.ok ? "" : (await answer.text()).trim().replace(/^rpcx: /, "");
  } catch {
    return "The page's server does not answer.";
  }
}

for (const button of $("controls").children) button.onclick = () => ask(button.dataset.action);
$("ask").querySelector("[value=cancel]").onclick = () => $("ask").close();
