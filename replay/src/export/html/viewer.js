const view = JSON.parse(document.getElementById("view").textContent);
const $ = (id) => document.getElementById(id);
const KINDS = { command: "Commands", finding: "Findings", input: "Hidden input", resize: "Resizes", gap: "Gaps", note: "Notes" };
const SPEEDS = [0.25, 0.5, 1, 2, 4, 8, 16, 32, 64];
const IDLE_MS = 2000;
const state = { time: 0, playing: false, speed: 1, idle: true, last: 0, zoom: 1, kinds: new Set(), query: "", waited: 0, pinned: null };
let screens = null;
let painter = null;
let entries = [];

function clock(ms, fine) {
  const seconds = Math.floor(ms / 1000);
  const two = (value) => String(value).padStart(2, "0");
  const hours = Math.floor(seconds / 3600);
  const text = `${hours ? `${hours}:${two(Math.floor(seconds / 60) % 60)}` : Math.floor(seconds / 60)}:${two(seconds % 60)}`;
  return fine ? `${text}.${Math.floor((ms % 1000) / 100)}` : text;
}

function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

// ---- header ----

function head() {
  $("title").textContent = view.title;
  $("facts").replaceChildren(...view.facts.map((fact) => element("span", fact)));
  $("verify").textContent = view.verify.label;
  $("verify").dataset.state = view.verify.state;
  $("notice").textContent = view.notices.join(" ");
  $("notice").hidden = view.notices.length === 0;
}

function dialog(title, rows, keys) {
  $("dialog-title").textContent = title;
  $("dialog-body").className = keys ? "" : "mono";
  $("dialog-body").replaceChildren(...rows.flatMap(([name, value]) => {
    const term = element("dt");
    term.append(...(keys ? name.split(" ").map((key) => element("kbd", key)) : [name]));
    return [term, element("dd", value)];
  }));
  if (!$("dialog").open) $("dialog").showModal();
  $("dialog").scrollTop = 0;
}

const showVerify = () => dialog("What was verified", view.verify.rows, false);
const showHelp = () => dialog("Keys", [
  ["space", "Play or pause"], ["← →", "Five seconds back or on; with Shift one minute"], [", .", "One screen back or on"],
  ["n p", "Next command, command before"], ["f F", "Next finding, finding before"], ["[ ]", "Slower, faster"],
  ["i", "Skip idle time or not"], ["h", "Show hidden text"], ["/", "Search"], ["Home End", "Beginning, end"],
  ["+ -", "Larger or smaller text"], ["t", "Dark or light"], ["v", "What was verified"], ["?", "This list"],
], true);

// ---- timeline ----

function drawDensity() {
  const canvas = $("density");
  const [width, height, scale] = [canvas.clientWidth, canvas.clientHeight, window.devicePixelRatio || 1];
  canvas.width = width * scale;
  canvas.height = height * scale;
  const pen = canvas.getContext("2d");
  pen.scale(scale, scale);
  pen.fillStyle = getComputedStyle(document.documentElement).getPropertyValue("--density");
  const most = Math.log1p(Math.max(1, ...view.density));
  view.density.forEach((bytes, n) => {
    const tall = (Math.log1p(bytes) / most) * (height - 4);
    const left = (n / view.density.length) * width;
    pen.fillRect(left, height - tall, Math.max(1, width / view.density.length - 1), tall);
  });
}

function drawTicks() {
  const share = (time) => `${(100 * time) / Math.max(1, view.duration)}%`;
  $("ticks").replaceChildren(...view.marks.filter((mark) => ["command", "finding", "gap"].includes(mark.kind)).map((mark) => {
    const tick = element("i", undefined, mark.kind === "finding" ? mark.level : mark.kind);
    tick.style.left = share(mark.time);
    return tick;
  }));
}

// ---- side panel ----

function makeList() {
  entries = view.marks.map((mark) => {
    const item = element("li");
    const button = element("button");
    button.type = "button";
    button.append(element("time", clock(mark.time)), body(mark));
    if (mark.note) button.append(element("span", mark.note, "note"));
    button.addEventListener("click", () => seekMark(mark));
    item.append(button);
    return { mark, item, words: `${mark.text} ${mark.note || ""} ${mark.level || ""}`.toLowerCase() };
  });
  $("list").replaceChildren(...entries.map((entry) => entry.item));
  const present = Object.keys(KINDS).filter((kind) => view.marks.some((mark) => mark.kind === kind));
  $("chips").replaceChildren(...present.map((kind) => {
    const count = view.marks.filter((mark) => mark.kind === kind).length;
    const chip = element("button", `${KINDS[kind]} ${count}`);
    chip.type = "button";
    chip.setAttribute("aria-pressed", "false");
    chip.addEventListener("click", () => {
      if (!state.kinds.delete(kind)) state.kinds.add(kind);
      chip.setAttribute("aria-pressed", String(state.kinds.has(kind)));
      filter();
    });
    return chip;
  }));
}

