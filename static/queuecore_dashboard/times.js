// Times in the reader's own zone and by the server's clock, ticking where they are ages.
//
// <time datetime data-time="age | run | until | clock | date">. live.js says how far the server's
// clock is from ours (data-clock, in ms); before, the page says when it was made.

const root = document.documentElement;

function pieces(seconds) {
  const whole = Math.floor(Math.abs(seconds));
  const two = (number) => String(number).padStart(2, "0");
  const [days, hours, minutes] = [86400, 3600, 60].map((unit) => Math.floor(whole / unit));
  const [day, hour, minute, second] = root.dataset.units.split(" ");
  if (days) return [[String(days), day], [String(hours % 24), hour]];
  if (hours) return [[String(hours), hour], [two(minutes % 60), minute]];
  if (minutes) return [[String(minutes), minute], [two(whole % 60), second]];
  return [[String(whole), second]];
}

// Figures with their units, which are set apart: 47m 03s.
function fill(element, shown) {
  if (!element) return;
  const text = shown.map(([figure, unit]) => figure + unit).join(" ");
  if (element.textContent === text && element.hasAttribute("data-shown")) return;
  const parts = shown.flatMap(([figure, unit], index) => {
    const mark = document.createElement("u");
    mark.textContent = unit;
    return [`${index ? " " : ""}${figure}`, mark];
  });
  element.replaceChildren(...parts);
  element.setAttribute("data-shown", "");
}

const CLOCK = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" };

// What the reader chose: the browser's own zone, UTC, or how long ago it was.
function zone() {
  return root.dataset.zone === "utc" ? { timeZone: "UTC" } : {};
}

function showAgo(element, seconds) {
  const style = new Intl.RelativeTimeFormat(root.lang || "en", { numeric: "auto" });
  const units = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];
  const [unit, size] = units.find((one) => Math.abs(seconds) >= one[1]) ?? units[3];
  const text = style.format(Math.trunc(seconds / size), unit);
  if (element.textContent !== text) element.textContent = text;
}

function showTime(element, now) {
  const at = new Date(element.dateTime);
  if (Number.isNaN(at.getTime())) return;
  const kind = element.dataset.time;
  if (kind === "age" || kind === "run") {
    fill(element, pieces(Math.max(0, (now - at) / 1000)));
  } else if (kind === "until") {
    fill(element, pieces(Math.max(0, (at - now) / 1000)));
  } else if (root.dataset.zone === "relative") {
    showAgo(element, (at - now) / 1000);
  } else if (!element.hasAttribute("data-shown")) {
    const today = new Date(now);
    const sameDay = at.toDateString() === today.toDateString();
    const day = { day: "numeric", month: "short" };
    if (at.getFullYear() !== today.getFullYear()) day.year = "numeric";
    const format = kind === "date" || !sameDay ? { ...day, ...CLOCK } : CLOCK;
    element.textContent = new Intl.DateTimeFormat(root.lang || "en", { ...format, ...zone() }).format(at);
    element.setAttribute("data-shown", "");
  }
  if (!element.title) {
    const whole = { dateStyle: "medium", timeStyle: "long", ...zone() };
    element.title = new Intl.DateTimeFormat(root.lang || "en", whole).format(at);
  }
}

function now() {
  const rendered = document.querySelector('meta[name="queuecore-now"]');
  root.dataset.clock ??= String(rendered ? Date.parse(rendered.content) - Date.now() : 0);
  return Date.now() + Number(root.dataset.clock);
}

function showTimes(within = document) {
  const at = now();
  if (within.matches?.("time[data-time]")) showTime(within, at);
  for (const element of within.querySelectorAll("time[data-time]")) showTime(element, at);
}

document.addEventListener("queuecore:patched", () => showTimes());
document.addEventListener("htmx:afterSettle", (event) => showTimes(event.target));
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) showTimes();
});
setInterval(() => {
  if (!document.hidden) showTimes();
}, 1000);
showTimes();
