// ---- Elements -----------------------------------------------------------------

// el makes an element. Of its properties, those that begin with "on" listen, and
// children are elements or texts; what is null or false is left out.
function el(tag, properties = {}, ...children) { return built(document.createElement(tag), properties, children); }

function built(node, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== false && value != null) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(3).filter((c) => c != null && c !== false && c !== ""));
  return node;
}

// say has a screen reader tell something.
function say(text) { document.querySelector("#status").textContent = text; }

const number = (n) => n.toLocaleString("en");
const count = (n, one, many = `${one}s`) => `${number(n)} ${n === 1 ? one : many}`;
const stamp = (at) => (at ? new Date(at).toISOString().slice(0, 19).replace("T", " ") : "");
const soft = (...content) => el("span", { class: "soft" }, ...content);
const time = (at) => (at ? el("time", { datetime: new Date(at).toISOString() }, stamp(at)) : soft("-"));
const version = (id) => id && el("code", { class: "short", title: id }, id.slice(0, 8));

// What a state looks like: never by its colour alone.
const looks = {
  high: ["bad", "!"], medium: ["warn", "!"], low: ["", "·"],
  succeeded: ["good", "✓"], running: ["warn", "↻"], failed: ["bad", "✕"], abandoned: ["bad", "✕"],
  PASSED: ["good", "✓"], FAILED: ["bad", "✕"], NOT_AVAILABLE: ["", "–"],
  "reads-old": ["bad", "!"], "holds-old": ["bad", "!"], silent: ["warn", "?"],
  current: ["good", "✓"], decoy: ["warn", "!"], deleted: ["warn", "−"],
};
function pill(state, text = state) {
  const [kind, sign] = looks[state] ?? ["", ""];
  return el("span", { class: `pill ${kind}` }, sign && el("span", { "aria-hidden": "true" }, `${sign} `), text);
}

// copied is a command with a button that copies it. Where the browser has no
// clipboard for files it is selected instead.
function copied(text) {
  const code = el("code", {}, text);
  const button = el("button", { type: "button", class: "copy", "aria-label": `Copy: ${text.slice(0, 80)}` }, "Copy");
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
      say("Copied");
    } catch {
      getSelection().selectAllChildren(code);
      button.textContent = "Selected";
      say("Selected, to be copied");
    }
  });
  return el("div", { class: "next" }, code, button);
}

// ---- Lists --------------------------------------------------------------------

const rowsPerPage = 50;
const printed = 300; // rows of a list on paper

// What a list shows is in the address, so that it is there again when the reader
// comes back: the part after "?" has a filter, an order and a page for each list.
function remembered(name) {
  const all = new URLSearchParams(location.hash.split("?")[1]);
  const get = (key) => all.get(`${name}.${key}`) ?? "";
  return { filter: get("filter"), only: get("only"), sort: get("sort"), down: get("down") !== "", page: Number(get("page")) || 0 };
}

function remember(name, state) {
  const [path, query] = location.hash.split("?");
  const all = new URLSearchParams(query);
  for (const [key, value] of Object.entries(state)) {
    if (value) all.set(`${name}.${key}`, value === true ? "1" : value);
    else all.delete(`${name}.${key}`);
  }
  history.replaceState(null, "", `${path || "#/"}${all.size > 0 ? `?${all}` : ""}`);
}

