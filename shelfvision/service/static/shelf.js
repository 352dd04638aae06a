// The Shelf page: slots open a panel; arrow keys move between the slots of a drawing.

import { element } from "./view.js";

let chosen = null; // key of the slot whose panel is open
let opener = null;

/** Wire clicks and keys. */
export function startShelf() {
  const dialog = element("slot-dialog");
  document.addEventListener("click", (event) => {
    const node = event.target.closest("[data-slot]");
    if (node) choose(node);
  });
  document.addEventListener("keydown", (event) => {
    const node = event.target.closest?.("g.slot");
    if (!node) return;
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      choose(node);
    } else if (STEPS[event.key]) {
      event.preventDefault();
      move(node, STEPS[event.key]);
    }
  });
  dialog.addEventListener("close", () => {
    chosen = null;
    mark();
    opener?.focus({ preventScroll: true });
  });
}

function choose(node) {
  chosen = node.dataset.slot;
  opener = node;
  fillPanel();
  mark();
  element("slot-dialog").showModal();
}

/** Show the newest of the chosen slot; after each refresh. */
export function fillPanel() {
  if (!chosen) return;
  const detail = element(chosen)?.querySelector(".slot-detail");
  const dialog = element("slot-dialog");
  if (!detail) return dialog.close();
  const body = element("slot-body");
  const copy = detail.cloneNode(true);
  if (body.firstElementChild?.innerHTML === copy.innerHTML) return;
  const hadFocus = body.contains(document.activeElement) && document.activeElement.hasAttribute("data-close");
  copy.hidden = false;
  copy.querySelector("h2").id = "slot-title";
  body.replaceChildren(copy);
  if (hadFocus) body.querySelector("[data-close]").focus();
}

/** Mark the chosen slot, and keep one slot of each drawing in the tab order. */
export function mark() {
  for (const node of document.querySelectorAll("g.slot")) node.classList.toggle("chosen", node.dataset.slot === chosen);
}

const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

function middle(node) {
  const box = node.querySelector("polygon").getBBox();
  return [box.x + box.width / 2, box.y + box.height / 2];
}

/** Focus the nearest slot in a direction; what lies straight ahead is nearer than what lies aside. */
function move(from, [dx, dy]) {
  const [x, y] = middle(from);
  let best = null;
  let least = Infinity;
  for (const node of from.closest("svg.plan").querySelectorAll("g.slot")) {
    const [nx, ny] = middle(node);
    const ahead = (nx - x) * dx + (ny - y) * dy;
    const aside = Math.abs((nx - x) * dy) + Math.abs((ny - y) * dx);
    if (node !== from && ahead > 1 && ahead + 3 * aside < least) [best, least] = [node, ahead + 3 * aside];
  }
  if (!best) return;
  from.setAttribute("tabindex", "-1");
  best.setAttribute("tabindex", "0");
  best.focus();
}

/** What the slots are, to tell what changed. */
export function slotStates(root) {
  return new Map([...root.querySelectorAll("g.slot")].map((node) => [node.id, node.dataset.condition]));
}

/** Sentences about slots that changed. */
export function slotNews(before, root) {
  return [...root.querySelectorAll("g.slot")]
    .filter((node) => before.has(node.id) && before.get(node.id) !== node.dataset.condition)
    .map((node) => node.getAttribute("aria-label"));
}

/** After a refresh the drawing's tab stop stays where the person left it. */
export function keepTabStop(root) {
  const active = document.activeElement?.closest?.("g.slot");
  if (!active) return;
  for (const node of active.closest("svg.plan").querySelectorAll("g.slot")) {
    node.setAttribute("tabindex", node === active ? "0" : "-1");
  }
}
