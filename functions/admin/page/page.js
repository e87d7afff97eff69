// The operator's page over the admin API: what it shows comes from there, asked
// for with the operator's token, and no value of a secret is among it.
//
// The token is kept in sessionStorage, so that it ends with the tab, and goes
// nowhere but into the Authorization header. Texts of secrets reach the document
// as text nodes only: there is no innerHTML here, and the page's policy has none.

const main = document.querySelector("main");
const nav = document.querySelector("header nav");
const tokenKey = "rekey-admin-token";
const rowsPerPage = 50;
const refreshEvery = 5000; // of what is told of one secret: the trail comes late

// ---- The API ----------------------------------------------------------------

// A Refusal is an answer that is none of 2xx.
class Refusal extends Error {
  constructor(status, body) {
    super(body.detail || body.error || `the API answered ${status}`);
    this.status = status;
    this.hint = body.hint;
  }
}

async function api(path, { method = "GET", body, signal } = {}) {
  const headers = { Authorization: `Bearer ${sessionStorage.getItem(tokenKey)}` };
  if (body) headers["Content-Type"] = "application/json";
  const answer = await fetch(`admin/${path}`, { method, headers, body: body && JSON.stringify(body), signal, cache: "no-store" })
    .catch((err) => { throw signal?.aborted ? err : new Refusal(0, { error: "The API cannot be reached" }); });
  const content = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Refusal(answer.status, content);
  return content;
}

// A name may have slashes, which stand in a path as they are.
const inPath = (name) => name.split("/").map(encodeURIComponent).join("/");

// ---- Elements -----------------------------------------------------------------

// el makes an element. Of its properties, those that begin with "on" listen, and
// children are elements or texts; what is null or false is left out.
function el(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== false && value != null) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((c) => c != null && c !== false));
  return node;
}

// say has a screen reader tell something.
function say(text) { document.querySelector("#status").textContent = text; }

const count = (n, one, many = `${one}s`) => `${n.toLocaleString("en")} ${n === 1 ? one : many}`;
const short = (version) => el("code", { class: "short", title: version }, version.slice(0, 8));

const units = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];
const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto" });

// moment is a time as people say it, with the exact one beside it.
function moment(text) {
  if (!text) return el("span", { class: "soft" }, "not known");
  const at = new Date(text);
  const seconds = (at - Date.now()) / 1000;
  const [unit, size] = units.find(([, size]) => Math.abs(seconds) >= size) ?? ["second", 1];
  return el("time", { datetime: text, title: at.toISOString() }, relative.format(Math.round(seconds / size), unit));
}

// What a state looks like: never by its colour alone.
const looks = {
  failed: ["bad", "✕"], overdue: ["warn", "!"], deleted: ["warn", "−"], empty: ["", "○"], rotating: ["warn", "↻"], ok: ["good", "✓"],
  succeeded: ["good", "✓"], running: ["warn", "↻"], abandoned: ["bad", "✕"], high: ["bad", "!"], medium: ["warn", "!"], low: ["", "·"],
};
function pill(state) {
  const [kind, sign] = looks[state] ?? ["", "·"];
  return el("span", { class: `pill ${kind}` }, el("span", { "aria-hidden": "true" }, `${sign} `), state);
}

function note(kind, ...content) { return el("p", { class: `note ${kind}` }, ...content); }

function failureNote(failure) {
  return note("bad", el("strong", {}, `${failure.step ? `${failure.step} failed` : "The rotation was given up"}: `), failure.message,
    failure.tries > 1 && ` (${count(failure.tries, "try", "tries")})`, el("br"), "Next: ", failure.next);
}

function refusalNote(err) {
  const right = err.status === 403 ? "The token has no right to this, or is not valid any more." : err.message;
  return note("bad", right, err.hint && el("br"), err.hint);
}

