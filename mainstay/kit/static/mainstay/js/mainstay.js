// The behaviour of the interface: theme, times, copying, dialogs, toasts, keys, finding, reading charts.
// Every page works without it; it only saves steps. Listeners sit on the document, so swapped fragments need no setup.
(() => {
  "use strict";
  const $ = (selector, root = document) => root.querySelector(selector);
  const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
  const on = (type, handler, options) => document.addEventListener(type, handler, options);

  // Screen readers hear a change only when the text differs from the one before.
  const announce = (text) => {
    const region = $("#announce");
    if (region) region.textContent = region.textContent === text ? `${text}\u00a0` : text;
  };

  // --- theme -------------------------------------------------------------------------------------------------------
  const showTheme = () => {
    const chosen = localStorage.getItem("theme") ?? "auto";
    if (chosen === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = chosen;
    for (const button of $$("[data-theme-choice]"))
      button.setAttribute("aria-pressed", String(button.dataset.themeChoice === chosen));
  };
  const chooseTheme = (choice) => {
    if (choice === "auto") localStorage.removeItem("theme");
    else localStorage.setItem("theme", choice);
    showTheme();
  };
  window.addEventListener("storage", showTheme);

  // --- times: the same rule as rows.relative() ----------------------------------------------------------------------
  const relative = (seconds) => {
    const size = Math.abs(seconds);
    if (size < 5) return seconds >= 0 ? "just now" : "now";
    const [unitS, unit] = size < 60 ? [1, "s"] : size < 3600 ? [60, "min"] : size < 86400 ? [3600, "h"] : [86400, "d"];
    const words = `${Math.floor(size / unitS)}\u00a0${unit}`;
    return seconds >= 0 ? `${words} ago` : `in ${words}`;
  };
  const showTimes = () => {
    if (document.hidden) return;
    for (const time of $$("time[data-live]")) {
      const text = relative((Date.now() - Date.parse(time.dateTime)) / 1000);
      if (time.textContent !== text) time.textContent = text;
    }
  };
  setInterval(showTimes, 5000);

  // --- toasts ------------------------------------------------------------------------------------------------------
  const keepToast = (toast) => {
    if (toast.classList.contains("tone-bad")) return; // what failed stays until it is dismissed
    let timer;
    const leave = () => { timer = setTimeout(() => toast.remove(), 7000); };
    toast.addEventListener("pointerenter", () => clearTimeout(timer));
    toast.addEventListener("pointerleave", leave);
    toast.addEventListener("focusin", () => clearTimeout(timer));
    leave();
  };
  const showToast = ({ text, tone = "accent" }) => {
    const template = $("#toast-template"), region = $("#toasts");
    if (!template || !region || !text) return;
    const toast = template.content.firstElementChild.cloneNode(true);
    toast.className = `toast tone-${tone}`;
    $("span", toast).textContent = text;
    region.append(toast);
    keepToast(toast);
    announce(text);
  };
  on("toast", (event) => showToast(event.detail)); // HX-Trigger: {"toast": {"text": "…", "tone": "ok"}}
  on("announce", (event) => announce(event.detail.value ?? event.detail.text ?? ""));
  const saidError = (event) => {
    const status = event.detail.xhr?.status;
    showToast({ text: status ? `The server answered ${status}; nothing was changed.` : "No answer from the server; nothing was changed. Is the connection up?", tone: "bad" });
  };
  on("htmx:responseError", saidError);
  on("htmx:sendError", (event) => { if (!polls(event.detail.elt)) saidError(event); });

  // --- dialogs -----------------------------------------------------------------------------------------------------
  const open = (id) => {
    const dialog = document.getElementById(id);
    if (!dialog || dialog.open) return;
    for (const menu of $$("[popover]:popover-open")) menu.hidePopover();
    dialog.showModal();
    if (id === "palette") openPalette();
    else $(":is(.dialog-body, form) :is(input:not([type=hidden]), select, textarea, button.primary)", dialog)?.focus();
  };
  on("close-dialog", () => $$("dialog[open]").forEach((dialog) => dialog.close())); // HX-Trigger: close-dialog
  // A link or button that a swap replaces keeps the focus: its like in the new fragment gets it.
  let focused = "";
  const address = (element) => element?.id ? `#${CSS.escape(element.id)}` : element?.matches?.("a[href]") ? `a[href="${CSS.escape(element.getAttribute("href"))}"]` : "";
  on("htmx:beforeSwap", (event) => { focused = (event.detail.target ?? event.target).contains(document.activeElement) ? address(document.activeElement) : ""; });
  on("htmx:afterSettle", () => {
    if (focused && document.activeElement === document.body) $(`main ${focused}`)?.focus({ preventScroll: true });
    focused = "";
  });
  on("htmx:afterSwap", (event) => {
    showTimes();
    const target = event.detail.target ?? event.target;
    if (target.id === "dialog" && target.childElementCount) open("dialog");
    if (target.id === "find-results") choose(0);
  });

  // --- polling rests while nobody looks ------------------------------------------------------------------------------
  const polls = (element) => /\bevery\b/.test(element?.getAttribute?.("hx-trigger") ?? "");
  on("htmx:beforeRequest", (event) => {
    if (document.hidden && polls(event.detail.elt)) event.preventDefault();
  });
  on("visibilitychange", () => {
    if (document.hidden) return;
    showTimes();
    for (const element of $$('[hx-trigger*="every"]')) element.dispatchEvent(new CustomEvent("attended"));
  });

  // --- finding anything ----------------------------------------------------------------------------------------------
  const options = () => $$('#find-results [role="option"]:not([aria-disabled])');
  const openPalette = () => {
    const input = $("#palette input");
    input.select();
    input.dispatchEvent(new CustomEvent("open", { bubbles: true }));
  };
  let chosen = 0;
  const choose = (index) => {
    const all = options();
    chosen = all.length ? (index + all.length) % all.length : 0;
    all.forEach((option, i) => option.setAttribute("aria-selected", String(i === chosen)));
    const input = $("#palette input");
    if (all[chosen]) input.setAttribute("aria-activedescendant", all[chosen].id);
    else input.removeAttribute("aria-activedescendant");
    all[chosen]?.scrollIntoView({ block: "nearest" });
  };
  const inPalette = (event) => {
    if (event.key === "ArrowDown") choose(chosen + 1);
    else if (event.key === "ArrowUp") choose(chosen - 1);
    else if (event.key === "Enter") options()[chosen]?.click();
    else return;
    event.preventDefault();
  };

  // --- keys --------------------------------------------------------------------------------------------------------
  const keysOn = () => localStorage.getItem("keys") !== "off";
  let going = 0;
  const moveRow = (by) => {
    const rows = $$("tr[data-row]").filter((row) => row.checkVisibility());
    const here = rows.indexOf(document.activeElement?.closest?.("tr[data-row]"));
    const next = rows[here < 0 ? (by > 0 ? 0 : rows.length - 1) : Math.min(Math.max(here + by, 0), rows.length - 1)];
    $("a", next ?? document.createElement("i"))?.focus();
    next?.scrollIntoView({ block: "nearest" });
  };
  on("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && !event.altKey && event.key.toLowerCase() === "k" && $("#palette")) {
      event.preventDefault();
      $("#palette").open ? $("#palette").close() : open("palette");
      return;
    }
    if ($("#palette")?.open) return inPalette(event);
    const chart = event.target.closest?.("[data-chart], [data-days]");
    if (chart && readByKey(chart, event)) return event.preventDefault();
    const typing = event.target.closest?.("input:not([type=checkbox], [type=radio]), textarea, select, [contenteditable]");
    if (typing || event.ctrlKey || event.metaKey || event.altKey || $("dialog[open]") || !keysOn()) return;
    const key = event.key;
    if (Date.now() - going < 1200) {
      going = 0;
      const place = $(`[data-go="${CSS.escape(key)}"]`);
      if (place) { event.preventDefault(); place.click(); }
    } else if (key === "g") going = Date.now();
    else if (key === "?") open("shortcuts");
    else if (key === "j" || key === "k") moveRow(key === "j" ? 1 : -1);
    else if (key === "/" && $("[data-filter]")) { event.preventDefault(); $("[data-filter]").focus(); }
    else if (/^[a-z]$/.test(key)) {
      const pressed = $(`main [data-key="${key}"]`);
      // Else the letter would stand in the field that the dialog focuses.
      if (pressed) { event.preventDefault(); pressed.click(); }
    }
  });

  // --- clicks ------------------------------------------------------------------------------------------------------
  const copy = async (button) => {
    const source = $("code", button.closest(".code")) ?? document.getElementById(button.dataset.copy);
    const text = source.value ?? source.textContent;
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      // Without a secure context there is no clipboard: select the text, so that Ctrl C copies it.
      getSelection().selectAllChildren(source);
      return announce("Selected. Press Ctrl C to copy.");
    }
    button.textContent = "Copied";
    announce("Copied.");
    setTimeout(() => { button.textContent = "Copy"; }, 1600);
  };
  const reveal = (button) => {
    const input = document.getElementById(button.dataset.reveal);
    const shown = input.type === "password";
    input.type = shown ? "text" : "password";
    button.setAttribute("aria-pressed", String(shown));
    button.firstChild.textContent = shown ? "Hide" : "Show";
  };
  on("click", (event) => {
    if (event.target.matches?.("dialog[open]")) return event.target.close(); // a click on the veil
    const button = event.target.closest?.("button, a");
    if (!button) return;
    const does = button.dataset;
    if (does.opens) { open(does.opens); event.preventDefault(); }
    else if ("closes" in does) button.closest("dialog")?.close();
    else if ("copy" in does) copy(button);
    else if ("dismiss" in does) button.closest(".toast")?.remove();
    else if (does.reveal) reveal(button);
    else if (does.themeChoice) chooseTheme(does.themeChoice);
  });
  on("change", (event) => {
    if ("keys" in event.target.dataset) localStorage.setItem("keys", event.target.checked ? "on" : "off");
    if ("submits" in event.target.dataset) event.target.form.requestSubmit();
  });
  on("submit", (event) => { // one page is one page: a second press of the button does nothing
    const form = event.target;
    if (form.getAttribute("method") !== "post" || form.closest("[hx-post], [hx-put], [hx-delete]")) return;
    if (form.dataset.sent) event.preventDefault();
    else form.dataset.sent = "1";
    setTimeout(() => delete form.dataset.sent, 5000);
  });
  window.addEventListener("pageshow", () => $$("form[data-sent]").forEach((form) => delete form.dataset.sent));

  // --- reading charts: data travels as attributes written by charts.py ------------------------------------------------
  const parsed = new WeakMap();
  const seriesOf = (chart) => {
    if (!parsed.has(chart)) {
      parsed.set(chart, $$("[data-points]", chart).map((path) => ({
        label: path.dataset.label,
        tone: path.getAttribute("class"),
        points: path.dataset.points.split(" ").filter(Boolean).map((pair) => pair.split(":").map(Number)),
      })));
    }
    return parsed.get(chart);
  };
  const nearest = (points, t) => {
    let low = 0, high = points.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (points[middle][0] < t) low = middle + 1; else high = middle;
    }
    return low && t - points[low - 1][0] < points[low][0] - t ? points[low - 1] : points[low];
  };
  const line = (name, value) => {
    const row = document.createElement("span"), number = document.createElement("i");
    number.textContent = value;
    row.append(name, number);
    return row;
  };
  const writeNumber = (value) => {
    const size = Math.abs(value), digits = size < 10 ? 2 : size < 100 ? 1 : 0;
    return size >= 1e6 ? value.toPrecision(3) : value.toLocaleString("en", { maximumFractionDigits: size < 0.01 ? 4 : digits });
  };
  const hush = (chart) => { $(".readout", chart)?.remove(); $(".c-cross", chart)?.remove(); };
  const read = (chart, share, aloud) => {
    const svg = $("svg", chart), box = svg.getBoundingClientRect(), outer = chart.getBoundingClientRect();
    let head, rows = [];
    if (chart.dataset.days !== undefined) {
      const days = chart.dataset.days.split("\n"), i = Math.min(days.length - 1, Math.max(0, Math.floor(share * days.length)));
      const [day, rest] = days[i].split(/: (.*)/);
      share = (i + 0.5) / days.length;
      [head, rows] = [day, [line(rest, "")]];
    } else {
      const start = Number(chart.dataset.start), length = Number(chart.dataset.end) - start;
      const series = seriesOf(chart).filter((s) => s.points.length);
      if (!series.length) return;
      const [at] = nearest(series[0].points, share * length);
      if (Math.abs(at - share * length) > length * 0.04) return hush(chart); // a gap has nothing to read
      share = at / length;
      head = new Date((start + at) * 1000).toLocaleString("en-GB", { timeZone: chart.dataset.zone, day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", second: length < 7200 ? "2-digit" : undefined });
      rows = series.map((s) => line(s.label, `${writeNumber(nearest(s.points, at)[1] / chart.dataset.divisor)} ${chart.dataset.unit}`));
      if ("stacked" in chart.dataset) rows.reverse(); // as the layers lie
    }
    for (const shown of $$(".readout")) hush(shown.parentElement);
    const readout = document.createElement("div"), title = document.createElement("b");
    readout.className = "readout";
    title.textContent = head;
    readout.append(title, ...rows);
    chart.append(readout);
    const x = box.left - outer.left + share * box.width;
    const flip = x + readout.offsetWidth + 12 > outer.width;
    readout.style.transform = `translate(${Math.max(0, flip ? x - readout.offsetWidth - 8 : x + 8)}px, ${chart.dataset.days === undefined ? 4 : -readout.offsetHeight - 4}px)`;
    if (chart.dataset.days === undefined) {
      const cross = document.createElementNS("http://www.w3.org/2000/svg", "line");
      cross.setAttribute("class", "c-cross");
      for (const [name, value] of [["x1", `${share * 100}%`], ["x2", `${share * 100}%`], ["y1", "0"], ["y2", $("svg svg", chart).getAttribute("height") - 4]]) cross.setAttribute(name, value);
      svg.append(cross);
    }
    chart.dataset.at = share;
    if (aloud) announce(readout.innerText);
  };
  const readByKey = (chart, event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step && event.key !== "Escape") return false;
    if (!step) { hush(chart); return true; }
    const parts = chart.dataset.days?.split("\n").length ?? 48;
    read(chart, Math.min(1, Math.max(0, Number(chart.dataset.at ?? 1) + step / parts)), true);
    return true;
  };
  on("pointermove", (event) => {
    const chart = event.target.closest?.("[data-chart], [data-days]");
    for (const other of $$(".chart:has(.readout), .uptime:has(.readout)")) if (other !== chart) hush(other);
    if (!chart) return;
    const box = $("svg", chart).getBoundingClientRect();
    const share = (event.clientX - box.left) / box.width;
    if (share >= 0 && share <= 1) read(chart, share, false);
  });
  on("focusout", (event) => { const chart = event.target.closest?.("[data-chart], [data-days]"); if (chart) hush(chart); });

  // --- start -------------------------------------------------------------------------------------------------------
  showTheme();
  showTimes();
  $$(".toast").forEach(keepToast);
  const box = $("[data-keys]");
  if (box) box.checked = keysOn();
})();
