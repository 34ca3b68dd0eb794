// A job's log: it follows its end while the reader is there, and leads to its last error.

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

document.addEventListener("queuecore:patched", follow);
document.addEventListener("htmx:afterSettle", follow);
follow();
