// <button data-choose="name" hidden>: chooses all boxes of that name on the page, and at the second click none.
"use strict";

for (const button of document.querySelectorAll("[data-choose]")) {
  const boxes = () => [...document.querySelectorAll(`input[type="checkbox"][name="${button.dataset.choose}"]`)];
  const all = button.textContent;
  const none = button.dataset.none;
  const say = () => { button.textContent = boxes().every((box) => box.checked) ? none : all; };
  button.hidden = boxes().length < 2;
  button.addEventListener("click", () => {
    const checked = !boxes().every((box) => box.checked);
    for (const box of boxes()) box.checked = checked;
    say();
  });
  document.addEventListener("change", say);
}
