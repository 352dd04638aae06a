// Commands wait here until the service has answered them. They survive a reload and a dead battery; each carries a
// key by which the service carries it out once, however often it is sent.

const DATABASE = "shelfvision";
const STORE = "commands";
const MAX_REBASES = 5;

let opened;

function database() {
  opened ??= new Promise((resolve) => {
    try {
      const request = indexedDB.open(DATABASE, 1);
      request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: "id", autoIncrement: true });
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => resolve(null);
    } catch {
      resolve(null);
    }
  });
  return opened;
}

// Some private windows have no IndexedDB: commands then wait in this page only.
const inMemory = new Map();
let lastId = 0;

async function transact(mode, onDisk, otherwise) {
  const db = await database();
  if (!db) return otherwise();
  return new Promise((resolve, reject) => {
    const transaction = db.transaction(STORE, mode, { durability: "strict" });
    const request = onDisk(transaction.objectStore(STORE));
    transaction.oncomplete = () => resolve(request.result);
    transaction.onabort = transaction.onerror = () => reject(transaction.error);
  });
}

/** Every waiting command, oldest first. */
export function waiting() {
  return transact("readonly", (store) => store.getAll(), () => [...inMemory.values()]);
}

function save(entry) {
  const id = () => entry.id ?? ++lastId;
  const remember = (key) => inMemory.set(key, { ...entry, id: key });
  return transact("readwrite", (store) => store.put(entry), () => remember(id()));
}

function forget(entry) {
  return transact("readwrite", (store) => store.delete(entry.id), () => inMemory.delete(entry.id));
}

/** Keep a command; `entry` has task, action, version, actor, reason, name. */
export async function enqueue(entry) {
  const before = (await waiting()).filter((other) => other.task === entry.task);
  // each command before it raises the version by one
  await save({ ...entry, version: entry.version + before.length, key: crypto.randomUUID(), rebases: 0 });
  tellOthers();
}

const channel = "BroadcastChannel" in window ? new BroadcastChannel("shelfvision-queue") : null;
const tellOthers = () => channel?.postMessage("changed");

/** Call `listener` when another tab has changed the queue. */
export function onOtherTab(listener) {
  channel?.addEventListener("message", listener);
}

/**
 * Send what waits, in order, from one tab at a time.
 * `isMine(entry)` says what may be sent from here; `csrf()` gives the page's token. `report` gets {kind, entry, task, detail}: kind is settled, lost (a conflict) or refused.
 * Returns "empty", "later" (no connection or the service is busy), "login" or "stale" (this page's token is old).
 */
export function flush({ isMine, csrf, report }) {
  const work = async () => {
    for (;;) {
      const entry = (await waiting()).find(isMine);
      if (!entry) return "empty";
      const outcome = await send(entry, csrf());
      if (typeof outcome === "string") return outcome;
      if (outcome.rebased) continue;
      await forget(entry);
      await carryOn(entry, outcome);
      tellOthers();
      report({ entry, ...outcome });
    }
  };
  return navigator.locks ? navigator.locks.request("shelfvision-queue", work) : work();
}

async function send(entry, csrf) {
  const { action, version, actor, key, reason } = entry;
  let response;
  try {
    response = await fetch(`/api/v1/tasks/${encodeURIComponent(entry.task)}/commands`, {
      method: "POST",
      headers: { "Content-Type": "application/json", ...(csrf ? { "X-CSRF-Token": csrf } : {}) },
      body: JSON.stringify({ action, version, actor, key, ...(reason ? { reason } : {}) }),
      signal: AbortSignal.timeout(15_000),
    });
    const body = await response.json();
    if (response.ok) return { kind: "settled", task: body };
    if (response.status === 401) return "login";
    if (response.status === 403) return "stale";
    if (response.status === 429 || response.status >= 500) return "later";
    if (response.status === 409 && body.task) return await conflict(entry, body);
    return { kind: "refused", detail: body.detail };
  } catch {
    return "later"; // the network, or an answer that is none of ours
  }
}

async function conflict(entry, { task, detail }) {
  const own = task.claimed_by === entry.actor;
  const isDone = entry.action === "complete" && task.state === "done" && own;
  const isMine = entry.action === "claim" && task.state === "claimed" && own;
  if (isDone || isMine) return { kind: "settled", task };
  // Only facts changed meanwhile, such as the units to bring: what the person wants still makes sense.
  const fits =
    (entry.action === "claim" && task.state === "open") ||
    (["complete", "release"].includes(entry.action) && task.state === "claimed" && own) ||
    (entry.action === "reject" && task.condition === entry.condition && (task.state === "open" || own));
  if (fits && task.version !== entry.version && entry.rebases < MAX_REBASES) {
    await save({ ...entry, version: task.version, key: crypto.randomUUID(), rebases: entry.rebases + 1 });
    return { rebased: true };
  }
  return { kind: "lost", task, detail };
}

/** Later commands for the same task: follow the new version, or fall with the one that lost. */
async function carryOn(entry, outcome) {
  const later = (await waiting()).filter((each) => each.task === entry.task && each.actor === entry.actor);
  for (const each of later) {
    if (outcome.kind === "settled") await save({ ...each, version: outcome.task.version });
    else await forget(each);
  }
  outcome.fallen = outcome.kind === "settled" ? 0 : later.length;
}
