// The live part of a page: fetched anew as HTML, laid over with what waits to be sent, then morphed in.

import { morph } from "./morph.js";
import { setServerTime, tick } from "./words.js";

const SETTLE = 350; // milliseconds after a touch in which nothing may move under the finger

export const element = (id) => document.getElementById(id);

/** A view that refreshes itself. `prepare(root)` changes the new tree before it is shown; `changed(before)` follows. */
export class View {
  #page;
  #hooks;
  #running;
  #again = false;
  #touched = 0;
  #down = false;
  #fetched = 0;
  #due;
  #timer;

  constructor(page, hooks) {
    this.#page = page;
    this.#hooks = hooks;
    setServerTime(this.root.dataset.at);
    tick();
    setInterval(tick, 10_000);
    addEventListener("pointerdown", () => (this.#down = true), { passive: true });
    for (const name of ["pointerup", "pointercancel"]) {
      addEventListener(name, () => ((this.#down = false), (this.#touched = performance.now())), { passive: true });
    }
  }

  get root() {
    return element("view");
  }

  /** When the service wrote what is shown, in the store's time. */
  get clock() {
    return this.root.dataset.clock;
  }

  /** Fetch and show the newest, but not more often than every `pace` milliseconds. */
  refreshSoon(pace) {
    const wait = this.#fetched + pace - performance.now();
    const due = performance.now() + Math.max(0, wait);
    if (this.#due !== undefined && this.#due <= due) return;
    clearTimeout(this.#timer);
    this.#due = due;
    this.#timer = setTimeout(() => {
      this.#due = undefined;
      this.refresh();
    }, wait);
  }

  /** Fetch and show the newest; calls while one runs are joined into one more. */
  refresh() {
    this.#fetched = performance.now();
    if (this.#running) {
      this.#again = true;
      return this.#running;
    }
    this.#running = this.#fetch().finally(() => {
      this.#running = undefined;
      if (this.#again) {
        this.#again = false;
        this.refresh();
      }
    });
    return this.#running;
  }

  async #fetch() {
    let answer;
    let html;
    try {
      answer = await fetch(`/fragments/${this.#page}`, { cache: "no-store", signal: AbortSignal.timeout(15_000) });
      html = await answer.text();
    } catch {
      return;
    }
    if (answer.status === 401) return this.#hooks.login();
    if (!answer.ok) return;
    const wanted = new DOMParser().parseFromString(html, "text/html").getElementById("view");
    if (!wanted) return;
    const kept = answer.headers.has("X-Kept");
    if (kept && Date.parse(wanted.dataset.at) <= Date.parse(this.root.dataset.at)) return;
    if (!kept) setServerTime(wanted.dataset.at);
    await this.#hooks.prepare(wanted);
    await this.#stillness();
    this.show(wanted);
  }

  /** Wait until no finger is on the page: what it aims at must not move. */
  async #stillness() {
    const until = performance.now() + 4_000;
    while ((this.#down || performance.now() - this.#touched < SETTLE) && performance.now() < until) {
      await new Promise((resolve) => setTimeout(resolve, 60));
    }
  }

  show(wanted) {
    const before = this.#hooks.remember(this.root);
    const focused = remembered(document.activeElement);
    morph(this.root, wanted);
    tick();
    restore(focused);
    this.#hooks.changed(before, this.root);
  }
}

/** Where the focus is, in words that hold after the element is gone. */
function remembered(node) {
  if (!node || node === document.body) return null;
  const card = node.closest("[data-task]");
  const slot = node.closest("[data-slot]");
  return { node, task: card?.dataset.task, action: node.dataset?.do, slot: slot?.dataset.slot };
}

function restore(focused) {
  if (!focused) return;
  const { node, task } = focused;
  const visible = node.isConnected && !node.hidden && node.getClientRects().length > 0;
  if (visible && document.activeElement === node) return;
  if (visible) node.focus({ preventScroll: true });
  else if (task) focusCard(element(`task-${task}`));
}

/** Focus the first button of a task, or the task itself. */
export function focusCard(card) {
  if (!card) return element("main").focus({ preventScroll: true });
  const button = [...card.querySelectorAll("button[data-do]")].find((each) => !each.hidden);
  return (button ?? card.querySelector("article") ?? card).focus({ preventScroll: true });
}

/** Say something to screen readers, politely. */
export function announce(sentences) {
  if (sentences.length) element("announcer").textContent = sentences.slice(0, 3).join(". ");
}

/** Show a message that goes by itself, slowly enough to be read. */
export function toast(words, kind = "plain") {
  const note = document.createElement("div");
  note.className = `toast ${kind}`;
  const text = document.createElement("p");
  text.textContent = words;
  const close = document.createElement("button");
  close.type = "button";
  close.className = "button plain";
  close.textContent = "OK";
  close.addEventListener("click", () => note.remove());
  note.append(text, close);
  element("toasts").append(note);
  let left = setTimeout(() => note.remove(), 12_000);
  note.addEventListener("pointerenter", () => clearTimeout(left));
  note.addEventListener("focusin", () => clearTimeout(left));
  note.addEventListener("pointerleave", () => (left = setTimeout(() => note.remove(), 4_000)));
}
