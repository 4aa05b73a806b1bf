// What the pages do without being loaded again. Everything works without it, except that nothing moves by itself.
"use strict";

// <section id="x" data-live="10">: in ten seconds the same page is fetched, and this part of it is exchanged; what comes then says
// when, and whether, to look again.
function lookAgainLater() {
  const parts = [...document.querySelectorAll("[data-live][id]")];
  if (!parts.length) return;
  const inS = Math.min(...parts.map((part) => Number(part.dataset.live)));
  setTimeout(() => lookAgain(parts).catch(() => {}).finally(lookAgainLater), inS * 1000);
}

async function lookAgain(parts) {
  if (document.hidden) return;
  const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
  if (!answer.ok || answer.redirected) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const { id } of parts) {
    const now = document.getElementById(id);
    const then = fresh.getElementById(id);
    if (now && then && !now.contains(document.activeElement)) now.replaceWith(document.adoptNode(then));
  }
}

// On a narrow screen the row of pages is wider than the window: the page that is shown is in sight.
const here = document.querySelector(".pages [aria-current]");
const row = here?.closest(".pages");
if (row && row.scrollWidth > row.clientWidth) row.scrollLeft = here.offsetLeft - (row.clientWidth - here.offsetWidth) / 2;

lookAgainLater();

// <button data-confirm="…">: asks once more.
document.addEventListener("click", (event) => {
  const asked = event.target.closest("[data-confirm]");
  if (asked && !window.confirm(asked.dataset.confirm)) event.preventDefault();
});

// <button data-copy="#place">: copies the text of that place.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  await navigator.clipboard.writeText(document.querySelector(button.dataset.copy).textContent.trim());
  const label = button.textContent;
  button.textContent = "Copied";
  setTimeout(() => { button.textContent = label; }, 1500);
});
