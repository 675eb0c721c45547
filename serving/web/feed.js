// The feed page: a list that the server pushes again whenever the person's state changed.
//
// Law: what is on the screen is the last answer received, and every event that is sent names the
// answer and the position that it responds to.

const K = 20;
const VISIBLE_SHARE = 0.5; // of a card
const VISIBLE_MS = 700; // so long in view counts as seen
const MOVE_MS = 420;
const TRENDING_MS = 3000;
const RETRY_MS = [250, 500, 1000, 2000, 4000, 8000];
const LAGS_KEPT = 25;
const calm = matchMedia("(prefers-reduced-motion: reduce)");

// All addresses are relative to where this file came from, so that a proxy may show the page under a
// path of its own: from /rec/static/feed.js follows /rec/v1/events.
const BASE = new URL("..", import.meta.url);

function address(path) {
  return new URL(path, BASE);
}

function socketAddress(path) {
  const url = address(path);
  url.protocol = BASE.protocol === "https:" ? "wss:" : "ws:";
  return url;
}

const at = (id) => document.getElementById(id);
const state = {
  user: "",
  answer: null,
  socket: null,
  attempt: 0,
  clickedAt: null, // when the click was made whose effect is not on the screen yet
  appliedAtClick: 0,
  lags: [],
  halfLife: 3600,
  liked: new Set(),
  cards: new Map(), // item id -> card
};

// --- who it is for ---

function remembered() {
  try {
    return JSON.parse(localStorage.getItem("freshet.people") ?? "[]");
  } catch {
    return [];
  }
}

function remember(user) {
  const people = [user, ...remembered().filter((each) => each !== user)].slice(0, 12);
  localStorage.setItem("freshet.people", JSON.stringify(people));
  at("people").replaceChildren(
    ...people.map((each) => Object.assign(document.createElement("option"), { value: each })),
  );
}

function stranger() {
  return `visitor-${Math.random().toString(36).slice(2, 7)}`;
}

function show(user) {
  state.user = user;
  state.answer = null;
  state.liked.clear();
  state.clickedAt = null;
  at("user").value = user;
  at("for").textContent = user;
  document.title = `${user} · Freshet`;
  history.replaceState(null, "", `?user=${encodeURIComponent(user)}`);
  remember(user);
  state.attempt = 0;
  connect();
}

// --- the socket ---

function connect() {
  state.socket?.close();
  const user = state.user;
  const socket = new WebSocket(socketAddress("v1/feed"));
  state.socket = socket;
  report("connecting", state.attempt ? `connecting, attempt ${state.attempt + 1}` : "connecting");
  socket.onopen = () => socket.send(JSON.stringify({ user, k: K }));
  socket.onmessage = ({ data }) => {
    if (socket !== state.socket) return;
    state.attempt = 0;
    report("live", "live");
    const { answer, detail } = JSON.parse(data);
    if (answer) receive(answer);
    else receiveNothing(detail);
  };
  socket.onclose = ({ reason }) => {
    if (socket !== state.socket) return;
    const wait = RETRY_MS[Math.min(state.attempt, RETRY_MS.length - 1)];
    state.attempt += 1;
    report("lost", `not connected, again in ${wait / 1000} s`);
    if (!state.answer) {
      notice(reason || "The server does not answer yet.");
      pull(user); // where a proxy lets no socket through, there is a list all the same
    }
    setTimeout(() => socket === state.socket && connect(), wait * (0.75 + Math.random() / 2));
  };
}

function report(connection, words) {
  at("connection").dataset.state = connection;
  if (at("connection").textContent !== words) at("connection").textContent = words;
}

function notice(words) {
  at("notice").hidden = !words;
  at("notice").textContent = words;
}

// --- an answer arrives ---

function receive(answer) {
  const moved = state.answer !== null;
  state.answer = answer;
  notice("");
  measure(answer);
  describe(answer);
  draw(answer.items);
  if (moved && answer.items.length) {
    at("said").textContent = `The list changed. First: ${answer.items[0].title || answer.items[0].item_id}`;
  }
}

// The server keeps the socket open and pushes a list as soon as there is one.
function receiveNothing(detail) {
  state.answer = null;
  state.clickedAt = null;
  notice(detail);
  draw([]);
}

function measure(answer) {
  const applied = answer.as_of?.applied ?? 0;
  if (state.clickedAt === null || applied <= state.appliedAtClick) return;
  const lag = performance.now() - state.clickedAt;
  state.clickedAt = null;
  state.lags = [...state.lags, lag].slice(-LAGS_KEPT);
  const sorted = [...state.lags].sort((a, b) => a - b);
  at("lag").textContent = lag.toFixed(0);
  at("median").textContent = sorted[Math.floor(sorted.length / 2)].toFixed(0);
  at("clicks").textContent = `ms, of ${sorted.length} click${sorted.length > 1 ? "s" : ""}`;
}

