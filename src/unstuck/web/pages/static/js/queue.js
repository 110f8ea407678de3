// The queue by keys: j and k move, Enter opens (the focus is on the row's link), x and X select, a names who gets it.
// Everything it does is in the page without it: links, checkboxes and a form.

const rows = () => [...document.querySelectorAll(".queue-list tbody tr")].filter((row) => row.offsetParent);
const box = (row) => row.querySelector("input[name=case]");
const picks = () => [...document.querySelectorAll(".queue-list input[name=case]:checked")];
const decided = new Map(); // the version each selected case had when it was selected, whatever happened to it since
let place = "";
let last = "";

function current() {
  const focused = document.activeElement?.closest("tr[data-case]");
  return focused ?? rows().find((row) => row.dataset.case === place);
}

function move(by) {
  const all = rows();
  const at = all.indexOf(current());
  const next = all[at < 0 ? 0 : Math.min(Math.max(at + by, 0), all.length - 1)];
  if (!next) return;
  place = next.dataset.case;
  next.querySelector(".queue-open").focus();
  next.scrollIntoView({ block: "nearest" });
}

function set(row, checked) {
  const found = box(row);
  if (!found || found.checked === checked) return;
  found.checked = checked;
  found.dispatchEvent(new Event("change", { bubbles: true }));
}

function pick(range) {
  const row = current();
  if (!row || !box(row)) return;
  if (!range) {
    set(row, !box(row).checked);
  } else {
    const all = rows();
    const from = Math.max(all.findIndex((one) => one.dataset.case === last), 0);
    const [first, end] = [from, all.indexOf(row)].sort((a, b) => a - b);
    all.slice(first, end + 1).forEach((one) => set(one, true));
  }
  last = row.dataset.case;
}

function say() {
  const told = document.getElementById("queue-picked");
  if (!told) return;
  const many = picks().length;
  const text = many === 0 ? told.dataset.none : many === 1 ? told.dataset.one : told.dataset.more;
  told.textContent = text.replace("#", many);
}

const KEYS = {
  j: () => move(1),
  k: () => move(-1),
  x: () => pick(false),
  X: () => pick(true),
  a: () => document.getElementById("queue-to")?.focus(),
};

document.addEventListener("keydown", (event) => {
  const typing = event.target.closest?.("input:not([type=checkbox]), textarea, select, dialog, [contenteditable]");
  const act = KEYS[event.key];
  if (!act || typing || event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
  if (!document.querySelector(".queue-list") || document.getElementById("single-keys")?.checked === false) return;
  event.preventDefault();
  act();
});

// Enter in a field of the form presses the button beside it, not the first of the form.
document.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || !event.target.matches?.(".queue-say input")) return;
  event.preventDefault();
  event.target.closest(".queue-say").querySelector("button").click();
});

document.addEventListener("change", (event) => {
  if (!event.target.matches?.(".queue-list input[name=case]")) return;
  const name = event.target.closest("tr").dataset.case;
  if (event.target.checked) decided.set(name, event.target.value);
  else decided.delete(name);
  say();
});

document.addEventListener("submit", (event) => {
  if (event.target.id !== "queue-form") return;
  if (!picks().length && current()) set(current(), true);
  for (const one of picks()) one.value = decided.get(one.closest("tr").dataset.case) ?? one.value;
});

say();
