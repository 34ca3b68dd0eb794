// The cross-hair of the throughput chart: one line, two dots, one tooltip. The chart itself is the
// server's; its points lie in data-points as [ms, completed, failed]. Those of times have
// [ms, jobs, [heights of p50, p95, p99], [their words]], without the last two where no job ended.

const SVG = "http://www.w3.org/2000/svg";
const HEIGHT = 212;
const TOP = 8;
const AXIS = 28;

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

function heading(chart, at) {
  const step = Number(chart.dataset.step);
  const time = document.createElement("div");
  time.className = "tip-time";
  const days = "days" in chart.dataset;
  time.textContent = `${clock(at, step < 60, days)} – ${clock(at + step * 1000, step < 60)}`;
  return time;
}

function place(tip, chart, box, x, top) {
  chart.append(tip);
  const start = box.left - chart.getBoundingClientRect().left + x;
  const room = chart.clientWidth - start;
  tip.style.left = `${room > 180 ? start + 12 : start - 164}px`;
  tip.style.top = top;
}

function quantiles(plot, clientX) {
  const chart = plot.closest("[data-quantiles]");
  const points = JSON.parse(chart.dataset.points);
  const box = plot.getBoundingClientRect();
  const share = Math.min(1, Math.max(0, (clientX - box.left) / box.width));
  const index = Math.round(share * (points.length - 1));
  const [at, count, heights, words] = points[index];
  if (!words) return;
  const x = (index / (points.length - 1)) * box.width;
  const group = draw("g", { class: "crosshair" }, plot);
  draw("line", { class: "cross", x1: x, x2: x, y1: TOP, y2: plot.clientHeight - AXIS }, group);
  const names = ["p50", "p95", "p99"];
  heights.forEach((y, i) => draw("circle", { class: `cross-dot ${names[i]}-dot`, r: 4, cx: x, cy: y }, group));
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.append(heading(chart, at), ...names.map((name, i) => row(`tip-${name}`, name, words[i])));
  tip.append(row("tip-rate", chart.dataset.wordJobs, number(count)));
  place(tip, chart, box, x, "32px");
}

function show(target, clientX) {
  const plot = target?.closest?.("[data-chart] .plot, [data-quantiles] .plot");
  clear();
  if (!plot) return;
  if (plot.closest("[data-quantiles]")) return quantiles(plot, clientX);
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

  const tip = document.createElement("div");
  tip.className = "tip";
  tip.append(
    heading(chart, at),
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
  place(tip, chart, box, x, "72px");
}

document.addEventListener("pointermove", (event) => {
  pointer = event;
  show(event.target, event.clientX);
});
document.addEventListener("pointerleave", clear);
document.addEventListener("queuecore:patched", () => {
  if (pointer && document.querySelector("[data-chart], [data-quantiles]")) {
    show(document.elementFromPoint(pointer.clientX, pointer.clientY), pointer.clientX);
  }
});
