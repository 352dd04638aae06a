// Who works here: the login's name, or the name that the person gave once on this device.

import { forgetPages } from "./kept_pages.js";
import { element } from "./view.js";

const COOKIE = "sv_actor";
const YEAR = 365 * 24 * 3600;
const { dataset } = document.body;
export const loginNeeded = "login" in dataset;
let asked;

/** The name, or an empty text. */
export function actor() {
  if (loginNeeded) return dataset.actor ?? "";
  const pair = document.cookie.split("; ").find((each) => each.startsWith(`${COOKIE}=`));
  return pair ? decodeURIComponent(pair.slice(COOKIE.length + 1)) : "";
}

/** Whether a waiting command may be sent from here: with a login only its own person may. */
export const isMine = (entry) => !loginNeeded || entry.actor === actor();

/** Ask for the name unless it is known; resolves to it, or to an empty text when the person gave none. */
export function askName() {
  if (actor()) return Promise.resolve(actor());
  return new Promise((resolve) => {
    asked = resolve;
    open();
  });
}

function open() {
  const dialog = element("person-dialog");
  const input = element("person-input");
  if (input) input.value = actor();
  dialog.returnValue = "";
  dialog.showModal();
}

/** Wire the button and the dialog; `changed()` is called with a new name, `waits()` gives the number of unsent ones. */
export function startPerson({ changed, waits }) {
  const dialog = element("person-dialog");
  element("person-button").addEventListener("click", async () => {
    const warning = element("logout-warning");
    if (warning) {
      const count = await waits();
      warning.hidden = count === 0;
      warning.textContent = `${count === 1 ? "One action is" : `${count} actions are`} not sent yet. They stay on this device until you log in here again.`;
    }
    open();
  });
  dialog.addEventListener("close", () => {
    const name = element("person-input")?.value.trim().replace(/\s+/g, " ").slice(0, 60) ?? "";
    if (dialog.returnValue === "save" && name) {
      const secure = location.protocol === "https:" ? "; Secure" : "";
      document.cookie = `${COOKIE}=${encodeURIComponent(name)}; Path=/; Max-Age=${YEAR}; SameSite=Strict${secure}`;
      showName();
      changed();
    }
    asked?.(actor());
    asked = undefined;
  });
  element("logout-form")?.addEventListener("submit", forgetPages);
  showName();
}

function showName() {
  element("person-name").textContent = actor() || "Your name";
  element("person-button").setAttribute("aria-label", actor() ? `You are ${actor()}` : "Say who you are");
}
