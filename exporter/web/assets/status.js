"use strict";
// The server filters and sorts, also without this script; here its answer takes the place of what is shown.
const REFRESH = 30000;
const PAUSE = 300;
const field = document.getElementById("q");
let typed = 0;
let asked = 0;

async function show(address) {
  const number = ++asked;
  let text;
  try {
    const answer = await fetch(address, { credentials: "same-origin" });
    if (!answer.ok) return;
    text = await answer.text();
  } catch {
    return; // the exporter restarts: the next refresh tries again
  }
  if (number !== asked) return; // a later question is under way
  const fresh = new DOMParser().parseFromString(text, "text/html");
  const live = document.getElementById("live");
  const open = live.querySelector("details").open;
  const held = live.contains(document.activeElement) ? document.activeElement.id : "";
  const next = document.importNode(fresh.getElementById("live"), true);
  next.querySelector("details").open = open;
  live.replaceWith(next);
  document.title = fresh.title;
  document.querySelector("input[name=sort]").value = fresh.querySelector("input[name=sort]").value;
  if (held) document.getElementById(held)?.focus();
  history.replaceState(null, "", address);
}

function wanted() {
  const address = new URL(location.href);
  for (const [name, value] of new FormData(field.form)) {
    if (value) address.searchParams.set(name, value);
    else address.searchParams.delete(name);
  }
  return address.href;
}

field.addEventListener("input", () => {
  typed = Date.now();
  const moment = typed;
  setTimeout(() => { if (moment === typed) show(wanted()); }, PAUSE);
});
field.form.addEventListener("submit", (event) => {
  event.preventDefault();
  show(wanted());
});
document.addEventListener("click", (event) => {
  const link = event.target.closest("thead a");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  show(link.href);
});
setInterval(() => {
  const reads = !getSelection().isCollapsed;
  if (!document.hidden && !reads && Date.now() - typed >= REFRESH) show(location.href);
}, REFRESH);