function body(mark) {
  const box = element("code", undefined, "clip");
  if (mark.kind === "finding") box.append(element("span", mark.level, `badge ${mark.level}`));
  else if (mark.kind !== "command") box.append(element("span", mark.kind, "badge plain"));
  const text = element("span");
  text.dataset.text = mark.text;
  text.textContent = mark.text;
  box.append(text);
  return box;
}

function filter() {
  const query = state.query.toLowerCase();
  let shown = 0;
  for (const entry of entries) {
    const fits = (state.kinds.size === 0 || state.kinds.has(entry.mark.kind)) && entry.words.includes(query);
    entry.item.hidden = !fits;
    shown += fits ? 1 : 0;
    highlight(entry.item.querySelector("[data-text]"), query);
  }
  $("none").hidden = shown > 0;
}

function highlight(box, query) {
  const text = box.dataset.text;
  const at = query ? text.toLowerCase().indexOf(query) : -1;
  if (at < 0) { box.textContent = text; return; }
  box.replaceChildren(text.slice(0, at), element("mark", text.slice(at, at + query.length)), text.slice(at + query.length));
}

function follow() {
  let current = -1;
  entries.forEach((entry, at) => {
    if (entry.mark.time <= state.time) current = at;
    entry.item.classList.toggle("later", entry.mark.time > state.time);
  });
  entries.forEach((entry, at) => {
    const now = at === current;
    if (now === entry.item.classList.contains("now")) return;
    entry.item.classList.toggle("now", now);
    if (now) entry.item.setAttribute("aria-current", "true"); else entry.item.removeAttribute("aria-current");
    if (now) keepInSight(entry.item);
  });
}

// Scrolls the list alone: scrollIntoView would move the page on a phone.
function keepInSight(item) {
  const list = $("list");
  if (list.scrollHeight <= list.clientHeight) return;
  const [top, bottom] = [item.offsetTop, item.offsetTop + item.offsetHeight];
  if (top < list.scrollTop || bottom > list.scrollTop + list.clientHeight) list.scrollTop = top - list.clientHeight / 3;
}

// ---- playing ----

function refresh() {
  screens.show(state.pinned ?? screens.indexAt(state.time));
  const resized = screens.resized;
  painter.paint(screens);
  if (resized) fit();
  $("name").textContent = screens.title || view.title;
  $("size").textContent = `${screens.cols} × ${screens.cells.length}`;
  $("seek").value = String(Math.round(state.time));
  $("seek").setAttribute("aria-valuetext", `${clock(state.time)} of ${clock(view.duration)}`);
  const more = [];
  if (view.start !== null) more.push(new Date(view.start + state.time).toISOString().replace("T", " ").slice(0, 19) + " UTC");
  if (state.waited > 0) more.push(`skipping ${clock(state.waited, true)} of silence`);
  $("clock").replaceChildren(element("b", clock(state.time, true)), ` / ${clock(view.duration)}`, ...more.map((text) => element("span", text)));
  reveal();
  follow();
  document.body.dataset.time = String(Math.round(state.time));
}

function reveal() {
  const on = $("reveal").checked;
  $("screen").classList.toggle("revealed", on);
  const recent = on ? screens.hidden.filter((hidden) => hidden.time <= state.time).slice(-4) : [];
  $("hidden").hidden = !on;
  const lines = recent.map((hidden) => element("div", `${clock(hidden.time)}  ${hidden.text}`));
  $("hidden").replaceChildren(...(lines.length ? lines : [element("div", "Nothing hidden up to here.")]));
}

// Several screens may have the time of a mark: the one that the mark is about is shown until time moves on.
function seekMark(mark) {
  seek(mark.time, mark.change - 1);
}

function seek(time, pinned = null) {
  state.time = Math.min(Math.max(0, time), view.duration);
  state.pinned = pinned;
  state.waited = 0;
  refresh();
}

function play(on) {
  if (on && state.time >= view.duration) state.time = 0;
  state.playing = on;
  state.last = performance.now();
  $("play").setAttribute("aria-label", on ? "Pause" : "Play");
  document.body.classList.toggle("playing", on);
  if (on) requestAnimationFrame(tick);
}

function tick(now) {
  if (!state.playing) return;
  let step = Math.max(0, now - state.last) * state.speed;
  state.last = now;
  const next = nextEvent(state.time);
  state.waited = 0;
  if (state.idle && next - before(state.time) > IDLE_MS) {
    state.waited = next - before(state.time);
    // What is left of a wait goes by in the second that is left of the two.
    if (state.time - before(state.time) > IDLE_MS / 2) step = Math.max(step, next - state.time - IDLE_MS / 2);
  }
  state.time = Math.min(view.duration, state.time + step);
  state.pinned = null;
  refresh();
  if (state.time >= view.duration) play(false);
  else requestAnimationFrame(tick);
}

const before = (time) => { const at = screens.indexAt(time); return at < 0 ? 0 : screens.times[at]; };
const nextEvent = (time) => { const at = screens.indexAt(time) + 1; return at < screens.times.length ? screens.times[at] : view.duration; };

