// Starts a page: live notices, the queue of commands, dialogs, and the worker that keeps the page for offline use.

import { listen } from "./live.js";
import { isMine, startPerson } from "./person.js";
import { flush, onOtherTab, waiting } from "./queue.js";
import { fillPanel, keepTabStop, mark, slotNews, slotStates, startShelf } from "./shelf.js";
import { listed, overlay, remember, startTasks, taskNews } from "./tasks.js";
import { announce, element, toast, View } from "./view.js";

const { body } = document;
const page = body.dataset.page;
const URGENT = { tasks: ["tasks", "status"], shelf: ["shelf", "tasks", "status"] }; // the rest can wait a little
let link = "connecting";
let lostAt = "";
let retry;
let wait = 2_000;

const tasksHooks = {
  prepare: overlay,
  remember: listed,
  changed(before, root) {
    announce(taskNews(before, listed(root)));
    const count = Number(root.dataset.count);
    document.title = document.title.replace(/^(\(\d+\) )?/, count ? `(${count}) ` : "");
  },
};
const shelfHooks = {
  prepare: async () => {},
  remember: slotStates,
  changed(before, root) {
    announce(slotNews(before, root));
    keepTabStop(root);
    mark();
    fillPanel();
  },
};
const view = new View(page, { login, ...(page === "tasks" ? tasksHooks : shelfHooks) });

/** Send what waits; try again later when it cannot be sent now. */
async function sync() {
  clearTimeout(retry);
  const state = await flush({ isMine, csrf: () => body.dataset.csrf, report });
  if (state === "login") login();
  else if (state === "stale") reloadOnce();
  else if (state === "later") {
    retry = setTimeout(sync, wait * (0.75 + Math.random() / 2));
    wait = Math.min(wait * 2, 60_000);
  } else wait = 2_000;
  await showLink();
}

function report({ kind, entry, task, detail, fallen }) {
  remember(entry.task, kind === "settled" ? task : null);
  if (kind !== "settled") {
    const more = fallen ? " What you did with it after that was not sent." : "";
    toast(`${entry.name}: ${detail[0].toUpperCase()}${detail.slice(1)}.${more}`, "conflict");
  }
  view.refresh();
}

/** The login has ended: what waits stays on this device. */
function login() {
  location.assign(`/login?next=${encodeURIComponent(location.pathname)}`);
}

/** A token of an older login: a reload brings the new one. Not more than once a minute. */
function reloadOnce() {
  const last = Number(sessionStorage.getItem("reloaded"));
  if (Date.now() - last < 60_000) return toast("The service refuses what this page sends. Reload the page.", "conflict");
  sessionStorage.setItem("reloaded", String(Date.now()));
  return location.reload();
}

async function showLink() {
  const count = (await waiting()).filter(isMine).length;
  const state = element("link-state");
  state.dataset.state = link;
  state.querySelector(".link-word").textContent = { live: "Live", lost: "Offline", connecting: "Connecting" }[link];
  body.dataset.link = link;
  const banner = element("connection-banner");
  banner.hidden = link !== "lost";
  if (link === "lost") {
    const saved = count ? ` ${count === 1 ? "One action waits" : `${count} actions wait`} to be sent.` : "";
    const offer = page === "tasks" && !count ? " You can go on: what you do is kept here and sent later." : "";
    const words = `No connection. You see how it was at ${lostAt}.${saved}${offer}`;
    const text = banner.querySelector("p");
    if (text.textContent !== words) text.textContent = words;
  }
  if (page === "tasks") await overlay(document);
}

startPerson({
  changed() {
    view.refresh();
    sync();
  },
  waits: async () => (await waiting()).filter(isMine).length,
});
if (page === "tasks") startTasks({ act: sync });
else startShelf();

for (const dialog of document.querySelectorAll("dialog")) {
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog || event.target.closest("[data-close]")) dialog.close();
  });
}

onOtherTab(() => {
  if (page === "tasks") overlay(document);
});
listen({
  onChange(kinds) {
    view.refreshSoon(kinds.some((kind) => URGENT[page].includes(kind)) ? 800 : 5_000);
  },
  onState(state) {
    if (state === "lost" && link !== "lost") lostAt = view.clock;
    link = state;
    showLink();
    if (state === "lost") view.refresh(); // the worker gives the newest that it kept
    else sync();
  },
  onLogin: login,
  onBuild(build) {
    if (build !== body.dataset.build && !document.querySelector("dialog[open]")) reloadOnce();
  },
});
sync();

if ("serviceWorker" in navigator) {
  navigator.serviceWorker.register("/service-worker.js").then(async () => {
    const { active } = await navigator.serviceWorker.ready;
    active.postMessage("keep-pages");
  }, () => {});
}
