// What only a browser can do for the pages: hold the ticks of a hidden tab back, follow our links without loading
// the page again, keep the focus over live refreshes, the keys, and the name in a cookie. It shows nothing by itself
// and sends nothing of its own. The page asks for it as a file, since its policy runs no script in the page itself.
(() => {
  if (window.ingestboard) return; // drawn with every run of the page, started once
  window.ingestboard = true;

  // --- a hidden tab asks for nothing ---------------------------------------------------------------------------
  // Streamlit's timers live in the browser and say so in what they send (BackMsg 11 rerun_script, ClientState 5
  // fragment_id, 6 is_auto_rerun). While nobody can see the page such a message waits, one for each live part.
  const send = WebSocket.prototype.send;
  const held = new Map();

  const varint = (bytes, at) => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++];
      value += (byte & 127) * 2 ** shift;
      if (!(byte & 128)) return [value, at];
    }
  };

  // The fragment that a timer wants to run; undefined for every other message.
  const tickOf = (data) => {
    if (!(data instanceof Uint8Array) || data[0] !== 90) return undefined;
    let [size, at] = varint(data, 1);
    const end = at + size;
    let fragment, automatic, key;
    while (end > at) {
      [key, at] = varint(data, at);
      if (key % 8 === 0) {
        [size, at] = varint(data, at);
        if (key === 48) automatic = size === 1;
      } else if (key % 8 === 2) {
        [size, at] = varint(data, at);
        if (key === 42) fragment = new TextDecoder().decode(data.subarray(at, at + size));
        at += size;
      } else return undefined;
    }
    return automatic ? fragment : undefined;
  };

  WebSocket.prototype.send = function (data) {
    const fragment = document.hidden ? tickOf(data) : undefined;
    if (fragment === undefined) return send.call(this, data);
    held.set(fragment, [this, data.slice()]);
  };

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) return;
    for (const [socket, data] of held.values()) if (socket.readyState === WebSocket.OPEN) send.call(socket, data);
    held.clear();
  });

  // --- our links stay in the session -----------------------------------------------------------------------------
  // Streamlit takes part in the browser's history: an address that is pushed and announced is run like a step back.
  document.addEventListener("click", (event) => {
    if (event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    // Streamlit's Markdown opens its links in new tabs; the one in a toast leads on from what was just done.
    const link = event.target.closest?.('.ib a[href]:not([target="_blank"]), [data-testid="stToast"] a[href]');
    if (!link || link.hasAttribute("download") || link.origin !== location.origin) return;
    event.preventDefault();
    const elsewhere = link.pathname !== location.pathname;
    kept = null;
    history.pushState({}, "", link.href);
    window.dispatchEvent(new PopStateEvent("popstate", { state: {} }));
    if (elsewhere) document.querySelector('[data-testid="stMain"]')?.scrollTo(0, 0);
  });

  // --- the focus outlives a refresh ------------------------------------------------------------------------------
  // A live part is drawn anew each second; the link that had the focus is found again by its address, in the table
  // if it was there: a job that needs a person has the same link above it too.
  let kept = null;
  let inTable = false;
  document.addEventListener("focusin", (event) => {
    kept = event.target.closest?.(".ib a")?.getAttribute("href") ?? null;
    inTable = !!event.target.closest?.(".ib-table");
  });
  document.addEventListener("pointerdown", () => { kept = null; });
  new MutationObserver(() => {
    if (kept === null || document.activeElement !== document.body) return;
    for (const link of document.querySelectorAll(".ib a")) {
      if (link.getAttribute("href") === kept && !!link.closest(".ib-table") === inTable) return link.focus({ preventScroll: true });
    }
  }).observe(document.body, { childList: true, subtree: true });

  // --- the name that a person gave is kept -----------------------------------------------------------------------
  // The page says which cookie it wants (dashboard/gate/who.py); no script stands in the page, so it is set from here.
  const remember = document.getElementsByClassName("ib-remember");
  let remembered = "";
  const keep = () => {
    const cookie = remember[0]?.dataset.cookie;
    if (!cookie || cookie === remembered) return;
    remembered = cookie;
    document.cookie = cookie + (location.protocol === "https:" ? "; secure" : "");
  };
  new MutationObserver(keep)
    .observe(document.body, { childList: true, subtree: true, attributes: true, attributeFilter: ["data-cookie"] });
  keep(); // the sign-in page was there before this script, and does not move

  // --- keys ------------------------------------------------------------------------------------------------------
  const KEYS = [
    ["/", "Search"],
    ["j", "Next row"],
    ["k", "Previous row"],
    ["Enter", "Open the row"],
    ["Esc", "Leave the row or the search"],
    ["?", "Show these keys"],
  ];
  const search = () => document.querySelector('.st-key-q input, [data-testid="stMain"] input[type="search"]');

  const step = (by) => {
    const links = [...document.querySelectorAll(".ib-table tbody tr")].map((row) => row.querySelector("a[href]")).filter(Boolean);
    if (!links.length) return;
    const row = document.activeElement.closest?.(".ib-table tbody tr");
    const at = row ? links.findIndex((link) => row.contains(link)) : by > 0 ? -1 : links.length;
    const next = links[Math.min(links.length - 1, Math.max(0, at + by))];
    next.focus({ preventScroll: true });
    next.closest("tr").scrollIntoView({ block: "nearest" });
  };

  const element = (name, text, parent) => {
    const made = document.createElement(name);
    if (text) made.textContent = text;
    parent?.append(made);
    return made;
  };

  const help = () => {
    const dialog = element("dialog", "", document.body);
    dialog.className = "ib-keys";
    dialog.setAttribute("aria-labelledby", "ib-keys-title");
    const theme = getComputedStyle(document.querySelector(".stApp"));
    dialog.style.color = theme.color;
    dialog.style.backgroundColor = theme.backgroundColor;
    dialog.style.fontFamily = theme.fontFamily;
    element("h2", "Keys", dialog).id = "ib-keys-title";
    const list = element("dl", "", dialog);
    for (const [key, does] of KEYS) {
      const line = element("div", "", list);
      element("kbd", key, element("dt", "", line));
      element("dd", does, line);
    }
    const form = element("form", "", dialog);
    form.method = "dialog";
    element("button", "Close", form);
    dialog.addEventListener("close", () => dialog.remove());
    dialog.showModal();
  };

  const typing = (target) =>
    target.isContentEditable || target.closest?.('input, textarea, select, dialog, [role="dialog"], [role="listbox"]');

  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.isComposing || event.ctrlKey || event.metaKey || event.altKey) return;
    const box = search();
    if (event.target === box) {
      if (event.key === "Escape" && !box.value) box.blur();
      if (event.key === "ArrowDown") document.querySelector(".st-key-suggestions button")?.focus();
      return;
    }
    if (typing(event.target)) return;
    if (event.key === "/" && box) {
      box.focus();
      box.select();
    } else if (event.key === "j") step(1);
    else if (event.key === "k") step(-1);
    else if (event.key === "?") help();
    else if (event.key === "Escape" && document.activeElement.closest?.(".ib-table")) {
      kept = null;
      document.activeElement.blur();
      return;
    } else return;
    event.preventDefault();
  });

  // Whoever took a suggestion goes on typing behind it. Streamlit's buttons keep their clicks for themselves.
  document.addEventListener(
    "click",
    (event) => {
      if (event.target.closest?.(".st-key-suggestions button")) setTimeout(() => search()?.focus(), 0);
    },
    true,
  );
})();
