// The live side of a page: one socket, patches by the ids of elements, and a badge that tells the
// truth. Where no socket gets through, the page polls. (Times are times.js's.)

const root = document.documentElement;
const STORED = "queuecore_dashboard.live";
const POLL_S = 10;
const TRY_AGAIN_S = 60;
// The server says at least every three seconds how old its data is.
const SILENCE_S = 20;
const FRESH_S = 6;
const CLOCK_SET_S = 60;
const MOST_IDS = 100;
const LONGEST_ID = 1000;
const MOST_BYTES = 12_000;

const chosen = { paused: false, interval: 0, ...remembered() };
let socket = null;
let failures = 0;
let unreachable = false; // polling got no answer either
let heard = 0; // when the last message came, in performance.now()
let reconnect = 0; // timers
let polling = 0;
let subscribed = new Map(); // topic -> its ids as JSON
let mode = "connecting";
let offset = null; // the server's clock minus ours, in ms
let applying = false;
let acknowledged = { seq: 0, at: 0 };
const ages = new Map(); // connection -> { at, error }
const held = new Map(); // element id -> patch that waits

function remembered() {
  try {
    return JSON.parse(localStorage.getItem(STORED)) ?? {};
  } catch {
    return {};
  }
}

function remember() {
  try {
    localStorage.setItem(STORED, JSON.stringify(chosen));
  } catch {
    // A browser without storage forgets, that is all.
  }
}

// What the page shows: each topic with the ids inside all of its elements, in order.
function topics() {
  const found = new Map();
  for (const element of document.querySelectorAll("[data-live-topic]")) {
    const topic = element.dataset.liveTopic;
    if (!found.has(topic)) found.set(topic, new Set());
    for (const part of element.querySelectorAll("[data-live-id]")) {
      if (part.closest("[data-live-topic]") === element) found.get(topic).add(part.dataset.liveId);
    }
  }
  return new Map([...found].map(([topic, ids]) => [topic, asked([...ids])]));
}

// The server takes so many ids, so long each, and so much in a message: a few names that are longer
// than that must not keep all the others from being live.
function asked(ids) {
  const size = (id) => new TextEncoder().encode(JSON.stringify(id)).length + 1;
  let room = MOST_BYTES;
  return ids
    .filter((id) => id.length <= LONGEST_ID && (room -= size(id)) >= 0)
    .slice(0, MOST_IDS);
}

// Patches

function isHeld(element) {
  // An element is never replaced while it holds the focus.
  if (element.contains(document.activeElement) && !("liveReplace" in element.dataset)) return true;
  const box = element.closest("[data-live-hold]");
  if (!box) return false;
  if (box.querySelector("input:checked, details[open], dialog[open]")) return true;
  return matchMedia("(hover: hover)").matches && box.querySelector("[data-live-id]:hover") !== null;
}

function apply(patches) {
  applying = true;
  for (const patch of patches) {
    const element = document.getElementById(patch.id);
    held.delete(patch.id);
    if (!element) continue;
    if (isHeld(element)) {
      held.set(patch.id, patch);
    } else if (patch.html === undefined) {
      if (element.textContent !== patch.text) element.textContent = patch.text;
    } else {
      const swap = { swapStyle: "outerHTML", swapDelay: 0, settleDelay: 0 };
      window.htmx.swap(element, patch.html, swap);
    }
  }
  applying = false;
  if (patches.length) document.dispatchEvent(new CustomEvent("queuecore:patched"));
}

function release() {
  if (!held.size) return;
  const free = [...held.values()].filter((patch) => {
    const element = document.getElementById(patch.id);
    return !element || !isHeld(element);
  });
  apply(free);
  badge();
}

function take(message) {
  heard = performance.now();
  if (message.now) {
    // The way takes time, so the largest difference is the truest, unless our clock has been set.
    const seen = message.now - Date.now();
    if (offset === null || seen > offset || offset - seen > CLOCK_SET_S * 1000) offset = seen;
    root.dataset.clock = String(offset);
  }
  const told = Object.entries(message.connections ?? {});
  // What stood for all connections until their names were told is not heard of again.
  if (told.length) ages.delete("");
  for (const [alias, known] of told) ages.set(alias, known);
  cameBack();
  if (message.patches) {
    // These name their connection; the others are about all of them.
    const alias = /^(?:queue|jobs|job|groups|group|scheduler|worker|system):([^:]+)/.exec(message.topic)?.[1] ?? "";
    for (const name of alias ? [alias] : ages.keys()) {
      const known = ages.get(name) ?? { error: null };
      if (!known.error) ages.set(name, { ...known, at: Math.max(known.at ?? 0, message.at) });
    }
    if (!ages.size) ages.set(alias, { at: message.at, error: null });
    apply(message.patches);
  }
}

