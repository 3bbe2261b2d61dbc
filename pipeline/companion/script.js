"use strict";
// Sends photos one after the other, keeps those not yet sent through a reload, and shows the board whenever it changes.

const AT_ONCE = 2, LONGEST_WAIT_MS = 15000;
const find = (id) => document.getElementById(id);
const run = document.body.dataset.run;
const queue = new Map(); // by number: { number, file, row, state: "waiting" | "sending" | "refused", tries }
let count = 0, isShut = false;

// --- What waits on this device: kept in the browser, so that neither a reload nor a lost connection costs a photo.
const opened = new Promise((resolve) => {
  try {
    const request = indexedDB.open("inkproof", 1);
    request.onupgradeneeded = () => request.result.createObjectStore("waiting", { keyPath: "number", autoIncrement: true });
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => resolve(null); // a private window may have none: then a photo waits as long as the page is open
  } catch { resolve(null); }
});
async function kept(mode, act) {
  const base = await opened;
  if (!base) return undefined;
  return new Promise((resolve) => {
    const request = act(base.transaction("waiting", mode).objectStore("waiting"));
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => resolve(undefined);
  });
}

async function add(files) {
  for (const file of files) {
    const number = (await kept("readwrite", (store) => store.add({ run, file }))) ?? -(++count);
    enqueue(number, file);
  }
  work();
}

function enqueue(number, file) {
  if (queue.has(number)) return;
  const row = document.createElement("li");
  row.append(Object.assign(document.createElement("span"), { textContent: file.name || "Photo" }), document.createElement("span"));
  row.append(Object.assign(document.createElement("progress"), { max: 1, value: 0 }));
  row.lastChild.setAttribute("aria-label", `Sent of ${file.name || "the photo"}`);
  find("sending").append(row);
  queue.set(number, { number, file, row, state: "waiting", tries: 0 });
  tell(queue.get(number), "waiting");
}

function tell(entry, words, share) {
  entry.row.children[1].textContent = words;
  const bar = entry.row.querySelector("progress");
  if (bar && share !== undefined) bar.value = share;
}

function work() {
  const entries = [...queue.values()];
  let free = AT_ONCE - entries.filter((entry) => entry.state === "sending").length;
  for (const entry of entries) {
    if (free > 0 && entry.state === "waiting" && !isShut) { send(entry); free -= 1; }
  }
}

function send(entry) {
  entry.state = "sending";
  const request = new XMLHttpRequest();
  request.open("POST", "/photos");
  request.setRequestHeader("Accept", "application/json");
  request.setRequestHeader("Content-Type", "application/octet-stream");
  request.responseType = "json";
  request.upload.onprogress = (event) => {
    const share = event.total ? event.loaded / event.total : 0;
    tell(entry, share < 1 ? `${Math.floor(100 * share)} %` : "sent, being checked", share);
  };
  request.onload = () => {
    const answer = request.response || {};
    if (request.status === 200 || request.status === 201) done(entry, answer);
    else if ([408, 429, 500, 503].includes(request.status)) later(entry, answer.message, 1000 * (answer.wait_s || 3));
    else if (request.status === 403) { later(entry, "waits", LONGEST_WAIT_MS); shut(`${answer.message || ""} ${answer.hint || ""}`); }
    else refused(entry, answer);
    work();
  };
  request.onerror = request.onabort = () => later(entry, "no connection; tried again soon", Math.min(1000 * 2 ** entry.tries, LONGEST_WAIT_MS));
  request.send(entry.file);
}

function done(entry, answer) {
  queue.delete(entry.number);
  kept("readwrite", (store) => store.delete(entry.number));
  if (answer.is_new) { entry.row.remove(); awaited.add(`photo-${answer.photo}`); }
  else {
    tell(entry, "was there already, and is kept once", 1);
    say(`${entry.file.name || "The photo"} was there already, and is kept once.`);
    setTimeout(() => entry.row.remove(), 6000);
  }
  if (!news || news.readyState === EventSource.CLOSED) refresh();
}