// The roles of a table are said, since narrow screens show it as blocks.
function table(caption, heads, rows) {
  const row = (cells) => el("tr", { role: "row" }, cells.map((cell, i) => el("td", { role: "cell", "data-label": i > 0 && heads[i] }, cell)));
  return el("table", { role: "table" }, el("caption", { class: "hidden" }, caption),
    el("thead", { role: "rowgroup" }, el("tr", { role: "row" }, heads.map((h) => el("th", { role: "columnheader", scope: "col" }, h)))),
    el("tbody", { role: "rowgroup" }, rows.map(row)));
}

// pages shows a table a page at a time, so that thousands of rows cost what
// fifty do. The function that it returns shows other items.
function pages(caption, heads, row) {
  const view = el("div");
  return [view, function show(items, page = 0, focus = "") {
    const from = page * rowsPerPage;
    const last = Math.max(0, Math.ceil(items.length / rowsPerPage) - 1);
    const button = (text, to) => el("button", { type: "button", disabled: to < 0 || to > last, onclick: () => show(items, to, text) }, text);
    const shown = `${(from + 1).toLocaleString("en")} to ${Math.min(from + rowsPerPage, items.length).toLocaleString("en")} of ${items.length.toLocaleString("en")}`;
    const turn = [button("Previous", page - 1), button("Next", page + 1)];
    view.replaceChildren(table(caption, heads, items.slice(from, from + rowsPerPage).map(row)),
      ...(last > 0 ? [el("div", { class: "bar", role: "group", "aria-label": "Pages" }, turn, el("span", { class: "soft" }, shown))] : []));
    if (!focus) return;
    (turn.find((b) => b.textContent === focus && !b.disabled) ?? turn.find((b) => !b.disabled))?.focus();
    say(shown);
  }];
}

// confirmed asks before something is done; the focus returns to where it was.
function confirmed(title, text, action) {
  return new Promise((resolve) => {
    const dialog = el("dialog", { "aria-labelledby": "question", onclose: () => { dialog.remove(); resolve(dialog.returnValue === "yes"); } },
      el("h2", { id: "question" }, title), el("p", {}, text),
      el("div", { class: "bar" },
        el("button", { type: "button", autofocus: true, onclick: () => dialog.close("no") }, "Keep it as it is"),
        el("button", { type: "button", class: "main", onclick: () => dialog.close("yes") }, action)));
    document.body.append(dialog);
    dialog.showModal();
  });
}

// ---- Sign in --------------------------------------------------------------------

function signIn(message) {
  nav.hidden = true;
  document.title = "Sign in - Rekey";
  const field = el("input", { id: "token", type: "password", autocomplete: "off", spellcheck: "false", required: true, "aria-describedby": "refused" });
  const refused = el("p", { id: "refused", role: "alert", class: message ? "note bad" : "" }, message);
  const submit = async (event) => {
    event.preventDefault();
    sessionStorage.setItem(tokenKey, field.value.trim());
    try {
      await api("secrets?limit=1");
      route();
    } catch (err) {
      sessionStorage.removeItem(tokenKey);
      refused.className = "note bad";
      refused.textContent = err.status === 403 ? "This token is not accepted: it is wrong, has expired, or may not list secrets." : err.message;
      field.select();
      field.focus();
    }
  };
  main.replaceChildren(el("section", { class: "card gate" }, el("h1", {}, "Sign in"),
    el("form", { onsubmit: submit }, el("label", { for: "token" }, "Admin token"), field, el("button", { class: "main" }, "Sign in"), refused),
    el("p", { class: "soft" }, "It stays in this tab, and is forgotten when the tab is closed. No value of a secret is ever shown here.")));
  field.focus();
}

function signOut(message) {
  sessionStorage.removeItem(tokenKey);
  known.secrets = [];
  leaveView();
  signIn(message);
}

// ---- All secrets ------------------------------------------------------------------

// known is the list as it was read last; it is shown at once when one comes back.
const known = { secrets: [], states: {}, notes: [], complete: false };

