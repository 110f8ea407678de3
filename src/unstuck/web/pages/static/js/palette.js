// Ctrl-K: do what this page offers (everything that carries data-command), go to a list, or to what the search finds.
// What is found comes below what was there, so that nothing moves under who is about to press Enter.
const palette = document.getElementById("palette");
const input = palette.querySelector("input");
const list = palette.querySelector("ul");
const status = document.getElementById("palette-status");
const MOST = 12;
const OF_A_KIND = 5; // of each kind of hits; the search itself shows more
const PAUSE_MS = 120; // while somebody types on, nothing is asked
let chosen = 0;
let waiting = 0;
let asking = new AbortController();

function open() {
  if (document.querySelector("dialog[open]")) return;
  input.value = "";
  typed();
  palette.showModal();
}

function goTo(address) {
  return () => { location.href = address; };
}

function offered(wanted) {
  const words = wanted.toLowerCase().split(/\s+/);
  const fits = ({ name }) => words.every((word) => name.toLowerCase().includes(word));
  const seen = new Set();
  const commands = [...document.querySelectorAll("[data-command]")]
    .filter((element) => !element.disabled)
    .map((element) => ({ name: element.dataset.command, key: element.dataset.key, run: () => element.click() }))
    .filter((command) => fits(command) && !seen.has(command.name) && seen.add(command.name))
    .slice(0, MOST);
  const address = `/search?q=${encodeURIComponent(wanted)}`;
  const search = { name: palette.dataset.find.replace("{what}", () => wanted), run: goTo(address) };
  // What holds a digit is a number of something: the search goes straight to an exact one.
  return !wanted ? commands : /\d/.test(wanted) ? [search, ...commands] : [...commands, search];
}

async function found(wanted, signal) {
  const answer = await fetch(`/search.json?q=${encodeURIComponent(wanted)}`, { signal, headers: { Accept: "application/json" } });
  if (!answer.ok || answer.redirected) throw new Error(answer.status);
  const { places, groups } = await answer.json();
  const lists = places.map(({ name, said, href }) => ({ name, said, run: goTo(href) }));
  const hits = groups.flatMap((group) => group.hits.slice(0, OF_A_KIND)).map(({ name, said, href, parts }) => ({
    name, said, match: parts.length > 1 && parts.join("") !== name ? parts : [], run: goTo(href),
  }));
  const more = groups.some((group) => group.more || group.hits.length > OF_A_KIND);
  return { rows: [...lists.slice(0, OF_A_KIND), ...hits], more };
}

function element(tag, textContent, className = "") {
  return Object.assign(document.createElement(tag), { textContent, className });
}

function row({ name, said, match = [], key, run }) {
  const item = element("li", "", "command");
  const text = document.createElement("span");
  text.append(element("bdi", name));
  if (match.length) {
    const words = document.createElement("bdi"); // of a stranger, who may write from right to left
    words.append(...match.map((part, at) => (at % 2 ? element("mark", part) : part)));
    text.append(" ", words);
  }
  item.setAttribute("role", "option");
  item.append(text);
  if (said) item.append(element("span", said, "command-said muted"));
  if (key) item.append(element("kbd", key));
  item.addEventListener("click", () => { palette.close(); run(); });
  return item;
}

function add(rows) {
  list.append(...rows.map(row));
  [...list.children].forEach((item, at) => { item.id = `command-${at}`; });
  input.setAttribute("aria-expanded", String(list.children.length > 0));
  choose(chosen);
}

function typed() {
  const wanted = input.value.trim();
  asking.abort();
  clearTimeout(waiting);
  list.replaceChildren();
  status.textContent = "";
  chosen = 0;
  add(offered(wanted));
  if (wanted) waiting = setTimeout(ask, PAUSE_MS, wanted);
}

async function ask(wanted) {
  const { signal } = (asking = new AbortController());
  try {
    const { rows, more } = await found(wanted, signal);
    if (signal.aborted) return;
    add(rows);
    status.textContent = rows.length ? palette.dataset[more ? "more" : "found"].replace("{n}", rows.length) : palette.dataset.none;
  } catch {
    if (!signal.aborted) status.textContent = palette.dataset.silent;
  }
}

function choose(index) {
  const rows = list.querySelectorAll("[role=option]");
  chosen = rows.length ? (index + rows.length) % rows.length : 0;
  rows.forEach((item, at) => item.setAttribute("aria-selected", String(at === chosen)));
  rows[chosen]?.scrollIntoView({ block: "nearest" });
  if (rows.length) input.setAttribute("aria-activedescendant", rows[chosen].id);
  else input.removeAttribute("aria-activedescendant");
}

const MOVES = {
  ArrowDown: () => choose(chosen + 1),
  ArrowUp: () => choose(chosen - 1),
  Enter: () => list.querySelector("[aria-selected=true]")?.click(),
};

input.addEventListener("input", typed);
input.addEventListener("keydown", (event) => {
  if (event.isComposing || !MOVES[event.key]) return;
  event.preventDefault();
  MOVES[event.key]();
});
palette.addEventListener("close", () => { asking.abort(); clearTimeout(waiting); });
document.addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k" && !event.shiftKey && !event.altKey) {
    event.preventDefault();
    open();
  }
});
