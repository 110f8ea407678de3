// The plan by keyboard: arrows go to the nearest step that way, Enter opens its row in the table below.

const WAYS = {
  ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1],
};

document.addEventListener("keydown", (event) => {
  const step = event.target.closest?.(".graph-step");
  const way = WAYS[event.key];
  if (!step || !way || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
  const found = nearest(step, way);
  if (found) found.focus();
  event.preventDefault();
});

document.addEventListener("click", (event) => {
  const step = event.target.closest?.(".graph-step");
  if (!step || event.ctrlKey || event.metaKey) return;
  const row = document.querySelector(step.getAttribute("href"));
  if (!row) return;
  event.preventDefault();
  row.closest("details").open = true;
  row.focus();
  row.scrollIntoView({ block: "nearest" });
});

function nearest(step, [x, y]) {
  const here = place(step);
  let best = null;
  let least = Infinity;
  for (const other of step.closest("svg").querySelectorAll(".graph-step")) {
    const there = place(other);
    const along = (there.x - here.x) * x + (there.y - here.y) * y;
    const aside = Math.abs((there.x - here.x) * y) + Math.abs((there.y - here.y) * x);
    if (other !== step && along > 0 && along + 2 * aside < least) {
      least = along + 2 * aside;
      best = other;
    }
  }
  return best;
}

function place(step) {
  return { x: Number(step.dataset.column), y: Number(step.dataset.row) };
}

// A plan that is wider than its box begins at the step to look at, once: not again whenever something in it changes.
const shown = new WeakSet();

function showRoot() {
  for (const box of document.querySelectorAll(".graph-scroll")) {
    const root = box.querySelector(".graph-step.is-root");
    if (shown.has(box) || !root) continue;
    shown.add(box);
    if (box.scrollWidth <= box.clientWidth) continue;
    const gap = root.getBoundingClientRect().left - box.getBoundingClientRect().left;
    box.scrollLeft += gap - box.clientWidth / 2;
  }
}

showRoot();
