// Ctrl-K: go to a page, a case or an order, or do what this page offers (everything that carries data-command).
const palette = document.getElementById("palette");
const input = palette.querySelector("input");
const list = palette.querySelector("ul");
const MOST = 12;
let chosen = 0;

function open() {
  if (document.querySelector("dialog[open]")) return;
  input.value = "";
  fill();
  palette.showModal();
}

function find(what) {
  location.href = `/search?q=${encodeURIComponent(what)}`;
}

function offered(typed) {
  const wanted = typed.toLowerCase().split(/\s+/);
  const fits = ({ text }) => wanted.every((word) => text.toLowerCase().includes(word));
  const seen = new Set();
  const commands = [...document.querySelectorAll("[data-command]")]
    .filter((element) => !element.disabled)
    .map((element) => ({ text: element.dataset.command, hint: element.dataset.key ?? "", run: () => element.click() }))
    .filter((command) => fits(command) && !seen.has(command.text) && seen.add(command.text))
    .slice(0, MOST);
  const search = { text: palette.dataset.find.replace("{what}", () => typed), hint: "", run: () => find(typed) };
  // What holds a digit is a number of something: the search goes straight to an exact one.
  return !typed ? commands : /\d/.test(typed) ? [search, ...commands] : [...commands, search];
}

function row({ text, hint, run }, index) {
  const item = document.createElement("li");
  item.id = `command-${index}`;
  item.className = "command";
  item.setAttribute("role", "option");
  item.append(Object.assign(document.createElement("bdi"), { textContent: text }));
  if (hint) item.append(Object.assign(document.createElement("kbd"), { textContent: hint }));
  item.addEventListener("click", () => { palette.close(); run(); });
  return item;
}

function fill() {
  const rows = offered(input.value.trim()).map(row);
  list.replaceChildren(...rows);
  choose(0);
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

input.addEventListener("input", fill);
input.addEventListener("keydown", (event) => {
  if (event.isComposing || !MOVES[event.key]) return;
  event.preventDefault();
  MOVES[event.key]();
});
document.addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k" && !event.shiftKey && !event.altKey) {
    event.preventDefault();
    open();
  }
});