function describe(answer) {
  at("took").textContent = answer.took_ms.toFixed(1);
  at("quality").textContent = answer.quality.replace("_", " ");
  at("quality").dataset.quality = answer.quality;
  at("degraded").textContent = answer.degraded.length
    ? `no ${answer.degraded.join(", ").replaceAll("_", " ")}`
    : "nothing missing";
  at("model").textContent = answer.model_version;
  at("policy").textContent = answer.policy;
  at("as-of").textContent = answer.as_of ? new Date(answer.as_of.ts_ms).toLocaleTimeString() : "–";
  at("applied").textContent = answer.as_of
    ? `${answer.as_of.applied} event${answer.as_of.applied > 1 ? "s" : ""} applied`
    : "no events yet";
}

// --- cards, moved from where they were (FLIP: first, last, invert, play) ---

function draw(items) {
  const feed = at("feed");
  const before = new Map([...state.cards].map(([id, card]) => [id, card.getBoundingClientRect()]));
  const frame = feed.getBoundingClientRect();
  const kept = new Map();
  for (const item of items) {
    const card = state.cards.get(item.item_id) ?? make(item);
    fill(card, item);
    kept.set(item.item_id, card);
  }
  const gone = [...state.cards].filter(([id]) => !kept.has(id)).map(([, card]) => card);
  state.cards = kept;
  const focused = document.activeElement?.closest?.(".card");
  feed.replaceChildren(...kept.values());
  if (focused && feed.contains(focused)) focused.querySelector(".open").focus({ preventScroll: true });
  watch();
  if (calm.matches) return;
  for (const [id, card] of kept) enter(card, before.get(id));
  for (const card of gone) leave(card, before.get(card.dataset.item), frame);
}

function enter(card, was) {
  const is = card.getBoundingClientRect();
  const timing = { duration: MOVE_MS, easing: "cubic-bezier(.2, .8, .2, 1)" };
  if (!was) {
    card.animate([{ opacity: 0, transform: "translateY(14px) scale(.98)" }, { opacity: 1, transform: "none" }], timing);
  } else if (was.top !== is.top) {
    card.animate([{ transform: `translateY(${was.top - is.top}px)` }, { transform: "none" }], timing);
  }
}

function leave(card, was, frame) {
  const ghost = card.cloneNode(true);
  ghost.classList.add("leaving");
  ghost.inert = true;
  ghost.setAttribute("aria-hidden", "true");
  ghost.style.top = `${was.top - frame.top}px`;
  at("feed").style.position = "relative";
  at("feed").append(ghost);
  const away = [{ opacity: 1, transform: "none" }, { opacity: 0, transform: "translateX(48px) scale(.97)" }];
  ghost.animate(away, { duration: MOVE_MS * 0.7, easing: "ease-in" }).finished.finally(() => ghost.remove());
}

function make(item) {
  const card = at("card").content.firstElementChild.cloneNode(true);
  card.dataset.item = item.item_id;
  const words = (item.title || item.item_id).match(/[\p{L}\p{N}]+/gu) ?? ["?"];
  const telling = words.filter((word) => !/^(the|a|an|of|and)$/i.test(word));
  const tile = card.querySelector(".tile");
  const letters = (telling.length ? telling : words).slice(0, 2).map((word) => word[0]);
  tile.textContent = letters.join("").toUpperCase();
  tile.style.setProperty("--hue", hue(item.categories[0] ?? item.item_id));
  card.querySelector(".open").onclick = () => act("click", card);
  card.querySelector(".like").onclick = () => act("like", card);
  card.querySelector(".hide").onclick = () => act("hide", card);
  return card;
}

function fill(card, item) {
  const name = item.title || item.item_id;
  card.shown = item;
  card.classList.toggle("explored", item.explored);
  card.querySelector(".position").textContent = item.position + 1;
  card.querySelector(".title").textContent = name;
  card.querySelector(".categories").textContent = item.categories.join(" · ");
  card.querySelector(".reason").textContent = item.reason;
  const badge = card.querySelector(".badge");
  badge.textContent = item.source;
  badge.dataset.source = item.source;
  const propensity = item.propensity < 1 ? item.propensity.toPrecision(2) : "1";
  card.querySelector(".propensity").textContent =
    `${item.explored ? "✦ explored, " : ""}propensity ${propensity}`;
  card.querySelector(".propensity").title =
    "Probability that the policy puts this item here, given those above it";
  card.querySelector(".like").setAttribute("aria-pressed", String(state.liked.has(item.item_id)));
}

