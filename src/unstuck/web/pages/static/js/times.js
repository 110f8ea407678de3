// Relative times stay true while a page is open. The exact one, in the zone of who looks, is in the title.
const words = document.getElementById("words").dataset;
const ahead = Date.parse(words.clock) - Date.now(); // the server's clock counts, not that of this machine
const UNITS = [["days", 86400], ["hours", 3600], ["minutes", 60], ["seconds", 1]];
const EVERY_MS = 10000;

function ago(at) {
  const seconds = Math.trunc((Date.now() + ahead - at) / 1000);
  const size = Math.abs(seconds);
  if (size < 5) return words.now;
  const [unit, length] = UNITS.find(([, length]) => size >= length);
  const key = seconds > 0 ? unit : `in${unit[0].toUpperCase()}${unit.slice(1)}`;
  return words[key].replace("{n}", Math.floor(size / length));
}

function refresh() {
  for (const time of document.querySelectorAll("time.when, tspan.when")) {
    const said = ago(Date.parse(time.dateTime ?? time.dataset.at));
    if (time.textContent !== said) time.textContent = said;
  }
}

function showExact(event) {
  const time = event.target.closest?.("time.when");
  if (!time || time.dataset.utc) return;
  time.dataset.utc = time.title;
  const here = new Date(time.dateTime).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "long" });
  time.title = `${here}\n${time.dataset.utc}`;
}

setInterval(refresh, EVERY_MS);
document.addEventListener("visibilitychange", () => document.hidden || refresh());
document.addEventListener("pointerover", showExact);
document.addEventListener("focusin", showExact);
