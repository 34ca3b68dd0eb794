// Confirmations as dialogs: the same form that a page would show, fetched and shown modally.
// It lies outside of what live updates and navigation replace.

const dialog = document.getElementById("dialog");
const body = document.getElementById("dialog-body");
const asked = { "X-Queuecore-Dialog": "1" };
let opener = null;

function load(verb, path, values) {
  return window.htmx.ajax(verb, path, {
    target: body,
    select: "unset",
    // At once: htmx focuses [autofocus] when it settles, which must not undo a Tab pressed meanwhile.
    swap: "innerHTML settle:0ms",
    headers: asked,
    values,
    push: "false",
  });
}

document.addEventListener("click", (event) => {
  const asks = event.target.closest("[data-dialog]");
  if (asks && dialog && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
    event.preventDefault();
    event.stopPropagation();
    // A menu gives way to what it opens, and has the focus again afterwards.
    const menu = asks.closest("details[data-menu]");
    if (menu) menu.open = false;
    opener = menu?.querySelector("summary") ?? asks;
    if (asks.tagName === "A") {
      load("GET", asks.getAttribute("href"));
    } else {
      load("POST", asks.getAttribute("formaction"), new FormData(asks.form, asks));
    }
    return;
  }
  if (event.target.closest("[data-close-dialog]")) event.target.closest("dialog").close();
  if (event.target.closest("[data-open-shortcuts]")) {
    document.querySelector("details[data-menu]")?.removeAttribute("open");
    document.getElementById("shortcuts").showModal();
  }
  // The backdrop belongs to the dialog element itself; everything else is inside of it.
  if (event.target.tagName === "DIALOG") {
    const box = event.target.getBoundingClientRect();
    const inside = event.clientX >= box.left && event.clientX <= box.right
      && event.clientY >= box.top && event.clientY <= box.bottom;
    if (!inside) event.target.close();
  }
}, true);

// Other figures for another choice, counted as soon as it is made; until they are there the button
// that names the old ones cannot be pressed. (The server would refuse its token for another choice.)
document.addEventListener("change", (event) => {
  if (!event.target.closest("[data-choices]") || !body?.contains(event.target)) return;
  const { form, id } = event.target;
  for (const button of form.querySelectorAll("button[type=submit]")) button.disabled = true;
  const values = new FormData(form);
  values.set("count", "1");
  load("POST", form.getAttribute("action"), values).then(() => {
    document.getElementById(id)?.focus();
  });
});

document.addEventListener("htmx:afterSwap", (event) => {
  if (!dialog) return;
  if (event.detail.target === body) {
    if (!dialog.open) dialog.showModal();
  } else if (dialog.open && event.detail.target?.id === "stage") {
    // Another page. Live updates swap elements too, and those leave the dialog alone.
    dialog.close();
  }
});

dialog?.addEventListener("close", () => {
  body.replaceChildren();
  if (opener?.isConnected) opener.focus();
  else if (opener?.id) document.getElementById(opener.id)?.focus();
  opener = null;
});

// One submit is one action: the buttons of a form that is under way take no second click.
document.addEventListener("htmx:beforeRequest", (event) => {
  const form = event.detail.elt;
  if (form.tagName !== "FORM" || form.method !== "post") return;
  for (const button of form.querySelectorAll("button[type=submit]")) button.disabled = true;
});
document.addEventListener("htmx:afterRequest", (event) => {
  const form = event.detail.elt;
  if (form.tagName !== "FORM" || form.method !== "post") return;
  for (const button of form.querySelectorAll("button[type=submit]")) button.disabled = false;
});
