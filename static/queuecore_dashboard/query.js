// The filter of a list: Backspace in the empty field takes its last word back, to be changed; the
// arrows walk through what fits the word being typed, Enter takes it.

const field = (element) => (element.matches?.("[data-query]") ? element : null);
const box = (input) => input.closest(".query-field").querySelector(".query-help");
const options = (input) => [...box(input).querySelectorAll("[data-word]")];

// What is typed last: after the last space that is in no quotation marks.
function word(input) {
  const [typed] = input.value.slice(0, input.selectionStart ?? input.value.length)
    .match(/(?:[^\s"]|"(?:[^"\\]|\\.)*"?)*$/);
  return typed;
}

function choose(input, option) {
  for (const one of options(input)) one.setAttribute("aria-selected", String(one === option));
  if (option) {
    input.setAttribute("aria-activedescendant", option.id);
    option.scrollIntoView({ block: "nearest" });
  } else {
    input.removeAttribute("aria-activedescendant");
  }
}

function chosen(input) {
  return options(input).find((one) => one.getAttribute("aria-selected") === "true");
}

// Shown are those that begin with what is typed, or whose value holds it; all while nothing is.
function narrow(input) {
  const typed = word(input).toLowerCase();
  let some = false;
  for (const option of options(input)) {
    const text = option.dataset.word.toLowerCase();
    const value = text.slice(text.search(/[:<>]/) + 1);
    option.hidden = Boolean(typed) && text !== typed && !text.startsWith(typed)
      && !(typed.length > 1 && value.includes(typed));
    some ||= !option.hidden;
  }
  box(input).toggleAttribute("data-none", !some);
  input.setAttribute("aria-expanded", String(some));
  choose(input, null);
}

function take(input, option) {
  const end = input.selectionStart ?? input.value.length;
  const before = input.value.slice(0, end - word(input).length);
  input.value = before + option.dataset.word + input.value.slice(end);
  const at = before.length + option.dataset.word.length;
  input.setSelectionRange(at, at);
  if ("whole" in option.dataset) input.form.requestSubmit();
  else narrow(input);
}

function step(input, by) {
  const shown = options(input).filter((one) => !one.hidden);
  if (!shown.length) return;
  const at = shown.indexOf(chosen(input));
  // Beyond either end stands the field itself, with nothing chosen.
  const next = at < 0 ? (by > 0 ? 0 : shown.length - 1) : at + by;
  choose(input, shown[next] ?? null);
}

document.addEventListener("keydown", (event) => {
  const input = field(event.target);
  if (!input || event.isComposing) return;
  if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    event.preventDefault();
    step(input, event.key === "ArrowDown" ? 1 : -1);
  } else if ((event.key === "Enter" || event.key === "Escape") && chosen(input)) {
    event.preventDefault();
    if (event.key === "Enter") take(input, chosen(input));
    else choose(input, null);
  } else if (event.key === "Backspace" && !input.value) {
    const token = [...input.form.querySelectorAll("[data-token]")].at(-1);
    const written = token?.parentElement.querySelector("input");
    if (!written) return;
    event.preventDefault();
    input.value = written.value;
    token.parentElement.remove();
    narrow(input);
  }
});

document.addEventListener("input", (event) => {
  const input = field(event.target);
  if (input) narrow(input);
});

document.addEventListener("focusin", (event) => {
  const input = field(event.target);
  if (input) narrow(input);
});

document.addEventListener("focusout", (event) => {
  const input = field(event.target);
  if (!input) return;
  input.setAttribute("aria-expanded", "false");
  choose(input, null);
});

// The field keeps the focus, so that the list is still there when the button is let go.
document.addEventListener("mousedown", (event) => {
  if (event.target.closest?.(".query-help")) event.preventDefault();
});

document.addEventListener("click", (event) => {
  const option = event.target.closest?.("[data-query-list] [data-word]");
  const input = option?.closest(".query-field").querySelector("[data-query]");
  if (input) take(input, option);
});
