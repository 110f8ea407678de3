// Whether this page hears what changes, said truly: live, paused, reconnecting, or stale since.
// While paused the next message is held, and with it all that follow: nothing is lost, nothing moves.
const stream = document.getElementById("live");
const badge = document.getElementById("live-badge");
const STALE_MS = 40000; // the server says something every 15 s
const AGAIN_MS = 2000;

if (stream && badge) start();

function start() {
  const words = badge.querySelector(".live-words");
  const button = badge.querySelector("button");
  let heard = Date.now();
  let link = "reconnecting"; // as the connection is; what the badge shows also knows pausing and silence
  let paused = null; // since when, while paused
  let release = () => {};
  let held = Promise.resolve();

  function show() {
    const silent = Date.now() - heard > STALE_MS;
    const state = paused ? "paused" : silent ? "stale" : link;
    const text = badge.dataset[state].replace("{at}", clock(paused ?? heard));
    badge.dataset.state = state;
    if (words.textContent !== text) words.textContent = text;
  }

  function hear() {
    heard = Date.now();
    link = "live";
    show();
  }

  function lose(event) {
    if (event.detail.status === 401) location.reload(); // signed out meanwhile: the page says so
    link = "reconnecting";
    show();
  }

  function pause() {
    paused = paused ? null : Date.now();
    button.textContent = paused ? button.dataset.resume : button.dataset.pause;
    if (paused) held = new Promise((go) => { release = go; });
    else release();
    show();
  }

  function again(event) {
    if (event.target !== stream) return;
    if (event.detail.ctx?.response?.status === 401) location.reload();
    link = "reconnecting";
    show();
    setTimeout(() => htmx.ajax("GET", stream.getAttribute("hx-sse:connect"), { source: stream }), AGAIN_MS);
  }

  stream.addEventListener("htmx:sse:after:connection", hear);
  stream.addEventListener("htmx:sse:before:message", (event) => {
    heard = Date.now();
    if (paused) event.detail.waitUntil(held);
    else hear();
  });
  stream.addEventListener("htmx:sse:before:connection", (event) => event.detail.connection.attempt && lose(event));
  stream.addEventListener("htmx:sse:error", lose);
  // The first connection is an ordinary request, which the extension does not repeat.
  stream.addEventListener("htmx:error", again);
  stream.addEventListener("htmx:response:error", again);
  button.addEventListener("click", pause);
  setInterval(show, 1000);
  badge.hidden = false;
  show();
}

function clock(at) {
  return new Date(at).toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit" });
}
