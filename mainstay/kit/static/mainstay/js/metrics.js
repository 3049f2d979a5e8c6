// Writing PromQL: what could stand at the cursor is offered in a list below the field. And lines pointed at in a table.
(() => {
  "use strict";
  const WAIT_MS = 120;
  let field = null, list = null, answer = null, chosen = -1, timer = 0, asking = null, settled = false, wanted = false;

  const options = () => (list ? [...list.querySelectorAll('[role="option"]')] : []);
  const say = (text) => { const region = document.getElementById("announce"); if (region) region.textContent = text; };

  const close = () => {
    clearTimeout(timer);
    asking?.abort();
    list?.remove();
    field?.removeAttribute("aria-activedescendant");
    field?.removeAttribute("aria-controls");
    [list, answer, chosen, wanted] = [null, null, -1, false];
  };

  const choose = (index) => {
    const all = options();
    if (!all.length) return;
    chosen = (index + all.length) % all.length;
    all.forEach((option, i) => option.setAttribute("aria-selected", String(i === chosen)));
    field.setAttribute("aria-activedescendant", all[chosen].id);
    all[chosen].scrollIntoView({ block: "nearest" });
  };

  const part = (name, text) => {
    const span = document.createElement("span");
    span.className = name;
    span.textContent = text;
    return span;
  };
  const marked = (name, typed) => {
    const what = part("what", name), at = typed ? name.toLowerCase().indexOf(typed.toLowerCase()) : -1;
    if (at < 0) return what;
    const bold = document.createElement("b");
    bold.textContent = name.slice(at, at + typed.length);
    what.replaceChildren(name.slice(0, at), bold, name.slice(at + typed.length));
    return what;
  };

  const show = (found) => {
    list?.remove();
    [list, answer, chosen] = [null, found, -1];
    field.removeAttribute("aria-activedescendant");
    if (!found.options.length) { wanted = false; return; }
    list = document.createElement("div");
    list.className = "offers";
    list.id = "offers";
    list.setAttribute("role", "listbox");
    list.setAttribute("aria-label", "What could stand here");
    const typed = field.value.slice(field.selectionStart - found.back, field.selectionStart);
    found.options.forEach((option, i) => {
      const row = document.createElement("div");
      row.id = `offer-${i}`;
      row.setAttribute("role", "option");
      row.setAttribute("aria-selected", "false");
      row.append(marked(option.name, typed), part("sort", option.detail || option.kind));
      if (option.doc) row.append(part("doc", option.doc));
      list.append(row);
    });
    field.parentElement.append(list);
    field.setAttribute("aria-controls", "offers");
    if (wanted) return take(0);
    say(`${found.options.length} suggestions. Tab takes the first, arrow keys choose.`);
  };

  const ask = async () => {
    if (!field || document.activeElement !== field) return;
    const at = field.selectionStart;
    asking?.abort();
    asking = new AbortController();
    const asked = new URLSearchParams({ before: field.value.slice(0, at), after: field.value.slice(at) });
    try {
      const response = await fetch(`${field.dataset.completes}?${asked}`, { signal: asking.signal, headers: { Accept: "application/json" } });
      if (!response.ok) return close();
      const found = await response.json();
      if (field.selectionStart === at && document.activeElement === field && !settled) show({ ...found, before: field.value.slice(0, at) });
    } catch (problem) {
      if (problem.name !== "AbortError") close();
    }
  };
  // What is offered is for the text before the caret that was asked about: who types on and presses Tab means the next answer.
  const isFresh = () => answer.before === field.value.slice(0, field.selectionStart);
  const askSoon = () => { clearTimeout(timer); settled = wanted = false; timer = setTimeout(ask, WAIT_MS); };

  const take = (index) => {
    const option = answer.options[index], at = field.selectionStart, place = answer.place;
    const end = at + answer.rest, following = field.value.slice(end);
    let insert = option.insert;
    if (place === "label" && following.startsWith("=")) insert = option.name;
    if (place === "value" && insert.startsWith('"') && following.startsWith('"')) insert = insert.slice(0, -1);
    if (insert.endsWith("(") && following.startsWith("(")) insert = insert.slice(0, -1);
    field.setRangeText(insert, at - answer.back, end, "end");
    if (place === "value" && !insert.endsWith('"') && !field.value.slice(field.selectionStart).startsWith('"')) field.setRangeText('"', field.selectionStart, field.selectionStart, "end");
    else if (place === "value" && field.value.slice(field.selectionStart).startsWith('"')) field.selectionStart += 1;
    if (insert.endsWith("(") || insert.endsWith('="')) {
      const closing = insert.endsWith("(") ? ")" : '"';
      if (!/^\w/.test(field.value.slice(field.selectionStart))) {
        const here = field.selectionStart;
        field.setRangeText(closing, here, here, "start");
        field.setSelectionRange(here, here);
      }
    }
    const goesOn = /[("]$/.test(insert) && place !== "value";
    close();
    field.dispatchEvent(new Event("input", { bubbles: true }));
    if (!goesOn) { clearTimeout(timer); settled = true; }
  };

  document.addEventListener("input", (event) => {
    if (!event.target.matches?.("[data-completes]")) return;
    field = event.target;
    askSoon();
  });
  document.addEventListener("focusout", (event) => {
    if (event.target === field) setTimeout(() => { if (document.activeElement !== field) close(); }, 120);
  });
  document.addEventListener("pointerdown", (event) => {
    const option = event.target.closest?.(".offers [role='option']");
    if (!option) return;
    event.preventDefault(); // the field keeps the focus
    if (isFresh()) take(options().indexOf(option));
  });
  document.addEventListener("keydown", (event) => {
    const here = event.target;
    if (!here.matches?.("[data-completes]") || event.isComposing) return;
    field = here;
    const open = list !== null, run = "runs" in here.dataset;
    if (event.key === " " && event.ctrlKey) { event.preventDefault(); settled = false; ask(); }
    else if (open && event.key === "ArrowDown") { event.preventDefault(); choose(chosen + 1); }
    else if (open && event.key === "ArrowUp") { event.preventDefault(); choose(chosen < 0 ? options().length - 1 : chosen - 1); }
    else if (open && event.key === "Tab" && !event.shiftKey) { event.preventDefault(); if (isFresh()) take(Math.max(chosen, 0)); else { wanted = true; clearTimeout(timer); ask(); } }
    else if (open && event.key === "Escape") { event.preventDefault(); event.stopPropagation(); settled = true; close(); }
    else if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); settled = true; close(); here.form?.requestSubmit(); }
    else if (event.key === "Enter" && open && chosen >= 0 && isFresh()) { event.preventDefault(); take(chosen); }
    else if (event.key === "Enter" && run && !event.shiftKey) { event.preventDefault(); settled = true; close(); here.form.requestSubmit(); }
  }, true);

  // --- several expressions -------------------------------------------------------------------------------------------
  const MOST = 6;
  const letters = () => {
    const all = [...document.querySelectorAll("[data-expression]")];
    all.forEach((one, i) => {
      one.querySelector(".letter").textContent = all.length > 1 ? "ABCDEF"[i] : "";
      const area = one.querySelector("textarea"), error = one.querySelector(".write-error");
      area.id = `q-${i}`;
      error.id = `error-${i}`;
      area.setAttribute("aria-describedby", error.id);
      area.setAttribute("aria-label", all.length > 1 ? `Expression ${"ABCDEF"[i]} in PromQL` : "Expression in PromQL");
    });
    const add = document.querySelector("[data-adds-expression]");
    if (add) add.disabled = all.length >= MOST;
  };
  document.addEventListener("click", (event) => {
    if (event.target.closest?.("[data-adds-expression]")) {
      const place = document.getElementById("expressions"), template = document.getElementById("expression-template");
      place.append(template.content.cloneNode(true));
      letters();
      place.lastElementChild.querySelector("textarea").focus();
    }
    const drop = event.target.closest?.("[data-drops-expression]");
    if (drop) {
      const form = drop.closest("form");
      drop.closest("[data-expression]").remove();
      letters();
      form.requestSubmit();
    }
  });
  // The address of an answer says what was asked and nothing else.
  document.addEventListener("htmx:configRequest", (event) => {
    if (event.target.id !== "ask") return;
    const asked = event.detail.parameters;
    if (asked.range !== "custom") ["from", "to", "step"].forEach((name) => delete asked[name]);
    else if (!asked.step) delete asked.step;
  });
  document.addEventListener("htmx:afterSettle", () => {
    for (const error of document.querySelectorAll(".write-error")) {
      const area = error.parentElement.querySelector("textarea");
      area?.toggleAttribute("aria-invalid", error.childElementCount > 0);
      if (error.childElementCount) area?.setAttribute("aria-invalid", "true");
    }
  });

  // --- a row of the table and its line --------------------------------------------------------------------------------
  const point = (row, on) => {
    const lines = document.querySelectorAll("#results .chart path[data-label]");
    lines[Number(row.dataset.line)]?.classList.toggle("is-chosen", on);
  };
  document.addEventListener("pointerover", (event) => { const row = event.target.closest?.("tr[data-line]"); if (row) point(row, true); });
  document.addEventListener("pointerout", (event) => { const row = event.target.closest?.("tr[data-line]"); if (row) point(row, false); });

  letters();
})();
