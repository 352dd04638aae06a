// Listens for change notices; notices when nothing comes any more, and comes back by itself.

const BACKOFF = { first: 1_000, most: 30_000 };
const PATIENCE = 2_500; // milliseconds without a connection before people are told

const UNSEEN = 300_000; // milliseconds that a hidden page keeps its connection

/** Listen. Handlers: onChange(kinds), onState("live" | "lost"), onLogin(), onBuild(build). */
export function listen({ onChange, onState, onLogin, onBuild }) {
  let source;
  let beat = 10;
  let failures = 0;
  let watchdog;
  let retry;
  let telling;
  let unseen;

  function heard() {
    clearTimeout(watchdog);
    watchdog = setTimeout(restart, beat * 3_000);
  }

  function live() {
    failures = 0;
    clearTimeout(telling);
    telling = undefined;
    onState("live");
  }

  function lost(at = PATIENCE) {
    telling ??= setTimeout(() => onState("lost"), at);
  }

  function open() {
    clearTimeout(retry);
    source?.close();
    source = new EventSource("/api/v1/live");
    heard();
    source.addEventListener("hello", (event) => {
      const hello = JSON.parse(event.data);
      beat = hello.beat;
      heard();
      live();
      onBuild(hello.build);
      onChange(["tasks", "shelf", "status"]); // what was missed meanwhile
    });
    source.addEventListener("change", (event) => {
      heard();
      onChange(JSON.parse(event.data).kinds);
    });
    source.addEventListener("beat", heard);
    source.addEventListener("login", () => {
      source.close();
      onLogin();
    });
    source.addEventListener("error", restart);
  }

  function restart() {
    source?.close();
    clearTimeout(watchdog);
    clearTimeout(retry);
    lost();
    const wait = Math.min(BACKOFF.most, BACKOFF.first * 2 ** failures) * (0.75 + Math.random() / 2);
    failures += 1;
    retry = setTimeout(async () => {
      // an EventSource does not say why it failed; a login that ended looks like a dead service
      try {
        const answer = await fetch("/api/v1/status", { cache: "no-store", signal: AbortSignal.timeout(10_000) });
        if (answer.status === 401) return onLogin();
      } catch {
        return restart();
      }
      return open();
    }, wait);
  }

  function rest() {
    source?.close();
    for (const timer of [watchdog, retry, telling]) clearTimeout(timer);
    telling = undefined;
  }

  function now() {
    failures = 0;
    restart();
    clearTimeout(retry);
    open();
  }

  addEventListener("online", now);
  addEventListener("offline", () => {
    source?.close();
    clearTimeout(telling);
    telling = undefined;
    lost(0);
    restart();
  });
  // the back-forward cache: a page put aside holds no connection
  addEventListener("pagehide", rest);
  addEventListener("pageshow", (event) => event.persisted && now());
  // a browser has few connections to one host: pages that nobody looks at give theirs back after a while
  document.addEventListener("visibilitychange", () => {
    clearTimeout(unseen);
    if (document.visibilityState === "hidden") unseen = setTimeout(rest, UNSEEN);
    else if (source?.readyState !== EventSource.OPEN) now();
  });
  open();
  if (!navigator.onLine) lost(0);
}