// load reads the list: first what fits a page, so that it is there soon, then
// all the rest. Each part is handed on when it is there.
async function load(shown, signal) {
  let secrets = [];
  let [cursor, limit] = ["", rowsPerPage];
  do {
    const part = await api(`secrets?limit=${limit}&cursor=${cursor}`, { signal });
    secrets = secrets.concat(part.secrets);
    if (!part.next || secrets.length > known.secrets.length) { // not what is less than is shown already
      Object.assign(known, { secrets, states: part.states, notes: part.notes ?? [], complete: !part.next });
      shown();
    }
    [cursor, limit] = [part.next, 5000];
  } while (cursor);
}

const order = ["failed", "overdue", "rotating", "empty", "deleted", "ok"];
const needs = (s) => Number(s.state === "failed" || s.state === "overdue");
const filter = { text: "", state: "" };

function listView(signal) {
  const search = el("input", {
    type: "search", placeholder: "Search by name or description", "aria-label": "Search secrets", "aria-keyshortcuts": "/", value: filter.text,
    oninput: () => { filter.text = search.value; show(); },
  });
  const states = el("div", { class: "bar", role: "group", "aria-label": "State" });
  const messages = el("div");
  const [view, showRows] = pages("Secrets", ["Secret", "State", "Current version", "Next rotation", "Consumers"], secretRow);
  const none = el("p", { class: "soft", hidden: true }, "No secret is like this.");

  function show() {
    const words = filter.text.toLowerCase().split(/\s+/);
    const found = known.secrets.filter((s) => (!filter.state || s.state === filter.state) &&
      words.every((w) => s.name.toLowerCase().includes(w) || s.description?.toLowerCase().includes(w)));
    found.sort((a, b) => needs(b) - needs(a)); // what needs somebody comes first
    none.hidden = found.length > 0 || !known.complete;
    view.hidden = found.length === 0;
    showRows(found);
    if (filter.text || filter.state) say(count(found.length, "secret"));
  }
  function showAll() {
    const all = Object.values(known.states).reduce((a, b) => a + b, 0);
    const button = (state, text, n) => el("button", {
      type: "button", "aria-pressed": String(filter.state === state), "data-state": state || "all",
      onclick: () => { filter.state = state; showAll(); states.querySelector("[aria-pressed=true]").focus(); },
    }, `${text} ${n.toLocaleString("en")}`);
    const had = states.contains(document.activeElement) ? document.activeElement.dataset.state : "";
    states.replaceChildren(button("", "all", all), ...order.filter((s) => known.states[s]).map((s) => button(s, s, known.states[s])));
    if (had) states.querySelector(`[data-state=${had}]`)?.focus();
    messages.replaceChildren(...known.notes.map((n) => note("warn", n)));
    show();
  }
  const refresh = async () => {
    try {
      await load(showAll, signal);
    } catch (err) {
      if (!signal.aborted) failed(err, messages);
    }
  };
  const slash = (event) => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select, textarea")) return;
    event.preventDefault();
    search.focus();
  };
  document.addEventListener("keydown", slash, { signal });
  main.replaceChildren(
    el("div", { class: "head" }, heading("Secrets"), el("button", { type: "button", onclick: refresh }, "Refresh")),
    el("div", { class: "bar" }, search), states, messages, el("section", { class: "card", "aria-label": "Secrets" }, view, none));
  if (known.secrets.length > 0) showAll();
  refresh();
}

function secretRow(s) {
  const current = s.labels.AWSCURRENT;
  return [
    [el("a", { href: `#/secret/${inPath(s.name)}` }, s.name), s.description && el("small", {}, s.description)],
    [pill(s.state), s.lastFailure && el("small", {}, `${s.lastFailure.step ? `in ${s.lastFailure.step}` : "given up"}. Next: ${s.lastFailure.next}`)],
    current ? [short(current.versionId), current.since && el("small", {}, moment(current.since))] : el("span", { class: "soft" }, "no value yet"),
    nextRotation(s),
    consumersText(s.consumers),
  ];
}

function nextRotation({ rotation, deletionDate }) {
  if (deletionDate) return ["deleted ", moment(deletionDate)];
  if (!rotation.enabled) return el("span", { class: "soft" }, "not scheduled");
  return [moment(rotation.next), rotation.schedule && el("small", {}, rotation.schedule)];
}

