// Small behaviour of every page: messages, theme, copying, axis times, and what htmx must not hide.

const root = document.documentElement;

// Django's debug helper would put error pages into this document and run their scripts, which the
// policy forbids; the pages for 403, 404 and a server that is away are our own and are shown.
addEventListener("htmx:beforeOnLoad", (event) => event.stopPropagation(), true);

addEventListener("htmx:responseError", () => alarm("failed"));
addEventListener("htmx:sendError", () => alarm("unreachable"));

function alarm(name) {
  const place = document.getElementById("alarm");
  if (!place) return;
  place.textContent = place.dataset[name];
  toast("error", place.dataset[name]);
}

function toast(level, text) {
  const messages = document.getElementById("messages");
  if (!messages) return;
  const box = document.createElement("div");
  box.className = `toast toast-${level}`;
  box.textContent = text;
  messages.replaceChildren(box);
  setTimeout(() => box.remove(), 8000);
}

// A message that came with a page is said once: a live region speaks only of what changes in it.
function say() {
  const shown = document.querySelector("[data-toast]:not([data-said])");
  if (!shown) return;
  shown.dataset.said = "";
  const failed = shown.classList.contains("toast-error");
  const text = shown.querySelector("[data-toast-text]").textContent;
  setTimeout(() => {
    const region = document.getElementById(failed ? "alarm" : "said");
    if (region) region.textContent = text;
  }, 100);
  summed = performance.now(); // a title that counts must not push it away unheard
  if (!failed) setTimeout(() => shown.remove(), 8000);
}

// Times on the axes of charts, in the reader's own zone like every other time.
function axisTimes() {
  for (const text of document.querySelectorAll("text[data-at]:not([data-shown])")) {
    const seconds = "seconds" in text.dataset;
    const at = new Date(text.dataset.at);
    const zone = root.dataset.zone === "utc" ? { timeZone: "UTC" } : {};
    if ("day" in text.dataset) {
      text.textContent = at.toLocaleDateString(root.lang, { day: "numeric", month: "short", ...zone });
    } else {
      text.textContent = at.toLocaleTimeString(root.lang, {
        hour: "2-digit",
        minute: "2-digit",
        hourCycle: "h23",
        ...zone,
        ...(seconds ? { second: "2-digit" } : {}),
      });
    }
    text.dataset.shown = "";
  }
}

function settle() {
  say();
  axisTimes();
  retry();
}

// A page that says the server is away looks again, as long as it is the page one sees.
let again;
function retry() {
  clearTimeout(again);
  const page = document.querySelector("[data-retry]");
  if (!page) return;
  again = setTimeout(() => {
    if (!document.hidden && page.isConnected) location.reload();
    else retry();
  }, Number(page.dataset.retry) * 1000);
}

document.addEventListener("click", (event) => {
  const close = event.target.closest("[data-close-toast]");
  if (close) close.closest(".toast").remove();

  const copy = event.target.closest("[data-copy]");
  if (copy) {
    const source = document.querySelector(copy.dataset.copy);
    navigator.clipboard?.writeText(source.textContent).then(() => {
      copy.dataset.copied = "";
      setTimeout(() => delete copy.dataset.copied, 1500);
    });
  }

  for (const menu of document.querySelectorAll("details[data-menu][open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
}, true);

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of document.querySelectorAll("details[data-menu][open]")) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});

// Theme and rail change at once and are kept by the cookie that the form without a script sets.
document.addEventListener("submit", (event) => {
  const button = event.submitter;
  if (!button || !["theme", "rail"].includes(button.name)) return;
  event.preventDefault();
  event.stopPropagation();
  let value = button.value;
  if (button.id === "theme") {
    const dark = getComputedStyle(root).colorScheme === "dark"
      || (root.dataset.theme === "system" && matchMedia("(prefers-color-scheme: dark)").matches);
    value = dark ? "light" : "dark";
  }
  root.dataset[button.name] = value;
  for (const choice of document.querySelectorAll("[data-theme-choice]")) {
    choice.setAttribute("aria-pressed", String(choice.value === root.dataset.theme));
  }
  if (button.name === "rail") {
    button.value = value === "narrow" ? "wide" : "narrow";
    button.setAttribute("aria-pressed", String(value === "narrow"));
  }
  const form = new FormData(event.target);
  form.set(button.name, value);
  fetch(event.target.action, { method: "POST", body: form, redirect: "manual" });
}, true);

// What was chosen beside the theme comes back on the element that htmx does not replace.
document.addEventListener("submit", (event) => {
  const button = event.submitter;
  if (button && ["density", "keys", "zone"].includes(button.name)) root.dataset[button.name] = button.value;
}, true);

