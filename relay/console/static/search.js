// Search as one types: the field in the header becomes a combobox (https://www.w3.org/WAI/ARIA/apg/patterns/combobox/).
// Without this file it is a form like any other.
"use strict";

(() => {
  const field = document.getElementById("search");
  if (!field) return;
  const form = field.form;
  const PAUSE_MS = 150;
  // Identifiers of people are not sent while somebody types them; what looks otherwise is posted, so that no address has it.
  const person = new RegExp(
    "^\\s*([^@\\s]+@[^@\\s.]+\\.\\S+|\\+[\\d\\s()/.-]{6,}|(?=.*[\\s()-])[\\s()-]*(\\d[\\s()-]*){7,}" +
      "|[0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{64}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})\\s*$",
    "i",
  );

  const list = Object.assign(document.createElement("ul"), { id: "search-results", hidden: true });
  list.className = "suggestions";
  list.setAttribute("role", "listbox");
  list.setAttribute("aria-label", "Places found");
  const note = Object.assign(document.createElement("p"), { className: "visually-hidden" });
  note.setAttribute("role", "status");
  form.append(list, note);
  const roles = { role: "combobox", "aria-autocomplete": "list", "aria-expanded": "false", "aria-controls": list.id };
  for (const [name, value] of Object.entries(roles)) field.setAttribute(name, value);

  let chosen = -1;
  let timer = 0;
  let asked = 0;
  let shownFor = "";

  const options = () => [...list.querySelectorAll("[role=option]")];

  function close() {
    clearTimeout(timer);
    asked += 1; // what is still on its way comes too late
    list.hidden = true;
    list.replaceChildren();
    shownFor = "";
    field.setAttribute("aria-expanded", "false");
    choose(-1);
  }

  function choose(index) {
    const all = options();
    chosen = all.length ? Math.max(-1, Math.min(index, all.length - 1)) : -1;
    all.forEach((option, at) => option.setAttribute("aria-selected", String(at === chosen)));
    if (chosen < 0) return field.removeAttribute("aria-activedescendant");
    field.setAttribute("aria-activedescendant", all[chosen].id);
    return all[chosen].scrollIntoView({ block: "nearest" });
  }

  function text(tag, words, kind) {
    const element = document.createElement(tag);
    element.textContent = words;
    element.className = kind;
    return element;
  }

  function show(typed, { results, note: words }) {
    const items = results.filter((one) => one.url).map((one, at) => {
      const option = document.createElement("li");
      option.id = `search-result-${at}`;
      option.dataset.url = one.url;
      option.setAttribute("role", "option");
      option.append(text("span", one.kind, "kind"), text("span", one.title, "title"), text("small", one.detail, "detail"));
      return option;
    });
    const foot = words ? [Object.assign(text("li", words, "note"), { role: "presentation" })] : [];
    foot.forEach((one) => one.setAttribute("role", "presentation"));
    list.replaceChildren(...items, ...foot);
    list.hidden = false;
    shownFor = typed;
    field.setAttribute("aria-expanded", "true");
    choose(items.length ? 0 : -1);
    const found = items.length === 1 ? "One place found." : `${items.length} places found.`;
    note.textContent = `${items.length ? found : ""} ${words}`.trim();
  }

  async function suggest() {
    const typed = field.value.trim();
    if (!typed) return close();
    if (person.test(typed)) return show(typed, { results: [], note: "That looks like a person: use the page Find a user." });
    const mine = (asked += 1);
    const body = new URLSearchParams({ part: "1", q: typed, csrf_token: form.elements.csrf_token.value });
    const answer = await fetch(form.action, { method: "POST", body, headers: { Accept: "application/json" } });
    if (!answer.ok || answer.redirected || mine !== asked) return undefined;
    return show(typed, await answer.json());
  }

  field.addEventListener("input", () => {
    clearTimeout(timer);
    if (!field.value.trim()) return close();
    timer = setTimeout(() => suggest().catch(() => close()), PAUSE_MS);
    return undefined;
  });

  field.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (list.hidden) suggest().catch(() => close());
      else choose(event.key === "ArrowDown" ? chosen + 1 : chosen - 1);
    } else if (event.key === "Escape" && !list.hidden) {
      event.preventDefault();
      close();
    }
  });

  // Enter goes to the chosen place, if it was found for what stands there now; else to all results.
  form.addEventListener("submit", (event) => {
    const option = options()[chosen];
    if (option && shownFor === field.value.trim()) {
      event.preventDefault();
      location.assign(option.dataset.url);
    } else if (person.test(field.value.trim())) {
      event.preventDefault();
      suggest();
    }
  });

  list.addEventListener("mousedown", (event) => event.preventDefault()); // the cursor stays in the field
  list.addEventListener("click", (event) => {
    const option = event.target.closest("[role=option]");
    if (option) location.assign(option.dataset.url);
  });
  field.addEventListener("blur", close);

  // "/" puts the cursor there, unless somebody types a text.
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input, textarea, select, [contenteditable]");
    if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    field.focus();
    field.select();
  });
})();