function jump(kind, forward) {
  const marks = view.marks.filter((mark) => mark.kind === kind);
  const target = forward ? marks.find((mark) => mark.time > state.time) : marks.findLast((mark) => mark.time < state.time - 300);
  if (target) seekMark(target);
}

function step(by) {
  play(false);
  const at = (state.pinned ?? screens.indexAt(state.time)) + by;
  if (at >= 0 && at < screens.times.length) seek(screens.times[at], at);
}

function speed(by) {
  const at = Math.min(Math.max(0, SPEEDS.indexOf(state.speed) + by), SPEEDS.length - 1);
  state.speed = SPEEDS[at];
  $("speed").value = String(state.speed);
}

// The text is as large as fits the width, within reason; what is wider scrolls.
function fit() {
  const host = $("screen");
  host.style.fontSize = "100px";
  const probe = element("span", "0".repeat(10));
  host.append(probe);
  const advance = probe.getBoundingClientRect().width / 1000;
  probe.remove();
  const room = $("scroller").clientWidth - 21;
  const tall = window.innerWidth > 820 ? (window.innerHeight - 290) / (screens.cells.length * 1.25) : Infinity;
  const size = Math.min(room / (screens.cols * advance), tall, 18);
  host.style.fontSize = `${Math.max(6, size) * state.zoom}px`;
}

function zoom(factor) {
  state.zoom = Math.min(3, Math.max(0.5, state.zoom * factor));
  fit();
}

function theme() {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  drawDensity();
}

// ---- input ----

const KEYS = {
  " ": () => play(!state.playing), "ArrowLeft": (e) => seek(state.time - (e.shiftKey ? 60000 : 5000)),
  "ArrowRight": (e) => seek(state.time + (e.shiftKey ? 60000 : 5000)), ",": () => step(-1), ".": () => step(1),
  "n": () => jump("command", true), "p": () => jump("command", false), "f": () => jump("finding", true), "F": () => jump("finding", false),
  "[": () => speed(-1), "]": () => speed(1), "i": () => toggle("idle"), "h": () => toggle("reveal"), "/": () => $("search").focus(),
  "Home": () => seek(0), "End": () => seek(view.duration), "+": () => zoom(1.15), "-": () => zoom(1 / 1.15), "t": theme, "v": showVerify, "?": showHelp,
};

function toggle(id) {
  $(id).checked = !$(id).checked;
  $(id).dispatchEvent(new Event("change"));
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || $("dialog").open) return;
  if (event.target === $("search")) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  const onControl = event.target.matches?.("button, select, input[type=checkbox]");
  if (onControl && (event.key === " " || event.target.tagName === "SELECT")) return;
  const action = KEYS[event.key];
  if (!action) return;
  event.preventDefault();
  action(event);
}

function wire() {
  document.addEventListener("keydown", onKey);
  $("play").addEventListener("click", () => play(!state.playing));
  $("previous").addEventListener("click", () => jump("command", false));
  $("next").addEventListener("click", () => jump("command", true));
  $("seek").addEventListener("input", (event) => seek(Number(event.target.value)));
  $("speed").replaceChildren(...SPEEDS.map((value) => Object.assign(element("option", `${value}×`), { value: String(value) })));
  $("speed").value = "1";
  $("speed").addEventListener("change", (event) => { state.speed = Number(event.target.value); });
  $("idle").addEventListener("change", (event) => { state.idle = event.target.checked; });
  $("reveal").addEventListener("change", refresh);
  $("smaller").addEventListener("click", () => zoom(1 / 1.15));
  $("larger").addEventListener("click", () => zoom(1.15));
  $("verify").addEventListener("click", showVerify);
  $("help").addEventListener("click", showHelp);
  $("theme").addEventListener("click", theme);
  $("search").addEventListener("input", (event) => { state.query = event.target.value; filter(); });
  window.addEventListener("resize", () => { fit(); drawDensity(); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawDensity);
}

// #t=SECONDS opens at a time, #command=N and #finding=N (from 1) at a mark; &play starts to play.
function open() {
  const wanted = new URLSearchParams(location.hash.slice(1));
  let [time, pinned] = [Number(wanted.get("t")) * 1000 || 0, null];
  for (const kind of ["command", "finding"]) {
    const mark = view.marks.filter((candidate) => candidate.kind === kind)[Number(wanted.get(kind)) - 1];
    if (mark) [time, pinned] = [mark.time, mark.change - 1];
  }
  if (wanted.has("hidden")) $("reveal").checked = true;
  seek(time, pinned);
  if (wanted.has("play")) play(true);
}

async function start() {
  head();
  const text = await inflate($("screens").textContent);
  screens = new Screens(text.split("\n").filter(Boolean), view.styles);
  painter = new Painter($("screen"));
  $("seek").max = String(Math.max(1, view.duration));
  makeList();
  wire();
  drawDensity();
  drawTicks();
  open();
  document.body.dataset.ready = "true";
}

start().catch((error) => {
  $("notice").hidden = false;
  $("notice").textContent = `This page cannot be shown: ${error.message}`;
});