// The page was made without what lies on a connection that was away, and is made anew with it; not
// while the reader has begun something on it.
function cameBack() {
  if (document.querySelector("[data-live-hold] input:checked, dialog[open]")) return;
  for (const notice of document.querySelectorAll("[data-away]")) {
    const known = ages.get(notice.dataset.away);
    if (known?.at && !known.error) location.reload();
  }
}

// The socket

function send(message) {
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
}

function connect() {
  clearTimeout(reconnect);
  if (socket || chosen.paused || document.hidden || !root.dataset.livePoll) return;
  if (!root.dataset.liveSocket) {
    poll();
    return;
  }
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  const language = encodeURIComponent(root.lang);
  const opened = new WebSocket(
    `${scheme}://${location.host}${root.dataset.liveSocket}?lang=${language}`,
  );
  socket = opened;
  heard = performance.now();
  opened.addEventListener("open", () => {
    if (socket !== opened) return;
    subscribed = new Map();
    acknowledged = { seq: 0, at: 0 };
    send({ type: "interval", seconds: chosen.interval });
    subscribe();
  });
  opened.addEventListener("message", (event) => {
    const message = JSON.parse(event.data);
    failures = 0;
    stopPolling();
    take(message);
    acknowledge(message.seq);
    become("live");
  });
  opened.addEventListener("close", (event) => {
    if (socket !== opened) return;
    socket = null;
    lost(event.code);
  });
}

function acknowledge(seq) {
  if (!seq) return;
  const now = performance.now();
  if (seq - acknowledged.seq >= 4 || now - acknowledged.at > 1000) {
    acknowledged = { seq, at: now };
    send({ type: "ack", seq });
  }
}

function lost(code) {
  if (code === 4401 || code === 4403) {
    leave();
    return;
  }
  if (chosen.paused || document.hidden) return;
  failures += 1;
  // 4400, 4413: the server does not take what we say; 4429: too many pages are open.
  const refused = code === 4400 || code === 4413 || code === 4429;
  if (failures >= 3 || refused) {
    poll();
    reconnect = setTimeout(connect, TRY_AGAIN_S * 1000);
  } else {
    become("offline");
    const most = Math.min(29, 2 ** failures);
    reconnect = setTimeout(connect, 1000 + Math.random() * most * 1000);
  }
}

function disconnect() {
  clearTimeout(reconnect);
  stopPolling();
  const old = socket;
  socket = null;
  // To close a socket that is still connecting is an error in the console: it closes once it is open.
  if (old?.readyState === WebSocket.CONNECTING) old.addEventListener("open", () => old.close());
  else old?.close();
}

// Signed out, or without a right: the server shows the right page, but not again and again.
function leave() {
  const last = Number(sessionStorage.getItem(STORED) ?? 0);
  if (Date.now() - last < 10_000) {
    become("offline");
    return;
  }
  sessionStorage.setItem(STORED, String(Date.now()));
  location.reload();
}

// With `again`, also what is subscribed already: the elements on the page are new ones.
function subscribe(again = false) {
  const now = topics();
  for (const topic of subscribed.keys()) {
    if (!now.has(topic)) {
      send({ type: "unsubscribe", topic });
      subscribed.delete(topic);
    }
  }
  for (const [topic, ids] of now) {
    const text = JSON.stringify(ids);
    if (again || subscribed.get(topic) !== text) {
      subscribed.set(topic, text);
      send({ type: "subscribe", topic, ids });
    }
  }
}

// Polling

function poll() {
  clearTimeout(polling);
  if (chosen.paused || document.hidden) return;
  const every = Math.max(POLL_S, chosen.interval);
  askAll().finally(() => {
    if (socket?.readyState !== WebSocket.OPEN || mode !== "live") {
      clearTimeout(polling);
      polling = setTimeout(poll, every * 1000);
    }
  });
}

function stopPolling() {
  clearTimeout(polling);
  polling = 0;
}

async function askAll() {
  for (const [topic, ids] of topics()) {
    const query = new URLSearchParams({ topic });
    for (const id of ids) {
      // Longer addresses are refused by some proxies.
      if (query.toString().length + id.length < 6000) query.append("id", id);
    }
    let answer;
    try {
      answer = await fetch(`${root.dataset.livePoll}?${query}`, { credentials: "same-origin" });
      if (answer.status === 401 || answer.status === 403) {
        leave();
        return;
      }
      if (!answer.ok) throw new Error(String(answer.status));
      take(await answer.json());
    } catch {
      unreachable = true;
      become("offline");
      return;
    }
  }
  if (socket?.readyState !== WebSocket.OPEN) become("polling");
  if (unreachable) {
    // The web server is back: it was not only sockets that did not get through.
    unreachable = false;
    connect();
  }
}

// The badge

function become(now) {
  const before = mode;
  mode = now;
  badge();
  if (before !== now && before !== "connecting" && (now === "offline" || before === "offline")) {
    const said = document.getElementById("said");
    if (said) said.textContent = word(now);
  }
}

function word(name) {
  const element = document.querySelector("[data-live-badge]");
  return element?.getAttribute(`data-word-${name}`) ?? name;
}

