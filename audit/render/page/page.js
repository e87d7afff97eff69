// ---- What is in the report --------------------------------------------------------

const secrets = table("secrets");
const principals = table("principals");
const [accesses, versions, rotations, deletions, laggards, leases, controls] =
  ["accesses", "versions", "rotations", "deletions", "laggards", "leases", "controls"].map((name) => {
    secrets.adopt(name, { secret: "name", secretArn: "arn" });
    return secrets.inner(name);
  });
const [findings, denied, changes, firstSeen] = ["findings", "denied", "changes", "firstSeen"].map((name) => table(name));
const adoption = versions.inner("adoption");
versions.adopt("adoption", { version: "versionId", secret: "secret", secretArn: "secretArn" });

findings.derive("gravity", "number", (i) => ["low", "medium", "high"].indexOf(findings.value("severity", i)) + 1);
rotations.derive("when", "time", (i) => rotations.number("started", i) || rotations.number("ended", i));
rotations.derive("took", "number", (i) => (rotations.number("started", i) && rotations.number("ended", i) ? rotations.number("ended", i) - rotations.number("started", i) : 0));
accesses.derive("lastVersion", "text", (i) => {
  const [from, to] = accesses.range("versions", i);
  return to > from ? accesses.inner("versions").number("versionId", to - 1) : 0;
});

// placesBy are the rows of a table by one of its columns' texts.
function placesBy(of, column) {
  const places = new Map();
  for (let i = of.rows - 1; i >= 0; i--) places.set(of.value(column, i), i);
  places.delete("");
  return places;
}
const [byArn, byName, byId] = [placesBy(secrets, "arn"), placesBy(secrets, "name"), placesBy(principals, "id")];

// secretOf is the place of the secret that a row is about.
function secretOf(row) {
  let [of, i] = [row.table, row.i];
  while (of.parent) [of, i] = [of.parent, of.outer[i]];
  if (of === secrets) return i;
  return byArn.get(row.secretArn) ?? (row.secretArn ? undefined : byName.get(row.secret));
}

// about are the rows of a table that are about a secret.
function about(of, secret) {
  return Array.from({ length: of.rows }, (_, i) => i).filter((i) => {
    const arn = of.number("secretArn", i);
    return arn || secret.arn ? arn === secrets.number("arn", secret.i) : of.number("secret", i) === secrets.number("name", secret.i);
  });
}

// by are the rows of a table whose column names a principal.
function by(of, principal, column = "principal") {
  const id = principals.number("id", principal.i);
  return Array.from({ length: of.rows }, (_, i) => i).filter((i) => of.number(column, i) === id);
}

// ---- Cells ------------------------------------------------------------------------

// shortPrincipal is a principal without what its account has in common with all
// others.
function shortPrincipal(id) {
  const parts = id.split(":");
  if (parts.length < 6 || parts[0] !== "arn") return id;
  const [kind, ...names] = parts.slice(5).join(":").split("/");
  if (names.length === 0) return `${kind} of ${parts[4]}`;
  return `${kind} ${["role", "user"].includes(kind) ? names.at(-1) : names.join("/")}`;
}

const link = (row, ...content) => el("a", { href: `#/${row.table.name}/${row.i}` }, ...content);

function principal(id) {
  if (!id) return soft("-");
  const i = byId.get(id);
  return el(i === undefined ? "span" : "a", { title: id, href: i !== undefined && `#/principals/${i}` }, shortPrincipal(id));
}

function secret(row) {
  if (!row.secret && !row.secretArn) return soft("-");
  const i = secretOf(row);
  return el(i === undefined ? "span" : "a", { title: row.secretArn || row.secret, href: i !== undefined && `#/secrets/${i}` }, row.secret || row.secretArn);
}

// An old version is told from the current one in words.
const ofVersion = (row, id = row.versionId) => id && [version(id), " ", secrets.value("current", secretOf(row)) === id && pill("current")];

