// The cross-hair of the throughput chart: one line, two dots, one tooltip. The chart itself is the
// server's; its points lie in data-points as [ms, completed, failed].

const SVG = "http://www.w3.org/2000/svg";
const HEIGHT = 212;
const TOP = 8;

function draw(name, attributes, parent) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  parent.append(element);
  return element;
}

const root = document.documentElement;

function clock(ms, seconds, day) {
  return new Date(ms).toLocaleTimeString(root.lang, {
    ...(day ? { day: "numeric", month: "short" } : {}),
    hour: "2-digit",
    minute: "2-digit",
    hourCycle: "h23",
    ...(root.dataset.zone === "utc" ? { timeZone: "UTC" } : {}),
    ...(seconds ? { second: "2-digit" } : {}),
  });
}

function row(kind, word, value) {
  const line = document.createElement("div");
  line.className = kind;
  const name = document.createElement("i");
  name.textContent = word;
  const figure = document.createElement("b");
  figure.textContent = value;
  line.append(name, figure);
  return line;
}

function number(value) {
  return value === null ? "–" : value.toLocaleString(root.lang, { maximumFractionDigits: 1 });
}

function clear() {
  for (const element of document.querySelectorAll(".tip, .crosshair")) element.remove();
}

let pointer = null; // where it rests: an update replaces the chart under it

function show(target, clientX) {
  const plot = target?.closest?.("[data-chart] .plot");
  clear();
  if (!plot) return;
  const chart = plot.closest("[data-chart]");
  const points = JSON.parse(chart.dataset.points);
  const box = plot.getBoundingClientRect();
  const share = Math.min(1, Math.max(0, (clientX - box.left) / box.width));
  const index = Math.round(share * (points.length - 1));
  const [at, done, failed] = points[index];
  if (done === null && failed === null) return;
  const x = (index / (points.length - 1)) * box.width;
  const y = (value) => TOP + (HEIGHT - TOP) * (1 - value / Number(chart.dataset.top));
  const group = draw("g", { class: "crosshair" }, plot);
  draw("line", { class: "cross", x1: x, x2: x, y1: TOP, y2: HEIGHT }, group);
  draw("circle", { class: "cross-dot done", r: 4, cx: x, cy: y((done ?? 0) + (failed ?? 0)) }, group);
  draw("circle", { class: "cross-dot fail", r: 4, cx: x, cy: y(failed ?? 0) }, group);

  const step = Number(chart.dataset.step);
  const tip = document.createElement("div");
  tip.className = "tip";
  const time = document.createElement("div");
  time.className = "tip-time";
  const days = "days" in chart.dataset;
  time.textContent = `${clock(at, step < 60, days)} – ${clock(at + step * 1000, step < 60)}`;
  tip.append(
    time,
    row("tip-done", chart.dataset.wordCompleted, number(done)),
    row("tip-fail", chart.dataset.wordFailed, number(failed)),
  );
  const total = (done ?? 0) + (failed ?? 0);
  const rate = document.createElement("div");
  rate.className = "tip-rate";
  const word = document.createElement("span");
  word.textContent = chart.dataset.wordRate;
  const figure = document.createElement("span");
  const percent = (100 * (failed ?? 0)) / total;
  const digits = { minimumFractionDigits: 1, maximumFractionDigits: 1 };
  figure.textContent = total ? `${percent.toLocaleString(root.lang, digits)} %` : "–";
  rate.append(word, figure);
  tip.append(rate);
  chart.append(tip);
  const start = box.left - chart.getBoundingClientRect().left + x;
  const room = chart.clientWidth - start;
  tip.style.left = `${room > 180 ? start + 12 : start - 164}px`;
  tip.style.top = "72px";
}

document.addEventListener("pointermove", (event) => {
  pointer = event;
  show(event.target, event.clientX);
});
document.addEventListener("pointerleave", clear);
document.addEventListener("queuecore:patched", () => {
  if (pointer && document.querySelector("[data-chart]")) {
    show(document.elementFromPoint(pointer.clientX, pointer.clientY), pointer.clientX);
  }
});
