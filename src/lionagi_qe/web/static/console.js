"use strict";
// Pages are whole without this file. It replaces the parts of a page that changed, shows changes as
// they come, and keeps "3 s ago" true. Text of others is only ever set as text.
(() => {
  const HIDDEN_SECONDS = 5;
  const RETRY_SECONDS = 5;
  const MOST_ROWS = 300;
  const state = document.getElementById("live-state");
  const news = document.body.dataset.news;
  const table = document.getElementById("changes");

  const say = (text, kind) => {
    if (!state) return;
    state.textContent = text;
    state.className = kind;
  };

  // An open connection per page is what browsers count: pages that nobody sees give theirs back.
  const listen = (address, handlers) => {
    let source = null;
    let leaving = 0;
    let wasLost = false;
    const open = () => {
      source = new EventSource(address);
      source.onopen = () => {
        say("live", "is-live");
        // What changed while nobody listened.
        if (wasLost && handlers.news) handlers.news();
        wasLost = false;
      };
      source.onerror = () => {
        say("not connected, trying again", "is-lost");
        wasLost = true;
        // Browsers try again by themselves, unless they got an answer that is no stream.
        if (source && source.readyState === EventSource.CLOSED) {
          source = null;
          clearTimeout(leaving);
          leaving = setTimeout(open, RETRY_SECONDS * 1000);
        }
      };
      for (const [kind, handle] of Object.entries(handlers)) source.addEventListener(kind, handle);
    };
    const close = () => {
      if (source) source.close();
      source = null;
    };
    document.addEventListener("visibilitychange", () => {
      clearTimeout(leaving);
      if (document.hidden) leaving = setTimeout(close, HIDDEN_SECONDS * 1000);
      else if (!source) {
        open();
        if (handlers.news) handlers.news();
      }
    });
    addEventListener("pagehide", close);
    open();
  };

  // Nobody's choice, text or cursor is taken away from under them.
  const isBusy = (part) =>
    part.contains(document.activeElement) && document.activeElement.matches("input, textarea, select") ||
    part.querySelector("input[type=checkbox][name=id]:checked") !== null;

  const replace = (fresh) => {
    for (const part of document.querySelectorAll("[data-part]")) {
      const other = fresh.getElementById(part.id);
      if (!other || isBusy(part) || other.innerHTML === part.innerHTML) continue;
      const focused = part.contains(document.activeElement) && document.activeElement.getAttribute("href");
      part.replaceChildren(...document.adoptNode(other).childNodes);
      if (focused) {
        const again = [...part.querySelectorAll("a")].find((each) => each.getAttribute("href") === focused);
        if (again) again.focus();
      }
    }
    relate();
  };

  let isReading = false;
  let isStale = false;
  const read = async () => {
    if (isReading) {
      isStale = true;
      return;
    }
    isReading = true;
    try {
      const answer = await fetch(location.href, { credentials: "same-origin" });
      if (answer.ok || answer.status === 404) {
        replace(new DOMParser().parseFromString(await answer.text(), "text/html"));
      }
    } catch {
      say("not connected, trying again", "is-lost");
    } finally {
      isReading = false;
      if (isStale) {
        isStale = false;
        read();
      }
    }
  };

  const units = [[86400, "days"], [3600, "h"], [60, "min"], [1, "s"]];
  const span = (seconds) => {
    const [size, name] = units.find(([size]) => seconds >= (size === 86400 ? 2 * size : size)) || units[3];
    return `${Math.round(seconds / size)} ${name}`;
  };
  const relate = () => {
    for (const time of document.querySelectorAll("time[data-relative]")) {
      const seconds = (Date.now() - Date.parse(time.dateTime)) / 1000;
      const text = Math.abs(seconds) < 1 ? "now" : seconds > 0 ? `${span(seconds)} ago` : `in ${span(-seconds)}`;
      if (time.textContent !== text) time.textContent = text;
    }
  };
  setInterval(relate, 1000);

  if (news) listen(news, { news: read, again: read });

  for (const place of document.querySelectorAll("[data-fetch]")) {
    fetch(place.dataset.fetch, { credentials: "same-origin" })
      .then((answer) => (answer.ok ? answer.text() : ""))
      .then((text) => {
        const fresh = new DOMParser().parseFromString(text, "text/html").querySelector("[data-fetched]");
        if (fresh) place.replaceChildren(document.adoptNode(fresh));
      })
      .catch(() => {});
  }

  if (table) {
    const body = table.tBodies[0];
    const seen = document.getElementById("seen");
    const pause = document.getElementById("pause");
    const labels = ["When", "What", "Key", "Revision", "Value"];
    let kept = [];
    let count = 0;
    const cell = (at, child) => {
      const found = document.createElement(at === 2 ? "th" : "td");
      if (at === 2) found.scope = "row";
      else found.dataset.label = labels[at];
      if (at === 3) found.className = "figure";
      found.append(child);
      return found;
    };
    const element = (name, text, type) => {
      const made = document.createElement(name);
      made.textContent = text;
      if (type) made.className = type;
      return made;
    };
    const row = (change) => {
      const line = document.createElement("tr");
      const key = element("a", change.key);
      key.href = change.link;
      const parts = [change.at, element("span", change.kind, `mark is-${change.kind}`), key, change.revision,
        element("code", change.value)];
      line.append(...parts.map((part, at) => cell(at, part)));
      return line;
    };
    const show = () => {
      body.prepend(...kept.reverse().map(row));
      kept = [];
      while (body.rows.length > MOST_ROWS) body.lastElementChild.remove();
    };
    listen(table.dataset.stream, {
      change: (event) => {
        const change = JSON.parse(event.data);
        change.at = new Date().toLocaleTimeString();
        kept = [...kept, change].slice(-MOST_ROWS);
        count += 1;
        const isPaused = pause.getAttribute("aria-pressed") === "true";
        seen.textContent = `${count} changes${isPaused ? `, ${kept.length} not shown yet` : ""}`;
        if (!isPaused) show();
      },
      again: () => say("fell too far behind; going on from now", "is-lost"),
    });
    pause.addEventListener("click", () => {
      const isPaused = pause.getAttribute("aria-pressed") !== "true";
      pause.setAttribute("aria-pressed", String(isPaused));
      pause.textContent = isPaused ? "Go on" : "Pause";
      if (!isPaused) {
        show();
        seen.textContent = `${count} changes`;
      }
    });
    document.getElementById("clear").addEventListener("click", () => body.replaceChildren());
  }
})();