const good = ["mfa", "temporary-key", "imdsv2", "endpoint"]; // flags that say what is as it should be
const words = (row) => [...new Set([...(row.flags ?? []).filter((f) => !good.includes(f)), ...(row.labels ?? [])])]
  .map((word) => [" ", row.labels?.includes(word) ? pill("", word) : pill("decoy", word)]);

const some = (list, more = 0) => [list[0], list.length + more > 1 && soft(` +${number(list.length - 1 + more)}`)];
const seconds = (s) => (s <= 0 ? "under 1 s" : s < 120 ? `${Math.round(s)} s` : `${Math.round(s / 60)} min`);
const events = (ids, more = 0) => ids.length > 0 && el("details", {}, el("summary", {}, count(ids.length + more, "event")),
  el("ul", { class: "ids" }, ids.map((id) => el("li", {}, el("code", {}, id))), more > 0 && el("li", {}, `and ${number(more)} more`)));

function secretState(s) {
  const failed = s.table.rowsOf("rotations", s.i).filter((i) => ["failed", "abandoned"].includes(rotations.value("status", i))).length;
  return [s.laggards > 0 && [" ", pill("silent", count(s.laggards, "laggard"))], s.decoy && [" ", pill("decoy")],
    failed > 0 && [" ", pill("failed", `${number(failed)} failed`)], (s["state.deleted"] || s.deletions > 0) && [" ", pill("deleted", "deletion")]];
}

// ---- Lists ------------------------------------------------------------------------

const head = {
  secret: { head: "Secret", by: "secret", class: "name", show: secret },
  principal: { head: "Principal", by: "principal", class: "name", show: (r) => principal(r.principal) },
};
const at = (title, column) => ({ head: title, by: column, class: "t", show: (r) => time(r[column]) });
const sum = (title, column) => ({ head: title, by: column, n: true, show: (r) => (r[column] ? number(r[column]) : soft("0")) });
const open = (title, column, show = (r) => r[column] || soft("-")) => ({ head: title, by: column, show: (r) => link(r, show(r)) });