// Of two pages that are under way the one asked for last stays, whichever comes last.
const turns = new WeakMap();
let asked = 0;
let shown = 0;
document.addEventListener("htmx:beforeRequest", (event) => {
  if (event.detail.target?.id === "stage") turns.set(event.detail.xhr, ++asked);
});
document.addEventListener("htmx:beforeSwap", (event) => {
  const { pathInfo, requestConfig, xhr } = event.detail;
  const turn = turns.get(xhr);
  if (turn === undefined) return;
  if (turn < shown) {
    event.detail.shouldSwap = false;
    return;
  }
  shown = turn;
  // Of a link or a form that another page has replaced meanwhile htmx does not find what the body
  // says: to take the page alone out of the answer, and, of a link, that it was for navigation.
  if (requestConfig.elt.isConnected) return;
  event.detail.selectOverride = "#page";
  if (requestConfig.verb === "get") {
    history.pushState({ htmx: true }, "", pathInfo.responsePath ?? pathInfo.finalRequestPath);
  }
});

// After an action the page is a new one: who works by keyboard goes on at the row where the action
// was, or at the next one if it is gone, else at the heading; not at the top of the document again.
let place = -1; // of the row last focused, outside of dialogs
let acted = false;

function rows() {
  return [...document.querySelectorAll("tr[data-row]")];
}

document.addEventListener("focusin", (event) => {
  if (!event.target.closest("dialog")) place = rows().indexOf(event.target.closest("tr[data-row]"));
});
document.addEventListener("htmx:beforeRequest", (event) => {
  if (event.detail.target?.id !== "stage") return;
  acted = event.detail.requestConfig.verb === "post";
  leave();
});
document.addEventListener("htmx:afterSettle", (event) => {
  if (event.detail.target?.id !== "stage" || returning) return;
  const row = !acted || place < 0 ? undefined : rows().slice(0, place + 1).at(-1);
  if (!acted) announce();
  acted = false;
  at = location.pathname + location.search;
  if (document.activeElement === document.body) (row?.querySelector("th a") ?? heading())?.focus();
});

function heading() {
  const found = document.querySelector("#page h1");
  if (found) found.tabIndex = -1;
  return found;
}

// The number in the title is told when it changes, but not more often than this.
const SUMMARY_S = 30;
let summary = 0;
let summed = -Infinity; // when the title was told last

// A page that came without a load is one all the same: readers who do not see it are told its title.
function announce() {
  const region = document.getElementById("said");
  summed = performance.now();
  clearTimeout(summary);
  if (region) setTimeout(() => region.textContent = document.title, 100);
}

// Back and forward: each page comes again as it is now, where it was scrolled to and with the focus
// on what had led away from it.
const left = new Map(); // address -> { y, id, href }
let at = location.pathname + location.search;
let returning = false;

function leave() {
  const focused = document.activeElement?.closest?.("#page a[href], #page :is(button, input, select, summary)[id]");
  left.delete(at);
  left.set(at, { y: scrollY, id: focused?.id, href: focused?.getAttribute("href") });
  if (left.size > 50) left.delete(left.keys().next().value);
}

// Before htmx hears of it, the page that one leaves is still there.
addEventListener("popstate", leave, true);
document.addEventListener("htmx:historyCacheMiss", () => {
  returning = true;
});
// A page that is gone by now says so by itself.
document.addEventListener("htmx:historyCacheMissLoadError", () => location.reload());
document.addEventListener("htmx:historyRestore", () => {
  setTimeout(() => {
    returning = false;
    at = location.pathname + location.search;
    const known = left.get(at);
    const href = known?.href && `#page a[href="${CSS.escape(known.href)}"]`;
    const back = (known?.id && document.getElementById(known.id)) || (href && document.querySelector(href));
    (back || heading())?.focus({ preventScroll: true });
    scrollTo(0, known?.y ?? 0);
    announce();
  });
});

// The number before the title goes on to be true.
document.addEventListener("queuecore:patched", () => {
  const page = document.querySelector("#page[data-count]");
  const counted = page && document.getElementById(page.dataset.count);
  if (!counted) return;
  const shown = (counted.querySelector("[title]")?.title || counted.title || counted.textContent).trim();
  const number = shown && shown !== "0" ? `(${shown}) ` : "";
  const environment = root.dataset.environment ? `[${root.dataset.environment}] ` : "";
  const title = `${environment}${number}${page.dataset.title} · QueueCore`;
  if (title === document.title) return;
  document.title = title;
  clearTimeout(summary);
  summary = setTimeout(announce, Math.max(0, summed + SUMMARY_S * 1000 - performance.now()));
});

document.addEventListener("htmx:afterSettle", settle);
document.addEventListener("queuecore:patched", axisTimes);
settle();

// A choice that needs no button: it is sent as soon as it is made.
document.addEventListener("change", (event) => {
  if (event.target.matches?.("select[data-submits]")) event.target.form.requestSubmit();
});
