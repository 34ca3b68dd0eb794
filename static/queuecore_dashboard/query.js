// The filter of a list: Backspace in the empty field takes its last word back, to be changed.

document.addEventListener("keydown", (event) => {
  const field = event.target;
  if (event.key !== "Backspace" || !field.matches?.("[data-query]") || field.value) return;
  const token = [...field.form.querySelectorAll("[data-token]")].at(-1);
  const word = token?.parentElement.querySelector("input");
  if (!word) return;
  event.preventDefault();
  field.value = word.value;
  token.parentElement.remove();
});