const specs = [
  { table: findings, title: "Findings", facet: "severity", columns: [
    { head: "Severity", by: "gravity", show: (r) => pill(r.severity) },
    { head: "What", by: "text", class: "what", show: (r) => [link(r, r.text), r.versionId && [" ", version(r.versionId)], el("small", {}, r.kind), r.next && copied(r.next), events(r.events, r.moreEvents)] },
    head.secret, { ...head.principal, show: (r) => [principal(r.principal), r.labels.map((l) => [" ", pill("", l)])] }, at("When", "at")] },
  { table: secrets, title: "Secrets", columns: [
    { head: "Secret", by: "name", class: "who", show: (r) => [link(r, r.name), secretState(r), el("small", {}, r.arn || "known by its name only")] },
    { head: "Current", by: "currentSince", class: "t", show: (r) => [version(r.current), r.currentSince > 0 && el("small", {}, "since ", time(r.currentSince))] },
    sum("Reads", "reads"), sum("Principals", "accesses"), sum("Writes", "writes"), sum("Denied", "denied"), sum("Laggards", "laggards"),
    { head: "Last read", by: "lastRead", class: "t", show: (r) => [time(r.lastRead), r.lastReader && el("small", {}, "by ", principal(r.lastReader))] }] },
  { table: principals, title: "Principals", columns: [
    { head: "Principal", by: "id", class: "who", show: (r) => [link(r, shortPrincipal(r.id)), words(r), el("small", {}, r.id)] },
    sum("Secrets", "secrets"), sum("Tried", "tried"), sum("Reads", "reads"), sum("Writes", "writes"), sum("Denied", "denied"), at("First", "first"), at("Last", "last")] },
  { table: accesses, title: "Who used what", columns: [
    { ...head.principal, class: "who", show: (r) => [principal(r.principal), words(r)] }, head.secret,
    { head: "Reads", by: "reads", n: true, show: (r) => link(r, number(r.reads)) }, sum("Writes", "writes"), sum("Denied", "denied"),
    { head: "Last version", by: "lastVersion", class: "t", show: (r) => ofVersion(r, r.lastVersion) }, at("First", "first"), at("Last", "last"),
    { head: "From", by: "ips", class: "t", show: (r) => some(r.ips, r["more.ips"]) }] },
  { table: versions, title: "Versions", columns: [
    { ...open("Version", "versionId", (r) => version(r.versionId)), show: (r) => [link(r, version(r.versionId)), " ", secrets.value("current", secretOf(r)) === r.versionId && pill("current"), r.labels.map((l) => el("small", {}, l))] },
    head.secret, at("Since", "since"), at("Until", "until"), sum("Reads", "reads"), sum("Readers", "readers"),
    { head: "Read it last", by: "holders", n: true, show: (r) => [number(r.holders), r.readers > 0 && el("meter", { min: 0, max: r.readers, value: r.holders, "aria-label": `${r.holders} of ${r.readers} readers` })] },
    sum("Leases", "leases"), at("Last read", "lastRead")] },
  { table: adoption, title: "Adoption: who moved to which version", columns: [
    at("First read", "at"), head.principal, head.secret, { head: "Version", by: "version", class: "t", show: (r) => ofVersion(r, r.version) }, { head: "From", by: "from", show: (r) => version(r.from) || soft("no other") },
    { head: "On it then", by: "on", n: true, show: (r) => [`${number(r.on)} of ${number(r.of)}`, el("meter", { min: 0, max: r.of, value: r.on, "aria-label": `${r.on} of ${r.of} principals` })] }] },
  { table: rotations, title: "Rotations", facet: "status", columns: [
    { head: "Started", by: "when", class: "t", show: (r) => link(r, r.started ? time(r.started) : "before the records") }, head.secret,
    { head: "Status", by: "status", show: (r) => [pill(r.status), r.failures > 0 && el("small", {}, count(r.failures, "failure"))] },
    { head: "Took", by: "took", n: true, show: (r) => (r.started && r.ended ? seconds(r.took) : soft("-")) },
    { head: "Version", by: "versionId", class: "t", show: (r) => ofVersion(r) },
    { head: "Asked for by", by: "requestedBy", show: (r) => (r.requestedBy ? principal(r.requestedBy) : "the schedule") },
    { head: "Where it failed", by: "step", show: (r) => [r.step, r.message && el("small", {}, r.message)] }] },
  { table: denied, title: "Denied calls", columns: [
    { head: "Calls", by: "count", n: true, show: (r) => link(r, number(r.count)) }, head.principal, { head: "Action", by: "action", show: (r) => r.action }, head.secret, at("First", "first"), at("Last", "last"),
    { head: "Evidence", show: (r) => events(r.events, Math.max(0, r.count - r.events.length)) }] },
  { table: changes, title: "Changes of who can read", columns: [
    at("When", "at"), { ...open("Action", "action"), show: (r) => [link(r, r.action), r.failed && [" ", pill("failed")]] }, head.principal, head.secret, { head: "What", by: "detail", show: (r) => r.detail }] },
  { table: firstSeen, title: "First seen", facet: "kind", columns: [
    at("When", "at"), { head: "New", by: "kind", show: (r) => r.kind }, open("What", "value", (r) => (r.kind === "principal" ? shortPrincipal(r.value) : r.value)), head.secret, head.principal] },
  { table: controls, title: "Security Hub", facet: "status", columns: [
    open("Control", "id"), head.secret, { head: "Verdict", by: "status", show: (r) => pill(r.status) }, { head: "Severity", by: "severity", show: (r) => r.severity }, { head: "Reason", by: "reason", show: (r) => r.reason }] },
  { table: deletions, title: "Deletions", columns: [
    { head: "Scheduled", by: "scheduled", class: "t", show: (r) => link(r, time(r.scheduled)) }, head.secret, { head: "By", by: "by", show: (r) => principal(r.by) },
    { head: "Gone", by: "due", class: "t", show: (r) => (r.restored ? "restored" : time(r.due)) }, at("Restored", "restored"), sum("Asked for after", "attempts")] },
  { table: leases, title: "Leases", columns: [
    open("Consumer", "consumer"), head.secret, { head: "Version", by: "versionId", class: "t", show: (r) => ofVersion(r) }, at("Since", "since"), at("Expires", "expires")] },
  { table: laggards, title: "Laggards", facet: "class", columns: [
    { head: "Who", by: "principal", class: "who", show: (r) => (r.principal ? principal(r.principal) : `consumer ${r.consumer}`) }, head.secret, { head: "Evidence", by: "evidence", show: (r) => link(r, pill(r.class, r.evidence)) },
    { head: "Version", by: "versionId", class: "t", show: (r) => version(r.versionId) }, at("Last read", "lastRead"), at("Lease until", "expires"), at("Version changed", "since")] },
].map((spec) => ({ ...spec, name: spec.table.name }));

