// The Tasks page: buttons become commands; what waits is laid over the list at once.

import { actor, askName, isMine } from "./person.js";
import { enqueue, waiting } from "./queue.js";
import { element, focusCard } from "./view.js";

const AFTER = { claim: "mine", complete: "done", reject: "rejected", release: "open" };
const settled = new Map(); // task id -> document of the service's last answer, until the list has caught up

/** Remember an answer; `null` forgets, since the list must show how things are. */
export function remember(taskId, document) {
  if (document) settled.set(taskId, document);
  else settled.delete(taskId);
}

/** Lay the waiting commands over the cards under `root`. */
export async function overlay(root) {
  const entries = (await waiting()).filter(isMine);
  for (const card of root.querySelectorAll(".task")) {
    const own = entries.filter((entry) => entry.task === card.dataset.task);
    const answer = settled.get(card.dataset.task);
    let shown = card.dataset.shown;
    if (answer && answer.version > Number(card.dataset.version)) shown = shownAs(answer);
    else if (answer) settled.delete(card.dataset.task);
    for (const entry of own) shown = AFTER[entry.action];
    show(card, shown, own.length > 0);
  }
}

function shownAs(task) {
  if (task.state === "claimed") return task.claimed_by === actor() ? "mine" : "theirs";
  return task.state === "open" ? "open" : task.state === "rejected" ? "rejected" : "done";
}

function show(card, shown, waits) {
  card.dataset.now = shown;
  card.classList.toggle("waits", waits);
  for (const part of card.querySelectorAll("[data-when]")) part.hidden = !part.dataset.when.split(" ").includes(shown);
  const pending = card.querySelector(".pending");
  pending.hidden = !waits;
  pending.textContent = navigator.onLine && document.body.dataset.link !== "lost" ? "Sending…" : "Saved on this device, sent when the connection is back";
}

/** Wire the buttons. `act()` is called after a command was kept. */
export function startTasks({ act }) {
  const dialog = element("reject-dialog");
  const form = element("reject-form");
  const other = element("reject-other");
  let rejecting;

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("button[data-do]");
    const card = button?.closest(".task");
    if (!card) return;
    if (!(await askName())) return;
    if (button.dataset.do === "reject") {
      rejecting = card.dataset.task;
      element("reject-what").textContent = card.dataset.name;
      form.reset();
      other.hidden = true;
      dialog.returnValue = "";
      dialog.showModal();
    } else {
      await command(card, button.dataset.do);
    }
  });

  form.addEventListener("change", () => {
    other.hidden = form.elements.reason.value !== "other";
    form.elements.words.required = !other.hidden;
    if (!other.hidden) form.elements.words.focus();
  });
  dialog.addEventListener("close", async () => {
    const card = element(`task-${rejecting}`);
    if (dialog.returnValue !== "reject" || !card) return;
    const reason = form.elements.reason.value;
    await command(card, "reject", reason === "other" ? form.elements.words.value.trim() || "other" : reason);
  });

  async function command(card, action, reason) {
    const { task, version, name, condition } = card.dataset;
    const answer = settled.get(task);
    await enqueue({
      task,
      action,
      reason,
      name,
      condition,
      version: answer ? Math.max(answer.version, Number(version)) : Number(version),
      actor: actor(),
    });
    await overlay(document);
    focusCard(card);
    act();
  }
}

/** What a list holds, to tell what changed. */
export function listed(root) {
  const found = new Map();
  for (const card of root.querySelectorAll("[data-task]")) {
    const { state, holder, name } = card.dataset;
    found.set(card.dataset.task, { state, holder, name: name ?? card.querySelector(".row-name")?.textContent });
  }
  return found;
}

/** Sentences about what changed between two lists. */
export function taskNews(before, after) {
  const news = [];
  for (const [id, task] of after) {
    const old = before.get(id);
    if (!old && task.state === "open") news.push(`New task: ${task.name}`);
    else if (old && old.state !== task.state) {
      if (task.state === "confirmed") news.push(`Refilled: ${task.name}`);
      else if (task.state === "claimed" && task.holder !== actor()) news.push(`${task.holder} took ${task.name}`);
      else if (task.state === "open") news.push(`Open again: ${task.name}`);
    }
  }
  return news;
}
