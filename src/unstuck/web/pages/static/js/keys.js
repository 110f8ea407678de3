// Keys: `/` searches, `?` lists the keys, `g` and a letter goes to a page, and what carries data-key is pressed by it.
// Also what a page says first: an error takes the focus, a confirmation is read out and leaves the address.
const search = document.getElementById("search");
const list = document.getElementById("keys");
const single = document.getElementById("single-keys");
const STORED = "single-keys";
const GO_MS = 1500;
let going = 0; // until when a letter after `g` counts

function typing(target) {
  return target.isContentEditable || target.closest?.("input:not([type=checkbox], [type=radio]), textarea, select");
}

function shown(element) {
  return element.checkVisibility?.() ?? element.offsetParent !== null;
}

function press(key) {
  const found = [...document.querySelectorAll(`[data-key="${CSS.escape(key)}"]`)].find(shown);
  found?.click();
  return found;
}

function go(key) {
  const found = document.querySelector(`[data-go="${CSS.escape(key)}"]`);
  found?.click();
  return found;
}

function act(key) {
  if (going > Date.now()) {
    going = 0;
    return go(key);
  }
  if (key === "g") return (going = Date.now() + GO_MS);
  if (key === "/") return search?.focus() ?? search;
  if (key === "?") return list.showModal() ?? list;
  return press(key);
}

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (event.key === "Escape" && event.target === search) return search.blur();
  if (typing(event.target) || document.querySelector("dialog[open]") || !single.checked) return;
  if (event.key.length === 1 && act(event.key)) event.preventDefault();
});

document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-open]");
  if (opener) document.getElementById(opener.dataset.open).showModal();
  if (event.target.matches("dialog[open]")) event.target.close(); // the backdrop
});

document.addEventListener("submit", (event) => {
  if (event.target.method === "post") event.target.setAttribute("aria-busy", "true");
});
// Back from the next page, the browser may show this one as it was left.
addEventListener("pageshow", () => document.querySelectorAll("form[aria-busy]").forEach((form) => form.removeAttribute("aria-busy")));

single.checked = localStorage.getItem(STORED) !== "off";
single.addEventListener("change", () => localStorage.setItem(STORED, single.checked ? "on" : "off"));
document.querySelectorAll("[data-open]").forEach((opener) => { opener.hidden = false; });
document.querySelector("main [role=alert]")?.focus();

const done = document.getElementById("done");
if (done) {
  const text = done.textContent;
  done.textContent = "";
  setTimeout(() => { done.textContent = text; }, 50); // a live region speaks when it changes, not when it is there
  const address = new URL(location.href);
  address.searchParams.delete("done");
  history.replaceState(history.state, "", address);
}