// specOf is how the rows of a table are listed: where nothing is said of it, by
// its columns.
function specOf(of) {
  return specs.find((s) => s.table === of) ?? {
    name: of.name, table: of, title: labels[of.name] ?? label(of.name.split(".").at(-1)),
    columns: [...of.columns.values()].filter((c) => c.kind !== "rows").map((c) => ({ head: label(c.name), by: c.name, n: c.kind === "number", class: c.kind === "time" && "t", show: (r) => shown(c, r) })),
  };
}

// ---- One row ------------------------------------------------------------------------

const labels = {
  arn: "ARN", secretArn: "ARN of the secret", versionId: "Version", ips: "Addresses", kmsEvents: "Events of KMS", moreEvents: "More events", lastVersion: "Last version",
  requestedBy: "Asked for by", everyDays: "Days between rotations", timelineStep: "Seconds in an interval", next: "Next", policy: "Policy of what it did", at: "When", "secrets.accesses.versions": "Reads by version",
};
const label = (name) => labels[name] ?? name.replace(/[A-Z]/g, (c) => ` ${c.toLowerCase()}`).replace(/^./, (c) => c.toUpperCase());
const who = ["principal", "lastReader", "by", "requestedBy", "id"];

// shown is a value by its column's kind; null where there is none.
function shown(column, row) {
  const value = row[column.name];
  const name = column.name.split(".").at(-1);
  switch (column.kind) {
    case "flag": return value ? "yes" : null;
    case "time": return value ? time(value) : null;
    case "number": return value || !column.name.startsWith("more") ? number(value) : null;
    case "texts": return value.length > 0 ? el("ul", { class: "plain" }, value.map((text) => el("li", {}, byId.has(text) ? principal(text) : text))) : null;
    case "json": return value ? policy(value) : null;
  }
  if (!value) return null;
  if (name === "next" && row.table === findings) return copied(value);
  if (byId.has(value) && row.table !== principals) return [principal(value), el("small", {}, value)];
  return who.includes(name) || !/id$|arn$|version|event$|function|key/i.test(name) ? value : el("code", {}, value);
}

function policy(text) {
  let pretty = text;
  try {
    pretty = JSON.stringify(JSON.parse(text), null, 2);
  } catch { /* it is shown as it is */ }
  const box = copied(pretty);
  box.classList.add("policy");
  return box;
}