function consumersText(consumers) {
  if (!consumers) return el("span", { class: "soft" }, "not known");
  if (consumers.current + consumers.old === 0) return el("span", { class: "soft" }, "none");
  return [`${consumers.current.toLocaleString("en")} on the current version`,
    consumers.old > 0 && el("small", {}, `${consumers.old.toLocaleString("en")} on an old one`)];
}

// ---- One secret -------------------------------------------------------------------

async function secretView(signal, name) {
  const messages = el("div", { role: "alert" });
  const facts = el("div");
  const steps = el("section", { class: "card", hidden: true, "aria-labelledby": "steps" });
  const buttons = el("div", { class: "bar" });
  const state = el("span");
  let busy = false;
  let shown = "";

  async function show() {
    const s = await api(`secrets/${inPath(name)}`, { signal });
    const now = JSON.stringify([s, busy, Math.floor(Date.now() / 60_000)]);
    if (now === shown) return s; // what somebody reads, or has marked, stays
    shown = now;
    state.replaceChildren(pill(s.state));
    facts.replaceChildren(...secretFacts(s));
    offer(s);
    return s;
  }
  function offer(s) {
    const labels = s.labels;
    const rotating = labels.AWSPENDING && labels.AWSPENDING.versionId !== labels.AWSCURRENT?.versionId;
    const button = (text, may, onclick, kind) => el("button", { type: "button", class: kind, disabled: busy || !may, onclick }, text);
    const had = buttons.contains(document.activeElement) ? document.activeElement.textContent : "";
    buttons.replaceChildren(
      button("Rotate now", labels.AWSCURRENT && !rotating && !s.deletionDate, () => act("Rotation", () => begin("secrets/rotate", "PUT", { secretName: name })), "main"),
      button("Roll back", labels.AWSPREVIOUS && !rotating && !s.deletionDate, rollBack),
      button("Cancel the rotation", rotating, cancel));
    if (had) [...buttons.children].find((b) => b.textContent === had && !b.disabled)?.focus();
  }
  async function act(title, action) {
    busy = true;
    for (const b of buttons.children) b.disabled = true;
    messages.replaceChildren();
    try {
      await action(title);
    } catch (err) {
      if (!signal.aborted) failed(err, messages);
    }
    busy = false;
    if (!signal.aborted) await show().catch((err) => { if (!signal.aborted) failed(err, messages); });
  }
  async function begin(path, method, body) {
    const began = await api(path, { method, body, signal });
    await watchRotation(steps, name, began.versionId, signal);
  }
  async function rollBack() {
    if (!await confirmed("Roll back?", `The previous value of ${name} goes through set and test, and becomes current if its target accepts it.`, "Roll back")) return;
    await act("Rollback", () => begin(`secrets/${inPath(name)}/rollback`, "POST"));
  }
  async function cancel() {
    if (!await confirmed("Cancel the rotation?", `The rotation of ${name} ends where it is, and its schedule is turned off.`, "Cancel the rotation")) return;
    await act("Cancelling", async () => {
      const done = await api(`secrets/${inPath(name)}/cancel`, { method: "POST", signal });
      messages.replaceChildren(note("warn", done.message, el("br"), "Next: ", done.next));
    });
  }
  main.replaceChildren(el("p", { class: "back" }, el("a", { href: "#/" }, "← Secrets")), el("div", { class: "head" }, heading(name, state)), buttons, messages, steps, facts);
  try {
    const s = await show();
    const again = setInterval(() => { if (!busy && !document.hidden && !document.querySelector("dialog")) show().catch(() => {}); }, refreshEvery);
    signal.addEventListener("abort", () => clearInterval(again));
    if (s.state === "rotating") act("Rotation", () => watchRotation(steps, name, s.labels.AWSPENDING.versionId, signal));
  } catch (err) {
    if (!signal.aborted) failed(err, messages);
  }
}

