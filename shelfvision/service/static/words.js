// Durations in words, counted on from the times that the server wrote. Same words as service/time_words.py.

let ahead = 0; // milliseconds that the server's clock is ahead of ours

/** Learn the server's clock from the time that stands on a view. */
export function setServerTime(iso) {
  const server = Date.parse(iso);
  if (!Number.isNaN(server)) ahead = server - Date.now();
}

/** A duration as people say it. */
export function spanWords(seconds) {
  const minutes = Math.floor(Math.max(0, seconds) / 60);
  if (minutes < 1) return "under a minute";
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  const rest = minutes % 60;
  if (hours < 48) return rest && hours < 12 ? `${hours} h ${rest} min` : `${hours} h`;
  return `${Math.floor(hours / 24)} days`;
}

/** Rewrite every counted duration under a node. */
export function tick(root = document) {
  const now = Date.now() + ahead;
  for (const time of root.querySelectorAll("time[data-span]")) {
    const words = spanWords((now - Date.parse(time.dateTime)) / 1000);
    if (time.textContent !== words) time.textContent = words;
  }
}

/** The time of day on this device, as HH:MM. */
export function clock(date) {
  return date.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
}
