"use strict";
(() => {
  const main = document.querySelector("main");
  const light = document.getElementById("live");
  const query = new URLSearchParams({ path: location.pathname });
  const before = new URLSearchParams(location.search).get("before");
  if (before) query.set("before", before);
  let tag = "";

  const keys = () => new Set([...main.querySelectorAll("[data-key]")].map((one) => one.dataset.key));
  const numbers = () => new Map([...main.querySelectorAll("[data-number]")].map((one) => [one.dataset.number, one.textContent]));

  function show(html) {
    const [known, counted] = [keys(), numbers()];
    const focused = main.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
    main.innerHTML = html;
    for (const one of main.querySelectorAll("[data-key]")) one.classList.toggle("new", !known.has(one.dataset.key));
    for (const one of main.querySelectorAll("[data-number]")) {
      one.classList.toggle("changed", counted.has(one.dataset.number) && counted.get(one.dataset.number) !== one.textContent);
    }
    if (focused) [...main.querySelectorAll("a")].find((one) => one.getAttribute("href") === focused)?.focus();
  }

  function state(text, down) {
    if (light.textContent !== text) light.textContent = text;
    light.classList.toggle("down", down);
  }

  async function ask() {
    try {
      const answer = await fetch("/live.json?" + query, { cache: "no-store", headers: tag ? { "If-None-Match": tag } : {} });
      if (answer.status === 200) {
        const { main: html } = await answer.json();
        // A selection would be lost: what it holds is being copied.
        if (document.getSelection().isCollapsed) {
          show(html);
          tag = answer.headers.get("ETag") || "";
        }
      }
      state(answer.ok || answer.status === 304 ? "Live" : "No answer", !(answer.ok || answer.status === 304));
    } catch {
      state("No answer", true);
    }
    setTimeout(ask, 1000);
  }
  ask();
})();