function secretFacts(s) {
  const current = s.labels.AWSCURRENT;
  const tile = (name, ...value) => el("div", { class: "tile" }, el("dt", {}, name), el("dd", {}, ...value));
  const parts = [
    s.description && el("p", { class: "soft about" }, s.description),
    s.lastFailure && failureNote(s.lastFailure),
    ...(s.notes ?? []).map((n) => note("warn", n)),
    el("dl", { class: "tiles" },
      tile("Current version", current ? [current.since ? moment(current.since) : "stored", el("small", {}, el("code", {}, current.versionId))] : "no value yet"),
      tile("Next rotation", ...[nextRotation(s)].flat()),
      tile("Last rotation", s.rotation.last ? moment(s.rotation.last) : "never"),
      tile("Consumers", ...[consumersText(s.consumers)].flat())),
    section("Timeline", s.timeline.length > 0
      ? table("Timeline", ["Rotation", "Ended", "Took", "Version", "Failure"], s.timeline.map((e) => [
        pill(e.status), moment(e.ended ?? e.started), e.seconds ? `${e.seconds.toFixed(1)} s` : [], e.versionId ? short(e.versionId) : [],
        e.failure ? [`${e.failure.step ? `${e.failure.step}: ` : ""}${e.failure.message}`, el("small", {}, `Next: ${e.failure.next}`)] : []]))
      : el("p", { class: "soft" }, "CloudTrail tells of no rotation yet; on AWS it is minutes late.")),
    section("Versions", table("Versions", ["Version", "Labels", "Created"], s.versions.map((v) => [
      el("code", {}, v.versionId), v.labels.join(", ") || el("span", { class: "soft" }, "none"), moment(v.created)]))),
    s.consumers?.holders?.length > 0 && section("Who holds a version", table("Who holds a version", ["Consumer", "Version", "Since"],
      s.consumers.holders.map((h) => [h.consumer, [short(h.versionId), h.current ? " current" : " old"], moment(h.since)]))),
  ];
  return parts.filter(Boolean);
}

function section(title, ...content) { return el("section", { class: "card" }, el("h2", {}, title), ...content); }

// watchRotation shows how a rotation goes until it has ended and every consumer
// has changed over, as far as the API can tell: Secrets Manager says that a
// version is pending or current, and names the step only of a failure.
async function watchRotation(view, name, version, signal) {
  const list = el("ol", { class: "steps", "aria-live": "polite" });
  view.replaceChildren(el("h2", { id: "steps" }, "Rotation"), list);
  view.hidden = false;
  const signs = { done: "✓", running: "…", waiting: "○", failed: "✕" };
  let last = "";
  const show = (...steps) => {
    const text = JSON.stringify(steps);
    if (text === last) return; // nothing to be read out again
    last = text;
    list.replaceChildren(...steps.map(([state, ...content]) => el("li", { class: state },
      el("span", { "aria-hidden": "true" }, signs[state]), el("span", {}, el("span", { class: "hidden" }, `${state}: `), ...content))));
  };
  const started = ["done", `started, to version ${version}`];
  for (let idle = 0; idle < 60;) {
    const r = await api(`secrets/${inPath(name)}/rotation?wait=2s&versionId=${encodeURIComponent(version)}`, { signal });
    const f = r.failure && `${r.failure.step ? `${r.failure.step} failed` : "given up"}: ${r.failure.message}. Next: ${r.failure.next}`;
    if (r.status === "failed") return show(started, ["failed", f]);
    if (r.status === "running") {
      show(started, f ? ["failed", f, " (it is tried again)"] : ["running", "create, set and test the new value"], ["waiting", "make it current"], ["waiting", "consumers change over"]);
      continue;
    }
    const c = r.consumers;
    const over = !c || c.old === 0;
    const consumers = !c ? "who holds which version is not known" : over ? `consumers changed over: ${c.current} on the new version`
      : `consumers change over: ${c.current} on the new version, ${c.old} on the old`;
    show(started, ["done", "created, set and tested"], ["done", r.status === "finished" ? "current" : r.message], [over ? "done" : "running", consumers]);
    if (over) return;
    idle += 1;
    await new Promise((resolve) => setTimeout(resolve, 1000));
    signal.throwIfAborted();
  }
}

