// The palette: Ctrl K or ⌘K, a few letters, Enter. The server knows what there is to go to.

const dialog = document.getElementById("palette");
const field = document.getElementById("palette-text");
const hits = document.getElementById("palette-hits");
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

async function ask() {
  const turn = ++asked;
  const query = new URLSearchParams({ q: field.value });
  for (const hidden of document.querySelectorAll("[data-find] input[type=hidden]")) {
    query.set(hidden.name, hidden.value);
  }
  const answer = await fetch(`${field.dataset.suggest}?${query}`, { credentials: "same-origin" });
  // Signed out, or no answer: the next page says so.
  const text = answer.ok && !answer.redirected ? await answer.text() : "";
  if (turn === asked) window.htmx.swap(hits, text, { swapStyle: "innerHTML", settleDelay: 0 });
  if (turn === asked) choose(options()[0]);
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
  else if (event.key === "Enter") chosen()?.querySelector("a").click();
  else return;
  event.preventDefault();
});

// Before anybody else hears of the click: the dialog must not stand in the way of what it opens.
addEventListener("click", (event) => {
  if (hits?.contains(event.target) && event.target.closest("a")) dialog.close();
}, true);

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
