// Ticking rows: one, all of the page, or from the last one to here with Shift; or all that match,
// which is a choice of the bar, not a thousand ticks.

let last = null;

function boxes() {
  return [...document.querySelectorAll("[data-tick]")];
}

function choose(which) {
  const radio = document.querySelector(`[data-which="${which}"]`);
  if (radio) radio.checked = true;
}

function count() {
  const all = boxes();
  const ticked = all.filter((box) => box.checked).length;
  const shown = document.querySelector("[data-tick-count]");
  if (shown) shown.textContent = String(ticked);
  const head = document.querySelector("[data-tick-all]");
  if (head) {
    head.checked = ticked > 0 && ticked === all.length;
    head.indeterminate = ticked > 0 && ticked < all.length;
  }
  if (!ticked) choose("ticked");
}

document.addEventListener("click", (event) => {
  const box = event.target;
  if (box.matches?.("[data-tick]")) {
    const all = boxes();
    if (event.shiftKey && last?.isConnected) {
      const [from, to] = [all.indexOf(last), all.indexOf(box)].sort((a, b) => a - b);
      for (const other of all.slice(from, to + 1)) other.checked = box.checked;
    }
    last = box;
    // Who picks rows means those.
    choose("ticked");
    count();
  } else if (box.matches?.("[data-tick-all]")) {
    for (const other of boxes()) other.checked = box.checked;
    choose("ticked");
    count();
  } else if (box.closest?.("[data-tick-none]")) {
    for (const other of boxes()) other.checked = false;
    count();
    document.querySelector("#jobs-caption, [data-tick-home]")?.focus();
  }
});

document.addEventListener("htmx:afterSettle", count);
count();
