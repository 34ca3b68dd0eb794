// The palette: Ctrl K or ⌘K, a few letters, Enter. The server knows what there is to go to.

const dialog = document.getElementById("palette");
const field = document.getElementById("palette-text");
const hits = document.getElementById("palette-hits");
const RECENT = "queuecore_dashboard.recent";
let acts = []; // what can be done on the page, as far as it fits the letters
let waiting = 0; // until the letters stop
let asked = 0; // answers that come late are answers to something else

function open() {
  if (!dialog || dialog.open || document.querySelector("dialog[open]")) return;
  field.value = "";
  hits.replaceChildren();
  dialog.showModal();
  field.focus();
  ask();
}

// Where one has been in this tab. The server says what is there, if one may see it still.
function recent() {
  try {
    return JSON.parse(sessionStorage.getItem(RECENT)) ?? [];
  } catch {
    return [];
  }
}

function visit() {
  const paths = [location.pathname, ...recent().filter((path) => path !== location.pathname)];
  try {
    sessionStorage.setItem(RECENT, JSON.stringify(paths.slice(0, 12)));
  } catch {
    // A browser without storage forgets, that is all.
  }
}

// The buttons of the page itself, by their words; what the server names already is left out.
function addActs() {
  const text = field.value.trim().toLowerCase();
  const known = new Set([...hits.querySelectorAll(".hit-word")].map((one) => one.textContent));
  acts = [...document.querySelectorAll("#main .head-acts :is(a, button), #main :is(a, button)[data-dialog]")]
    .filter((one) => {
      const word = wordOf(one);
      if (!word || known.has(word) || !word.toLowerCase().includes(text)) return false;
      if (one.disabled || one.hasAttribute("aria-pressed") || one.closest("tr, .attention, .seg, dialog")) return false;
      known.add(word);
      return one.checkVisibility();
    })
    .slice(0, 8);
  if (!acts.length) return;
  hits.querySelector("[data-none]")?.remove();
  const before = [...hits.querySelectorAll(".hit-head")].at(-1) ?? null;
  const head = document.createElement("li");
  head.className = "hit-head";
  head.setAttribute("role", "presentation");
  head.textContent = dialog.dataset.here;
  hits.insertBefore(head, before);
  acts.forEach((act, number) => {
    const item = document.createElement("li");
    item.setAttribute("role", "presentation");
    const line = document.createElement("a");
    line.id = `hit-here-${number}`;
    line.setAttribute("role", "option");
    line.dataset.act = String(number);
    line.tabIndex = -1;
    const word = document.createElement("span");
    word.className = "hit-word";
    word.textContent = wordOf(act);
    line.append(act.querySelector("svg")?.cloneNode(true) ?? "", word);
    item.append(line);
    hits.insertBefore(item, before);
  });
}

function wordOf(act) {
  const copy = act.cloneNode(true);
  for (const part of copy.querySelectorAll("kbd, small, .num")) part.remove();
  return (copy.textContent.trim() || act.getAttribute("aria-label") || "").replace(/\s+/g, " ");
}

async function ask() {
  const turn = ++asked;
  const query = new URLSearchParams({ q: field.value });
  for (const hidden of document.querySelectorAll("[data-find] input[type=hidden]")) {
    query.set(hidden.name, hidden.value);
  }
  if (!field.value) {
    for (const path of recent()) if (path !== location.pathname) query.append("recent", path);
  }
  const answer = await fetch(`${field.dataset.suggest}?${query}`, { credentials: "same-origin" });
  // Signed out, or no answer: the next page says so.
  const text = answer.ok && !answer.redirected ? await answer.text() : "";
  if (turn !== asked) return;
  window.htmx.swap(hits, text, { swapStyle: "innerHTML", settleDelay: 0 });
  addActs();
  choose(options()[0]);
}

function options() {
  return [...hits.querySelectorAll('[role="option"]')];
}

function choose(option) {
  for (const one of options()) one.setAttribute("aria-selected", String(one === option));
  if (option) {
    field.setAttribute("aria-activedescendant", option.id);
    option.scrollIntoView({ block: "nearest" });
  } else {
    field.removeAttribute("aria-activedescendant");
  }
}

function chosen() {
  return hits.querySelector('[aria-selected="true"]');
}

field?.addEventListener("keydown", (event) => {
  const all = options();
  const at = all.indexOf(chosen());
  if (event.key === "ArrowDown") choose(all[(at + 1) % all.length]);
  else if (event.key === "ArrowUp") choose(all[(at - 1 + all.length) % all.length]);
  else if (event.key === "Enter") chosen()?.click();
  else return;
  event.preventDefault();
});

// Before anybody else hears of the click: the dialog must not stand in the way of what it opens.
addEventListener("click", (event) => {
  if (hits?.contains(event.target) && event.target.closest("a")) dialog.close();
}, true);

document.addEventListener("click", (event) => {
  const line = event.target.closest("#palette [data-act]");
  if (line) acts[Number(line.dataset.act)]?.click();
});

document.addEventListener("htmx:afterSettle", (event) => {
  if (event.detail.target?.id === "stage") visit();
});
document.addEventListener("htmx:historyRestore", visit);
visit();

field?.addEventListener("input", () => {
  clearTimeout(waiting);
  waiting = setTimeout(ask, 120);
});

document.addEventListener("click", (event) => {
  if (!event.target.closest("[data-open-palette]")) return;
  event.preventDefault();
  event.stopPropagation();
  open();
}, true);

// No single letter: it works whatever was chosen for those.
document.addEventListener("keydown", (event) => {
  if (!(event.ctrlKey || event.metaKey) || event.key.toLowerCase() !== "k" || !dialog) return;
  event.preventDefault();
  open();
});
