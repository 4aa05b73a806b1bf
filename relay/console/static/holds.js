// The box above a column of boxes ticks all of them. Without this it is not shown.
"use strict";

for (const all of document.querySelectorAll("[data-choose-all]")) {
  const boxes = () => [...document.querySelectorAll(`input[type=checkbox][form=${all.dataset.chooseAll}]`)];
  all.hidden = false;
  all.addEventListener("change", () => boxes().forEach((box) => { box.checked = all.checked; }));
  document.addEventListener("change", (event) => {
    if (boxes().includes(event.target)) all.checked = boxes().every((box) => box.checked);
  });
}