// Of when the oldest data on the page is, by the server's clock; null if there was none yet.
function oldest() {
  const times = [...ages.values()].map((known) => known.at).filter(Boolean);
  return times.length ? Math.min(...times) : null;
}

function badge() {
  const element = document.querySelector("[data-live-badge]");
  if (!element) return;
  const at = oldest();
  const old = at === null ? 0 : (Date.now() + (offset ?? 0) - at) / 1000;
  const away = [...ages.values()].some((known) => known.error);
  let name = chosen.paused ? "paused" : mode;
  if ((name === "live" || name === "polling") && away) name = "stale";
  else if (name === "live" && old > SILENCE_S) name = "stale";
  else if (name === "live" && held.size) name = "held";
  element.dataset.state = name;
  const text = element.querySelector("[data-live-word]");
  if (text.textContent !== word(name)) text.textContent = word(name);
  const why = document.querySelector("[data-live-why]");
  const sentence = why?.getAttribute(`data-why-${name}`) ?? "";
  if (why && why.textContent !== sentence) why.textContent = sentence;
  const limit = name === "polling" ? POLL_S + FRESH_S : FRESH_S;
  showAge(element.querySelector("[data-live-age]"), old > limit ? at : null);
  for (const button of document.querySelectorAll("[data-live-pause]")) {
    button.setAttribute("aria-pressed", String(chosen.paused));
  }
  for (const button of document.querySelectorAll("[data-live-every], [data-live-stop]")) {
    const mine = button.dataset.liveEvery === undefined
      ? chosen.paused
      : !chosen.paused && Number(button.dataset.liveEvery) === chosen.interval;
    button.setAttribute("aria-pressed", String(mine));
  }
  for (const select of document.querySelectorAll("[data-live-interval]:not(:focus)")) {
    select.value = String(chosen.interval);
  }
}

function showAge(place, at) {
  if (at === null) {
    if (place.firstChild) place.replaceChildren();
    return;
  }
  const time = place.querySelector("time") ?? document.createElement("time");
  const written = new Date(at).toISOString();
  if (time.dateTime === written) return;
  time.dataset.time = "age";
  time.dateTime = written;
  time.removeAttribute("title");
  place.replaceChildren(time);
  document.dispatchEvent(new CustomEvent("queuecore:patched"));
}

// What the reader does

function pause(paused) {
  chosen.paused = paused;
  remember();
  if (paused) {
    send({ type: "pause" });
    disconnect();
    held.clear();
    badge();
  } else {
    failures = 0;
    become("connecting");
    connect();
  }
}

function choose(seconds) {
  chosen.interval = seconds || 0;
  remember();
  send({ type: "interval", seconds: chosen.interval });
  badge();
}

document.addEventListener("click", (event) => {
  const button = event.target.closest?.("[data-live-pause], [data-live-stop], [data-live-every]");
  if (!button) return;
  if ("livePause" in button.dataset) {
    pause(!chosen.paused);
    return;
  }
  if ("liveStop" in button.dataset) {
    if (!chosen.paused) pause(true);
  } else {
    choose(Number(button.dataset.liveEvery));
    if (chosen.paused) pause(false);
  }
  const menu = button.closest("details");
  menu.open = false;
  menu.querySelector("summary").focus();
});

document.addEventListener("change", (event) => {
  if (event.target.matches?.("[data-live-interval]")) choose(Number(event.target.value));
});

// Another tab of this browser chose: the choice is the reader's, not the tab's.
addEventListener("storage", (event) => {
  if (event.key !== STORED) return;
  const now = { paused: false, interval: 0, ...remembered() };
  if (now.interval !== chosen.interval) choose(now.interval);
  if (now.paused !== chosen.paused) pause(now.paused);
});

document.addEventListener("visibilitychange", () => {
  if (chosen.paused) return;
  if (document.hidden) {
    stopPolling();
    send({ type: "pause" });
    return;
  }
  heard = performance.now();
  if (socket?.readyState === WebSocket.OPEN) {
    send({ type: "resume" });
  } else {
    failures = 0;
    connect();
  }
});

// A page that goes into the browser's memory must not hold a socket open there.
addEventListener("pagehide", disconnect);
addEventListener("pageshow", (event) => {
  if (event.persisted) connect();
});
addEventListener("online", () => {
  if (!socket) connect();
});

// A navigation has put new elements on the page: they want everything there is.
document.addEventListener("htmx:afterSettle", () => {
  if (applying) return;
  held.clear();
  badge();
  if (socket?.readyState === WebSocket.OPEN) subscribe(true);
  else if (polling) poll();
});

setInterval(() => {
  if (document.hidden) return;
  badge();
  const silent = (performance.now() - heard) / 1000 > SILENCE_S;
  if (socket?.readyState === WebSocket.OPEN && silent && subscribed.size) {
    const old = socket;
    socket = null;
    old.close();
    lost(1006);
  }
}, 1000);
setInterval(release, 250);

badge();
connect();
