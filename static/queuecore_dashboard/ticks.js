// Ticking rows: one, all of the page, or from the last one to here with Shift.

let last = null;

function boxes() {
  return [...document.querySelectorAll("[data-tick]")];
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
    count();
  } else if (box.matches?.("[data-tick-all]")) {
    for (const other of boxes()) other.checked = box.checked;
    count();
  } else if (box.closest?.("[data-tick-none]")) {
    for (const other of boxes()) other.checked = false;
    count();
    document.querySelector("#jobs-caption, [data-tick-home]")?.focus();
  }
});

document.addEventListener("htmx:afterSettle", count);
count();