// facts are a row's members, those of a struct within it under a title of their
// own.
function facts(row) {
  const groups = new Map();
  const hidden = ["lastVersion", "gravity", "when", "took", "state", "coverage.integrity"]; // made here, or said by what follows
  for (const c of row.table.columns.values()) {
    if (c.kind === "rows" || hidden.includes(c.name)) continue;
    const dot = c.name.lastIndexOf(".");
    const group = c.name.startsWith("more.") ? "" : c.name.slice(0, Math.max(0, dot));
    const value = shown(c, row);
    const name = c.name.startsWith("more.") ? `More ${label(c.name.slice(5)).toLowerCase()}` : label(c.name.slice(dot + 1));
    if (value != null) groups.set(group, [...(groups.get(group) ?? []), el("div", { class: c.kind === "json" && "wide" }, el("dt", {}, name), el("dd", {}, value))]);
  }
  const titles = { state: "What Secrets Manager says", coverage: "Coverage", "coverage.integrity": "Integrity of the log files" };
  const known = (group) => group !== "state" || row.state;
  return new Map([...groups].filter(([group]) => known(group) && (group !== "coverage.integrity" || row["coverage.integrity"])).map(([group, items]) => [group,
    el("section", { class: "card" }, titles[group] && el("h2", {}, titles[group]), el("dl", { class: "facts" }, items))]));
}

const rowTitle = {
  secrets: (r) => [r.name, secretState(r)], principals: (r) => [shortPrincipal(r.id), words(r)], "secrets.versions": (r) => ["Version ", r.versionId],
  "secrets.accesses": (r) => [shortPrincipal(r.principal), " and ", r.secret], findings: (r) => [r.text, " ", pill(r.severity)], report: () => "Coverage",
};

// record shows all that the report has of one row, and what else is about it.
function record(of, i) {
  const row = of.row(i);
  const spec = specOf(of);
  const parts = facts(row);
  const inner = (column, without = []) => {
    const rows = of.rowsOf(column, i);
    return rows.length > 0 && list(specOf(of.inner(column)), { rows, without });
  };
  const part = (where, rows, without) => rows.length > 0 && list(specOf(where), { rows, without });
  const figures = of.rows > 0 && of.columns.has("timeline") && row.timeline > 0 && el("details", { class: "card" }, el("summary", {}, "Reads over time, in figures"), inner("timeline"));
  const rest = [...of.columns.values()].filter((c) => c.kind === "rows" && c.name !== "timeline").map((c) => c.name);
  const body = {
    secrets: () => [part(findings, about(findings, row), ["Secret"]), inner("laggards", ["Secret"]),
      row.timeline > 0 && el("section", { class: "card" }, el("h2", {}, "Reads over time"), chart(row)), parts.get(""),
      ["accesses", "versions", "rotations", "deletions", "leases", "controls"].map((c) => inner(c, ["Secret"])),
      [denied, changes, firstSeen].map((t) => part(t, about(t, row), ["Secret"])), parts.get("state"), figures],
    principals: () => [part(findings, by(findings, row), ["Principal"]), part(accesses, by(accesses, row), ["Principal"]), parts.get(""),
      [laggards, adoption, denied, changes, firstSeen].map((t) => part(t, by(t, row), ["Principal", "Who"])), part(rotations, by(rotations, row, "requestedBy"))],
    "secrets.versions": () => [...parts.values(), inner("adoption", ["Secret", "Version"])],
    report: () => [...parts.values(), inner("coverage.skipped")],
  }[of.name] ?? (() => [...parts.values(), rest.map((c) => inner(c)), figures]);
  const up = of === table("report") ? "" : specs.includes(spec) && el("p", { class: "back" }, el("a", { href: `#/${of.name}` }, `← ${spec.title}`));
  const name = { secrets: row.arn || "known by its name only", principals: row.id }[of.name];
  return [up, heading(rowTitle[of.name]?.(row) ?? `${spec.title}: ${number(i + 1)}`), name && el("p", { class: "soft" }, el("code", {}, name)),
    (row.secret || row.secretArn) && el("p", {}, "Secret: ", secret(row)), ...body()];
}

// ---- Views --------------------------------------------------------------------------

