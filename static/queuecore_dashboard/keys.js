// Keyboard: one letter each, never inside a field, and all of it can be switched off.

const root = document.documentElement;
let started = 0; // when "g" was pressed: its second letter follows within a second and a half

function typing(element) {
  // A field of a dialog just closed keeps the focus until the next frame.
  if (element.closest("dialog:not([open])")) return false;
  return element.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(element.tagName)
    && element.type !== "checkbox";
}

function rows() {
  return [...document.querySelectorAll("tr[data-row]")];
}

function here() {
  return document.querySelector("tr[data-row][data-at]")
    ?? document.activeElement.closest?.("tr[data-row]");
}

function move(step) {
  const all = rows();
  if (!all.length) return;
  const at = all.indexOf(here());
  const next = all[Math.min(all.length - 1, Math.max(0, at < 0 ? 0 : at + step))];
  for (const row of all) delete row.dataset.at;
  next.dataset.at = "";
  next.querySelector("th a")?.focus({ preventScroll: true });
  next.scrollIntoView({ block: "nearest" });
}

const commands = {
  "/": () => document.getElementById("find")?.focus(),
  b: () => bar()?.focus(),
  "?": () => document.getElementById("shortcuts")?.showModal(),
  j: () => move(1),
  k: () => move(-1),
  o: () => here()?.querySelector("th a")?.click(),
  p: () => document.querySelector("[data-live-pause]")?.click(),
  r: () => acting("r")?.click(),
  c: () => acting("c")?.click(),
  x: () => tick(false),
  X: () => tick(true),
};

// That of the current row; else that of the page, never of some row that nobody is at.
function acting(key) {
  const found = [...(here() ?? document).querySelectorAll(`[data-key="${key}"]:not(:disabled)`)];
  return found.find((one) => (here() || !one.closest("tr[data-row]")) && one.checkVisibility());
}

// What is done to the ticked rows stands behind all rows of a page: too far for the Tab key.
function bar() {
  const all = [...document.querySelectorAll(".bulk-bar :is(input:checked, a, button)")];
  return all.find((one) => one.type !== "hidden" && one.checkVisibility());
}

function tick(range) {
  const box = here()?.querySelector("[data-tick]");
  if (box) box.dispatchEvent(new MouseEvent("click", { bubbles: true, cancelable: true, shiftKey: range }));
}

function go(letter) {
  if (/^[a-z]$/.test(letter)) document.querySelector(`.rail [data-place="${letter}"]`)?.click();
}

document.addEventListener("keydown", (event) => {
  if (root.dataset.keys === "off" || event.ctrlKey || event.metaKey || event.altKey) return;
  if (typing(event.target) || document.querySelector("dialog[open]")) return;
  if (Date.now() - started < 1500) {
    started = 0;
    go(event.key);
    return;
  }
  if (event.key === "g") {
    started = Date.now();
    return;
  }
  if (/^[1-7]$/.test(event.key)) {
    document.querySelectorAll("[data-tab]")[Number(event.key) - 1]?.click();
    return;
  }
  const command = commands[event.key];
  if (!command) return;
  if (/^[rc]$/.test(event.key) && !acting(event.key)) return;
  event.preventDefault();
  command();
});
