"use strict";
// The server filters and sorts, also without this script; here its answer takes the place of what is shown.
const REFRESH = 30000;
const PAUSE = 300;
const PATIENCE = 20000;
const PARTS = ["summary", "live"];
// A table keeps its meaning for screen readers where the style sheet turns its rows into blocks.
const ROLES = { TABLE: "table", THEAD: "rowgroup", TBODY: "rowgroup", TR: "row", TD: "cell" };
const field = document.getElementById("q");
const lost = document.getElementById("lost");
let typed = 0;
let asked = 0;
let shown = new Date();

function addRoles(part) {
  for (const each of part.querySelectorAll("table, thead, tbody, tr, td")) each.setAttribute("role", ROLES[each.tagName]);
  for (const each of part.querySelectorAll("th")) {
    each.setAttribute("role", each.closest("thead") ? "columnheader" : "rowheader");
  }
}

// Changes only what differs, so that focus, selection, scrolling and what was opened stay as they are.
function become(old, fresh) {
  if (old.isEqualNode(fresh)) return;
  if (old.nodeName !== fresh.nodeName) {
    old.replaceWith(fresh);
    return;
  }
  if (old.nodeType === Node.TEXT_NODE) {
    old.data = fresh.data;
    return;
  }
  for (const name of old.getAttributeNames()) if (name !== "open" && !fresh.hasAttribute(name)) old.removeAttribute(name);
  for (const name of fresh.getAttributeNames()) {
    if (old.getAttribute(name) !== fresh.getAttribute(name)) old.setAttribute(name, fresh.getAttribute(name));
  }
  const wanted = [...fresh.childNodes];
  while (old.childNodes.length > wanted.length) old.lastChild.remove();
  const present = [...old.childNodes];
  wanted.forEach((child, place) => (place < present.length ? become(present[place], child) : old.append(child)));
}

function take(fresh) {
  const held = document.activeElement?.closest("tbody a")?.href;
  for (const id of PARTS) {
    const part = document.importNode(fresh.getElementById(id), true);
    addRoles(part);
    become(document.getElementById(id), part);
  }
  // Rows change places: the focus stays with the automation, not with the place.
  if (held && document.activeElement?.href !== held) {
    [...document.querySelectorAll("tbody a")].find((link) => link.href === held)?.focus({ preventScroll: true });
  }
  document.title = fresh.title;
  document.querySelector("input[name=sort]").value = fresh.querySelector("input[name=sort]").value;
}

function lose(reason) {
  lost.textContent = `Not refreshed since ${shown.toLocaleTimeString()}: ${reason}.`;
}

async function show(address) {
  const number = ++asked;
  let text;
  try {
    const answer = await fetch(address, { credentials: "same-origin", signal: AbortSignal.timeout(PATIENCE) });
    text = await answer.text();
    if (!answer.ok) throw new Error(`the exporter answers ${answer.status}`);
  } catch (error) {
    if (number === asked) lose(error instanceof TypeError || error.name === "TimeoutError" ? "the exporter does not answer" : error.message);
    return;
  }
  if (number !== asked) return; // a later question is under way
  shown = new Date();
  lost.textContent = "";
  take(new DOMParser().parseFromString(text, "text/html"));
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

function refresh() {
  const reads = !getSelection().isCollapsed;
  if (!document.hidden && !reads && Date.now() - typed >= REFRESH) show(location.href);
}

addRoles(document);
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
document.addEventListener("visibilitychange", refresh);
setInterval(refresh, REFRESH);