function later(entry, words, wait_ms) {
  entry.state = "resting";
  entry.tries += 1;
  tell(entry, words || "waiting", 0);
  setTimeout(() => { entry.state = "waiting"; work(); }, wait_ms);
}

function refused(entry, answer) {
  entry.state = "refused";
  kept("readwrite", (store) => store.delete(entry.number));
  const words = document.createElement("span");
  words.textContent = `${entry.file.name || "Photo"}: ${answer.message || "It was not taken."} ${answer.hint || ""}`;
  const button = Object.assign(document.createElement("button"), { type: "button", className: "plain", textContent: "OK" });
  button.onclick = () => { entry.row.remove(); queue.delete(entry.number); };
  entry.row.className = "refused";
  entry.row.replaceChildren(words, button);
  say(words.textContent);
}

// --- The board: what did not change stays as it is, with its pictures and the keyboard's place.
const awaited = new Set();

function renew(into, from) {
  const old = new Map([...into.children].filter((one) => one.id).map((one) => [one.id, one]));
  let at = into.firstElementChild;
  for (const fresh of [...from.children]) {
    let one = fresh.id ? old.get(fresh.id) : undefined;
    if (one && !one.isEqualNode(fresh)) {
      if (one.dataset.keyed !== undefined) renew(one, fresh);
      else { if (at === one) at = fresh; one.replaceWith(fresh); one = fresh; }
    }
    one = one || fresh;
    if (one === at) at = at.nextElementSibling;
    else into.insertBefore(one, at);
  }
  while (at) { const gone = at; at = at.nextElementSibling; gone.remove(); }
}

function show(html) {
  const holder = new DOMParser().parseFromString(`<div>${html}</div>`, "text/html").body.firstChild;
  renew(find("board"), holder);
  for (const id of [...awaited]) {
    const card = find(id);
    if (card) {
      awaited.delete(id);
      say([...card.querySelectorAll("p:not(.quiet)")].map((one) => one.textContent.replace(/^\W+/, "").trim()).join(". "));
    }
  }
}

function say(words) { find("said").textContent = words; }
function line(words) { find("line").textContent = words; find("line").hidden = !words; }
function shut(words) { isShut = true; line(words); }

let news = null;
function listen() {
  if (isShut) return;
  news = new EventSource("/news");
  news.addEventListener("board", (event) => { line(""); show(event.data); });
  news.addEventListener("end", () => { news.close(); isShut = true; document.body.classList.add("over"); });
  news.onopen = () => line("");
  news.onerror = () => {
    if (isShut) return;
    line("No connection to the computer. Photos wait here and are sent when it is back.");
    if (news.readyState === EventSource.CLOSED) setTimeout(() => refresh().then(listen), 3000);
  };
}

async function refresh() {
  try {
    const answer = await fetch("/board", { headers: { Accept: "application/json" } });
    if (answer.ok) { line(""); show(await answer.text()); }
    else if (answer.status === 403) { const told = await answer.json(); shut(`${told.message} ${told.hint}`); }
  } catch { /* the line says it already */ }
}

for (const input of document.querySelectorAll("#take input")) {
  const take = () => { add([...input.files]).then(() => { input.value = ""; }); };
  input.addEventListener("change", take);
  if (input.files.length) take(); // chosen while this script was still on its way
}
find("take").addEventListener("submit", (event) => event.preventDefault());
document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", (event) => { event.preventDefault(); add([...event.dataTransfer.files]); });
document.addEventListener("click", async (event) => {
  if (event.target.id !== "finish") return;
  event.target.disabled = true;
  const answer = await fetch("/finish", { method: "POST", headers: { Accept: "application/json" } });
  const told = await answer.json();
  say(`${told.message} ${told.hint || ""}`);
  if (!answer.ok) event.target.disabled = false;
});
kept("readonly", (store) => store.getAll()).then((found) => {
  for (const one of found || []) if (one.run === run) enqueue(one.number, one.file);
  work();
});
listen();
