// A job's page: its log follows its end while the reader is there and leads to its last error; its
// story has the reader's own times; its flow's graph begins where this job is.

// How far from the end the reader was before lines came; nothing is moved under somebody who reads.
const NEAR = 24;
const away = new WeakMap();

document.addEventListener("scroll", (event) => {
  const log = event.target;
  if (!(log instanceof Element) || !log.matches("[data-log]")) return;
  away.set(log, log.scrollHeight - log.clientHeight - log.scrollTop > NEAR);
}, true);

function follow() {
  for (const log of document.querySelectorAll("[data-log]")) {
    if (!away.get(log)) log.scrollTop = log.scrollHeight;
  }
}

document.addEventListener("click", (event) => {
  if (!event.target.closest("[data-to-error]")) return;
  const line = [...document.querySelectorAll(".log .log-error")].at(-1);
  if (!line) return;
  document.querySelector(".log-here")?.classList.remove("log-here");
  line.classList.add("log-here");
  line.tabIndex = -1;
  line.focus({ preventScroll: true });
  line.scrollIntoView({ block: "center" });
});

// Days only where they change, fractions of seconds only where they tell two times apart.
function storyTimes() {
  const root = document.documentElement;
  for (const text of document.querySelectorAll("text[data-story-at]:not([data-shown])")) {
    text.textContent = new Intl.DateTimeFormat(root.lang || "en", {
      ...("day" in text.dataset ? { day: "numeric", month: "short" } : {}),
      ...("fine" in text.dataset ? { fractionalSecondDigits: 3 } : {}),
      ...(root.dataset.zone === "utc" ? { timeZone: "UTC" } : {}),
      hour: "2-digit",
      minute: "2-digit",
      second: "2-digit",
      hourCycle: "h23",
    }).format(new Date(text.dataset.storyAt));
    text.dataset.shown = "";
  }
}

// A wide or high graph shows this job first, in the middle.
function centre() {
  for (const canvas of document.querySelectorAll("[data-flow]:not([data-centred])")) {
    canvas.dataset.centred = "";
    const mine = canvas.querySelector('[aria-current="true"]')?.getBoundingClientRect();
    if (!mine) continue;
    const seen = canvas.getBoundingClientRect();
    canvas.scrollLeft += mine.left + mine.width / 2 - (seen.left + canvas.clientWidth / 2);
    canvas.scrollTop += mine.top + mine.height / 2 - (seen.top + canvas.clientHeight / 2);
  }
}

// Where the tabs are wider than the window, the one that is open is seen.
function openTab() {
  const tab = document.querySelector('.job-page .tabs [aria-current="page"]');
  const row = tab?.parentElement;
  if (!row || row.dataset.at === tab.id) return;
  row.dataset.at = tab.id;
  const [place, seen] = [tab.getBoundingClientRect(), row.getBoundingClientRect()];
  if (place.left < seen.left || place.right > seen.right) {
    row.scrollLeft += place.left + place.width / 2 - (seen.left + seen.width / 2);
  }
}

function show() {
  follow();
  openTab();
  storyTimes();
  centre();
}

document.addEventListener("queuecore:patched", show);
document.addEventListener("htmx:afterSettle", show);
show();
