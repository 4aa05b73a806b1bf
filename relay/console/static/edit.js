// The step "mapping" shows what comes of it while one types. Without this, a button does the same.
"use strict";

const mappingForm = document.getElementById("mapping-form");

function put(place, parts) {
  place.replaceChildren(...parts.map(([tag, text, style]) => {
    const one = document.createElement(tag);
    one.textContent = text;
    if (style) one.className = style;
    return one;
  }));
}

let asked = 0;

async function tryMapping(form) {
  const mine = ++asked;
  const answer = await fetch(form.dataset.try, { method: "POST", body: new URLSearchParams(new FormData(form)) });
  if (!answer.ok || answer.redirected) return;
  const found = await answer.json();
  if (mine !== asked) return; // a later one was asked for meanwhile, and may have come before this one
  for (const [id, { value, problem, note }] of Object.entries(found.fields)) {
    const input = document.getElementById(id);
    const place = document.getElementById(`${id}-result`);
    if (!input || !place) continue;
    input.classList.toggle("is-invalid", Boolean(problem));
    const parts = problem ? [["span", problem, "edit-bad"]] : value ? [["span", "→ "], ["code", value]] : [];
    put(place, note ? [...parts, ["span", ` ${note}`, "quiet"]] : parts);
  }
  for (const [id, { sent, problem }] of Object.entries(found.rows)) {
    const place = document.querySelector(`[data-row="${id}"]`);
    if (!place) continue;
    put(place, problem ? [["p", problem, "edit-bad mb-0"]] : [["pre", sent, "edit-text mb-0"]]);
    const row = place.querySelector("pre");
    if (row) {
      row.tabIndex = 0;
      row.setAttribute("aria-label", place.dataset.label);
    }
  }
  document.getElementById("sample-problem").textContent = found.sample;
}

function isAsItCame(field) {
  if (field.options) return [...field.options].every((one) => !one.defaultSelected || one.selected);
  return field.value === (field.defaultValue ?? field.value);
}

if (mappingForm) {
  // Typed while the page was still being loaded, or kept by the browser.
  if (![...mappingForm.elements].every(isAsItCame)) tryMapping(mappingForm).catch(() => {});
  let soon;
  let last;
  mappingForm.addEventListener("input", (event) => {
    // Who types into a field that is not sent means it to be sent.
    const kind = event.target.closest(".input-group")?.querySelector(".edit-kind");
    if (kind && kind !== event.target && kind.value === "none" && event.target.value) kind.value = "expression";
    clearTimeout(soon);
    soon = setTimeout(() => tryMapping(mappingForm).catch(() => {}), 250);
  });
  mappingForm.addEventListener("focusin", (event) => {
    if (event.target.matches(".edit-mapping-source input[list]")) last = event.target;
  });
  mappingForm.addEventListener("click", (event) => {
    const button = event.target.closest("[data-insert]");
    if (!button || !last) return;
    last.value = button.dataset.insert;
    last.dispatchEvent(new Event("input", { bubbles: true }));
    last.focus();
  });
}
