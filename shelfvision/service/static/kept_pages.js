// Pages that the service worker keeps for offline use.

/** Forget them: they belong to the person who saw them. */
export async function forgetPages() {
  if (!("caches" in window)) return;
  for (const name of await caches.keys()) if (name.startsWith("pages-")) await caches.delete(name);
}