function hue(text) {
  let hash = 7;
  for (const letter of text) hash = (hash * 31 + letter.codePointAt(0)) % 360;
  return hash;
}

// --- what the person does ---

function act(type, card) {
  if (type === "like") state.liked.add(card.dataset.item);
  send(type, card.dataset.item, card.shown.position);
}

async function send(type, item, position) {
  const { answer, user } = state;
  state.clickedAt = performance.now();
  state.appliedAtClick = answer?.as_of?.applied ?? 0;
  const event = { event_id: crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`, type, user_id: user, item_id: item };
  if (answer && position !== undefined) Object.assign(event, { request_id: answer.request_id, position });
  const sent = await post([event]);
  if (!sent) state.clickedAt = null;
  else if (state.socket?.readyState !== WebSocket.OPEN) pull(user, event.event_id);
}

async function pull(user, after) {
  const query = new URLSearchParams({ user, k: K, impressions: "client" });
  if (after) query.set("after", after);
  const response = await fetch(address(`v1/recommendations?${query}`)).catch(() => null);
  if (response?.ok && user === state.user) receive(await response.json());
}

async function post(events) {
  try {
    const response = await fetch(address("v1/events"), {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ events }),
      keepalive: true,
    });
    if (response.ok) return true;
    notice((await response.json()).detail);
  } catch {
    notice("The server cannot be reached; this click was not recorded.");
  }
  return false;
}

// --- what the person truly saw ---

const timers = new Map(); // card -> timer
const reported = new Set(); // "request:position"
const seen = [];

const eye = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting } of entries) {
      clearTimeout(timers.get(target));
      if (isIntersecting) timers.set(target, setTimeout(() => noticeSeen(target), VISIBLE_MS));
    }
  },
  { threshold: VISIBLE_SHARE },
);

function watch() {
  eye.disconnect();
  for (const timer of timers.values()) clearTimeout(timer);
  timers.clear();
  for (const card of state.cards.values()) eye.observe(card);
}

function noticeSeen(card) {
  const { position, item_id } = card.shown;
  const request = state.answer.request_id;
  const event_id = `${request}:${position}`;
  if (reported.has(event_id) || document.hidden) return;
  reported.add(event_id);
  seen.push({ event_id, type: "impression", user_id: state.user, item_id, request_id: request, position });
  if (seen.length === 1) setTimeout(() => post(seen.splice(0)), 200);
}

// --- trending ---

async function refreshTrending() {
  const query = new URLSearchParams({ k: 12, half_life_s: state.halfLife, user: state.user });
  const response = await fetch(address(`v1/trending?${query}`)).catch(() => null);
  if (!response?.ok) return;
  const { items } = await response.json();
  const top = Math.max(...items.map((item) => item.score), 1e-12);
  const rows = items.map((item) => {
    const row = at("trend").content.firstElementChild.cloneNode(true);
    row.querySelector(".name").textContent = item.title || item.item_id;
    row.querySelector(".rate").textContent = perTime(item.score);
    row.querySelector(".bar").style.setProperty("--share", item.score / top);
    row.querySelector("button").onclick = () => send("click", item.item_id);
    return row;
  });
  const none = Object.assign(document.createElement("li"), { className: "none", textContent: "Nothing rises yet." });
  at("trending").replaceChildren(...(rows.length ? rows : [none]));
}

function perTime(perSecond) {
  if (perSecond >= 1) return `${perSecond.toFixed(1)} / s`;
  if (perSecond * 60 >= 1) return `${(perSecond * 60).toFixed(1)} / min`;
  if (perSecond * 3600 >= 1) return `${(perSecond * 3600).toFixed(1)} / h`;
  return `${(perSecond * 86400).toFixed(1)} / day`;
}

// --- start ---

at("who").onsubmit = (event) => {
  event.preventDefault();
  const user = at("user").value.trim();
  if (user) show(user);
};
at("stranger").onclick = () => show(stranger());
for (const button of document.querySelectorAll("[data-half-life]")) {
  button.onclick = () => {
    state.halfLife = Number(button.dataset.halfLife);
    for (const each of document.querySelectorAll("[data-half-life]")) {
      each.setAttribute("aria-pressed", String(each === button));
    }
    refreshTrending();
  };
}
show(new URLSearchParams(location.search).get("user") || remembered()[0] || stranger());
refreshTrending();
setInterval(() => document.hidden || refreshTrending(), TRENDING_MS);
