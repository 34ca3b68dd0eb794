// A fleet that was replaced: once every worker on screen has ended and others have come, they are
// shown. Nothing is lost by it, so it needs no click; but not under the pointer, or over ticks.

document.addEventListener("queuecore:patched", () => {
  const fleet = document.querySelector(".fleet");
  const newer = document.getElementById("workers-newer");
  if (!fleet || !newer?.textContent.trim()) return;
  const rows = [...fleet.querySelectorAll("tr[data-row]")];
  if (rows.some((row) => !row.querySelector('[data-state="gone"]'))) return;
  if (fleet.matches(":hover, :focus-within") || fleet.querySelector(".tick:checked")) return;
  if (document.querySelector("dialog[open]")) return;
  newer.closest("a").click();
});