const classes = {
  "reads-old": ["Laggards that were given an old version", "The records show each of them with an old version after it was superseded, and with no newer one since."],
  "holds-old": ["Laggards with a lease on an old version", "Each may use it until its lease runs out."],
  silent: ["Silent since the version changed", "This proves nothing: they may be gone, or live on a cached value."],
};

function attention() {
  const all = Array.from({ length: laggards.rows }, (_, i) => i);
  const known = Object.keys(classes);
  return [
    findings.rows > 0 && list(specOf(findings)),
    ...known.map((kind) => {
      const rows = all.filter((i) => (known.includes(laggards.value("class", i)) ? laggards.value("class", i) : "silent") === kind);
      if (rows.length === 0) return null;
      const [title, text] = classes[kind];
      const view = list({ ...specOf(laggards), title, facet: "" }, { rows, name: kind, without: kind === "holds-old" ? ["Last read"] : ["Lease until"] });
      view.querySelector(".head").after(el("p", { class: "soft" }, text));
      return view;
    }),
  ];
}

// whole is a list with all of its rows. That of rotations has a drawing of them.
function whole(spec) {
  const view = list(spec, { level: "h1" });
  if (spec.table === rotations) view.querySelector(".head").after(rotationChart(rotations) ?? "");
  return view;
}

const places = [
  ["", "Attention", findings], [secrets.name, "Secrets", secrets], [principals.name, "Principals", principals], [accesses.name, "Who used what", accesses],
  [versions.name, "Versions", versions], [adoption.name, "Adoption", adoption], [rotations.name, "Rotations", rotations], [denied.name, "Denied", denied], [changes.name, "Changes", changes],
  [firstSeen.name, "First seen", firstSeen], [controls.name, "Security Hub", controls], [deletions.name, "Deletions", deletions], [leases.name, "Leases", leases],
  [laggards.name, "Laggards", laggards], ["report/0", "Coverage"],
].filter(([name, , of]) => !of || of.rows > 0 || of === findings || of === secrets);

const nav = document.querySelector("#views");
const view = document.querySelector("#view");
nav.append(...places.map(([name, title, of]) => el("a", { href: `#/${name}` }, title, of && [" ", soft(number(of.rows))])));
nav.hidden = false;

function heading(...content) { return el("h1", { tabindex: "-1" }, ...content); }

let last = null; // the path that the reader comes from

function route() {
  const path = location.hash.split("?")[0];
  if (path && !path.startsWith("#/")) return; // a place within the page
  const [name = "", i = ""] = path.slice(2).split("/");
  const of = tables.get(name);
  const isRow = of && i !== "" && Number(i) < of.rows;
  const spec = of && specs.find((s) => s.table === of);
  document.documentElement.dataset.view = isRow ? "row" : spec ? "list" : "attention";
  let content = attention;
  if (isRow) content = () => record(of, Number(i));
  else if (spec) content = () => whole(spec);
  view.replaceChildren(...[content()].flat(3).filter(Boolean));
  const title = view.querySelector("h1")?.textContent;
  document.title = isRow || spec ? `${title} - Secrets audit` : "Secrets audit";
  for (const a of nav.children) {
    const here = a.hash === `#/${isRow && name !== "report" ? name : isRow ? "report/0" : spec ? name : ""}`;
    if (here) a.setAttribute("aria-current", isRow && name !== "report" ? "true" : "page");
    else a.removeAttribute("aria-current");
  }
  if (last !== null && last !== path) arrive();
  last = path;
}

// arrive puts the focus where the reader goes on: on the row that they come back
// from, or at the beginning.
function arrive() {
  const from = [...view.querySelectorAll("tbody a")].find((a) => a.hash === last);
  if (from) return from.focus();
  scrollTo(0, 0);
  (view.querySelector("h1") ?? document.querySelector("#main")).focus();
}

document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault(); // the part after # names the view
  document.querySelector("#main").focus();
});
addEventListener("hashchange", route);
document.documentElement.classList.add("live");
route();
performance.mark("usable");