// ---- The audit --------------------------------------------------------------------

const spans = { "1h": "the last hour", "24h": "the last day", "168h": "the last week" };

function auditView(signal) {
  const report = el("div", { "aria-live": "polite" });
  const span = el("select", { "aria-label": "Of which time", onchange: () => show() },
    Object.entries(spans).map(([value, text]) => el("option", { value, selected: value === "24h" }, text)));
  const show = async () => {
    report.replaceChildren(el("p", { class: "soft card" }, "Reading the trail"));
    try {
      report.replaceChildren(...auditReport(await api(`audit?since=${span.value}`, { signal })));
    } catch (err) {
      if (!signal.aborted) failed(err, report);
    }
  };
  main.replaceChildren(el("div", { class: "head" }, heading("Audit"), span), report);
  show();
}

function auditReport(a) {
  const laggards = a.secrets.flatMap((s) => s.laggards.map((l) => ({ secret: s.name, ...l })));
  const proven = laggards.filter((l) => l.proven);
  const [view, show] = pages("Secrets", ["Secret", "Reads", "Readers", "Writes", "Denied", "Rotations", "Last read"], (s) => [
    el("a", { href: `#/secret/${inPath(s.name)}` }, s.name), s.reads.toLocaleString("en"), s.readers.toLocaleString("en"), s.writes.toLocaleString("en"),
    s.denied.toLocaleString("en"), s.failedRotations ? `${s.rotations}, ${s.failedRotations} failed` : String(s.rotations), s.lastRead ? moment(s.lastRead) : []]);
  show(a.secrets);
  const parts = [
    el("p", { class: "soft" }, `From ${count(a.coverage.events, "event")} of the trail.`),
    ...a.coverage.notes.map((n) => note("warn", n)),
    proven.length > 0
      ? note("bad", el("strong", {}, `${count(proven.length, "laggard")}: `), proven.map((l) => `${l.principal} uses a superseded version of ${l.secret}`).join("; "))
      : a.coverage.events > 0 && note("good", "✓ Nobody is seen to use a superseded version."),
    a.findings.length > 0 && section("Findings", table("Findings", ["What", "Severity", "Secret", "When"],
      a.findings.map((f) => [f.text, pill(f.severity), f.secret ?? "", moment(f.at)]))),
    a.denied.length > 0 && section("Denied calls", table("Denied calls", ["Principal", "Action", "Secret", "Calls", "Last"],
      a.denied.map((d) => [d.principal, d.action, d.secret ?? "", d.count.toLocaleString("en"), moment(d.last)]))),
    section("Secrets", a.secrets.length > 0 ? view : el("p", { class: "soft" }, "Nobody has read or written one.")),
  ];
  return parts.filter(Boolean);
}

// ---- Which view -------------------------------------------------------------------

function heading(text, ...more) {
  document.title = `${text} - Rekey`;
  return el("h1", { tabindex: "-1" }, el("span", {}, text), ...more);
}

// failed shows an error where there is room for it; without a valid token there
// is nothing to show.
async function failed(err, view) {
  view.replaceChildren(refusalNote(err));
  if (err.status !== 403) return;
  await api("secrets?limit=1").catch((again) => { if (again.status === 403) signOut("The token is not accepted any more: sign in again."); });
}

let leaveView = () => {};

function route() {
  leaveView();
  if (!sessionStorage.getItem(tokenKey)) return signIn();
  const leave = new AbortController();
  leaveView = () => leave.abort();
  nav.hidden = false;
  const [, view = "", ...rest] = location.hash.split("/");
  for (const link of nav.querySelectorAll("a")) {
    if (link.hash === `#/${view === "audit" ? "audit" : ""}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (view === "secret") secretView(leave.signal, decodeURIComponent(rest.join("/")));
  else if (view === "audit") auditView(leave.signal);
  else listView(leave.signal);
  main.querySelector("h1").focus();
}

document.querySelector("#leave").addEventListener("click", () => signOut());
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault(); // the part after # names the view
  main.querySelector("h1").focus();
});
window.addEventListener("hashchange", route);
route();