// list shows rows of a table: filtered, sorted, and a page at a time, so that
// 100,000 cost what fifty do. A specification has
//
//   table    its table
//   title    the caption
//   columns  each with a head, the column that it sorts by, whether it is a number
//            (n), and what to show of a row
//   facet    a column whose few values can be chosen by buttons
//
// rows are those to show, of all if it is not given, and without the heads of
// columns that need not be shown.
function list(spec, { rows, without = [], name = spec.name, level = "h2" } = {}) {
  const columns = spec.columns.filter((c) => !without.includes(c.head));
  const all = rows ?? Array.from({ length: spec.table.rows }, (_, i) => i);
  const state = remembered(name);
  let found = [];
  let typing;

  const view = el("section", { class: "card list", "aria-label": spec.title });
  const search = el("input", {
    type: "search", placeholder: "Filter", "aria-label": `Filter: ${spec.title}`, "aria-keyshortcuts": "/", value: state.filter,
    oninput: () => { state.filter = search.value; state.page = 0; show({ typed: true }); },
    onchange: () => remember(name, state),
    onfocus: () => spec.table.vocabulary(), // so that the first key need not wait for it
    onkeydown: (event) => { if (event.key === "Escape" && search.value) { search.value = ""; search.dispatchEvent(new Event("input")); } },
  });
  const shown = el("span", { class: "soft shown" });
  const facet = el("div", { class: "bar", role: "group", "aria-label": `Which ${spec.facet}` });
  const body = el("tbody", { role: "rowgroup" });
  const heads = el("tr", { role: "row" }, columns.map((c) => el("th", { role: "columnheader", scope: "col", class: c.n && "n" },
    c.by ? el("button", { type: "button", onclick: () => sort(c.by) }, c.head) : c.head)));
  const pager = el("div", { class: "bar pager", role: "group", "aria-label": "Pages" });

  const sums = new Map(); // :: value of the facet -> rows
  if (spec.facet) for (const row of all) sums.set(spec.table.value(spec.facet, row), (sums.get(spec.table.value(spec.facet, row)) ?? 0) + 1);

  function find() {
    const has = finder(spec.table, state.filter);
    const only = state.only && spec.table.columns.get(spec.facet);
    found = all.filter((row) => has(row) && (!only || only.value(row) === state.only));
    const by = spec.table.columns.get(state.sort);
    if (by) found.sort(by.order(state.down));
  }
  function sort(by) {
    // A number is sorted from the largest first, and a third press restores the order.
    const first = spec.table.columns.get(by)?.kind !== "text";
    if (state.sort !== by) Object.assign(state, { sort: by, down: first });
    else if (state.down === first) state.down = !first;
    else Object.assign(state, { sort: "", down: false });
    state.page = 0;
    show();
  }
  function fill(from, most) {
    body.replaceChildren(...found.slice(from, from + most).map((i) => {
      const row = spec.table.row(i);
      return el("tr", { role: "row" }, columns.map((c) => el("td", { role: "cell", class: c.n ? "n" : c.class, "data-label": c.head }, c.show(row))));
    }));
  }
  // show shows what was found, and says so unless it is the beginning. The one of
  // the pager's buttons that was pressed keeps the focus.
  function show({ pressed, typed, quiet } = {}) {
    find();
    const last = Math.max(0, Math.ceil(found.length / rowsPerPage) - 1);
    state.page = Math.min(state.page, last);
    const from = state.page * rowsPerPage;
    fill(from, rowsPerPage);
    columns.forEach((c, i) => {
      if (!c.by) return;
      heads.children[i].setAttribute("aria-sort", state.sort !== c.by ? "none" : state.down ? "descending" : "ascending");
    });
    const of = found.length === all.length ? number(all.length) : `${number(found.length)} of ${number(all.length)}`;
    shown.textContent = last === 0 ? of : `${number(from + 1)} to ${number(Math.min(from + rowsPerPage, found.length))} of ${number(found.length)}${found.length === all.length ? "" : `, ${number(all.length)} in all`}`;
    none.hidden = found.length > 0;
    showFacet();
    const turn = (text, to) => el("button", { type: "button", disabled: to < 0 || to > last, onclick: () => { state.page = to; show({ pressed: text }); } }, text);
    pager.replaceChildren(...(last === 0 ? [] : [turn("First", state.page > 0 ? 0 : -1), turn("Previous", state.page - 1), turn("Next", state.page + 1), turn("Last", state.page < last ? last : -1), soft(`page ${number(state.page + 1)} of ${number(last + 1)}`)]));
    if (pressed) ([...pager.children].find((b) => b.textContent === pressed && !b.disabled) ?? pager.querySelector("button:enabled")).focus();
    if (quiet) return;
    say(`${spec.title}: ${shown.textContent}`);
    clearTimeout(typing);
    if (!typed) remember(name, state);
    else typing = setTimeout(() => { if (view.isConnected) remember(name, state); }, 300); // browsers bound how often
  }
  function showFacet() {
    if (sums.size < 2) return;
    const had = facet.contains(document.activeElement);
    const choice = (value, text, n) => el("button", { type: "button", "aria-pressed": String(state.only === value), onclick: () => { state.only = value; state.page = 0; show(); } }, text, " ", soft(number(n)));
    facet.replaceChildren(choice("", "all", all.length), ...[...sums].map(([value, n]) => choice(value, value, n)));
    if (had) facet.querySelector("[aria-pressed=true]")?.focus();
  }
  // On paper a list has more than a page, up to a bound.
  view.paper = (on) => {
    if (!on) return show({ quiet: true });
    fill(0, printed);
    for (const details of body.querySelectorAll("details")) details.open = true;
    more.textContent = found.length > printed ? `These are the first ${number(printed)} of ${number(found.length)}.` : "";
  };
  view.addEventListener("keydown", (event) => steps(event, search, body));

  const none = el("p", { class: "soft", hidden: true }, "Nothing is like this.");
  const more = el("p", { class: "soft paper" });
  const many = all.length > 10 || state.filter;
  view.append(
    el("div", { class: "head" }, el(level, { tabindex: level === "h1" && "-1" }, spec.title), shown),
    el("div", { class: "bar", hidden: !many }, many && search, facet),
    el("div", { class: "scroll" }, el("table", { role: "table" }, el("caption", { class: "hidden" }, spec.title), el("thead", { role: "rowgroup" }, heads), body)),
    none, pager, more);
  show({ quiet: true });
  return view;
}

// steps goes from row to row by the arrow keys, by the first link of each.
function steps(event, search, body) {
  const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!by || event.ctrlKey || event.metaKey || event.altKey) return;
  const links = [...body.rows].map((row) => row.querySelector("a, button, summary")).filter(Boolean);
  const row = event.target.closest("tbody tr");
  const at = row ? [...body.rows].filter((r) => r.querySelector("a, button, summary")).indexOf(row) : -1;
  if (!row && event.target !== search && !event.target.closest("thead")) return;
  event.preventDefault();
  (at + by < 0 ? search : links[at + by])?.focus();
}

// The filter of the view's first list.
document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select, textarea")) return;
  const search = document.querySelector("#view input[type=search]");
  if (!search) return;
  event.preventDefault();
  search.focus();
  search.select();
});
addEventListener("beforeprint", () => { for (const l of document.querySelectorAll("#view .list")) l.paper(true); });
addEventListener("afterprint", () => { for (const l of document.querySelectorAll("#view .list")) l.paper(false); });
