// The form of a schedule: what it would do, while it is being typed; the queue chosen at once.

const PAUSE_MS = 300;
const ASKED = ["kind", "pattern", "tz", "every", "unit", "limit", "start", "end", "was", "due"];
let waiting = 0;
let asked = 0;

async function preview(form) {
  const mine = (asked += 1);
  const values = new FormData(form);
  const query = new URLSearchParams(ASKED.map((name) => [name, values.get(name) ?? ""]));
  let text;
  try {
    const answer = await fetch(`${form.dataset.schedule}?${query}`, { credentials: "same-origin" });
    if (!answer.ok) return;
    text = await answer.text();
  } catch {
    return; // The server will say what is wrong when the form is sent.
  }
  const place = document.getElementById("preview");
  if (mine === asked && place) {
    window.htmx.swap(place, text, { swapStyle: "outerHTML", swapDelay: 0, settleDelay: 0 });
    document.dispatchEvent(new CustomEvent("queuecore:patched"));
  }
}

document.addEventListener("input", (event) => {
  const form = event.target.closest?.("form[data-schedule]");
  if (!form || !ASKED.includes(event.target.name)) return;
  clearTimeout(waiting);
  waiting = setTimeout(preview, PAUSE_MS, form);
});

document.addEventListener("change", (event) => {
  const form = event.target.closest?.("form[data-schedule-queue]");
  if (form && event.target.value) form.requestSubmit();
});
