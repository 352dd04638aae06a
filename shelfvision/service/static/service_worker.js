// Keeps the application and the last pages, so that the list opens without a network. BUILD and ASSETS are put in front.

const SHELL = `shell-${BUILD}`;
const PAGES = `pages-${BUILD}`;
const KEPT = ["/", "/shelf", "/fragments/tasks", "/fragments/shelf"];
const PATIENCE = 5_000; // milliseconds that a page may take before the kept one is shown

self.addEventListener("install", (event) => {
  event.waitUntil(caches.open(SHELL).then((cache) => cache.addAll(ASSETS)));
  self.skipWaiting();
});

self.addEventListener("activate", (event) => {
  event.waitUntil(
    (async () => {
      for (const name of await caches.keys()) {
        if (/^(shell|pages)-/.test(name) && name !== SHELL && name !== PAGES) await caches.delete(name);
      }
      await self.clients.claim();
    })(),
  );
});

self.addEventListener("message", (event) => {
  if (event.data !== "keep-pages") return;
  event.waitUntil(
    (async () => {
      const cache = await caches.open(PAGES);
      for (const path of KEPT) {
        if (!(await cache.match(path))) await keep(path, await fetch(path).catch(() => null));
      }
    })(),
  );
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const { origin, pathname } = new URL(request.url);
  if (request.method !== "GET" || origin !== self.location.origin) return;
  if (pathname.startsWith("/static/")) event.respondWith(caches.match(request).then((found) => found ?? fetch(request)));
  else if (KEPT.includes(pathname)) event.respondWith(newestOrKept(request, pathname));
});

async function keep(path, response) {
  if (!response?.ok || response.redirected || response.type !== "basic") return;
  await (await caches.open(PAGES)).put(path, response.clone());
}

async function newestOrKept(request, path) {
  try {
    const response = await fetch(request, { signal: AbortSignal.timeout(PATIENCE) });
    await keep(path, response);
    return response;
  } catch (error) {
    const found = await (await caches.open(PAGES)).match(path);
    if (!found) throw error;
    const headers = new Headers(found.headers);
    headers.set("X-Kept", "1");
    return new Response(found.body, { status: found.status, headers });
  }
}
