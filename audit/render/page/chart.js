// ---- Reads over time ------------------------------------------------------------

// The chart's geometry, in the units of its view box.
const plot = { width: 1000, left: 176, right: 972, top: 34, bottom: 190, lanes: 208, lane: 20, axis: 40 };
const maxLanes = 12;
const maxTicks = 12;
const minColumns = 12;
const colours = 5;
const day = 86_400_000;

const svg = (tag, properties, ...children) => built(document.createElementNS("http://www.w3.org/2000/svg", tag), properties, children);
const titled = (tag, properties, title, ...text) => svg(tag, properties, ...text, svg("title", {}, title));
const round = (x) => Math.round(x * 10) / 10;

// chart draws a secret's reads: columns coloured by version, and below them a lane
// for each reader. Vertical lines show when a version became current, and when a
// rotation failed. It is null for a secret that was not read.
function chart(secret) {
  const part = (column) => secret.table.rowsOf(column, secret.i).map((i) => secret.table.inner(column).row(i));
  const [reads, versions, accesses, rotations] = ["timeline", "versions", "accesses", "rotations"].map(part);
  if (reads.length === 0 || !secret.timelineStep) return null;
  const scale = scaleOf(reads, versions, secret.timelineStep * 1000);
  const look = colouring(secret, versions, reads);
  const lanes = accesses.filter((a) => a.timeline > 0);
  const bottom = plot.lanes + plot.lane * Math.min(lanes.length, maxLanes) + 4;
  const drawing = svg("svg", { viewBox: `0 0 ${plot.width} ${bottom + plot.axis}`, role: "img", "aria-label": `${count(secret.reads, "read")} of ${secret.name} over time, by version` },
    timeAxis(scale, bottom), columns(reads, scale, look, readsTitle),
    lanes.slice(0, maxLanes).map((a, i) => lane(a, plot.lanes + i * plot.lane, scale, look)),
    [plot.bottom, bottom].map((y) => svg("line", { class: "axis", x1: plot.left, x2: plot.right, y1: y, y2: y })),
    marks(versions, rotations, scale, bottom));
  return el("figure", { class: "chart" },
    el("div", { class: "legend" }, look.legend.map(([kind, text]) => el("span", {}, el("i", { class: `dot ${kind}` }), text))),
    el("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "Reads over time" }, drawing),
    lanes.length > maxLanes && el("figcaption", { class: "soft" }, `and ${count(lanes.length - maxLanes, "more reader")}, in the list of who used it`));
}

// scaleOf spans all reads and all changes of version, and at least so many columns
// that one of them is not the whole chart.
function scaleOf(reads, versions, step) {
  const since = versions.map((v) => v.since).filter(Boolean).map((at) => Math.floor(at / step) * step);
  let from = Math.min(reads[0].at, ...since);
  let to = Math.max(reads.at(-1).at, ...since) + step;
  for (let n = (to - from) / step; n < minColumns; n += 2) [from, to] = [from - step, to + step];
  const x = (at) => plot.left + ((at - from) / (to - from)) * (plot.right - plot.left);
  const width = x(from + step) - plot.left;
  return { from, to, step, x, column: round(Math.max(width - Math.min(1, width / 5), 0.8)) };
}

// colouring gives the latest versions a colour each, and the older ones one
// together.
function colouring(secret, versions, reads) {
  const kinds = new Map([["", "vx"]]);
  const places = new Map(versions.map((v, i) => [v.versionId, i + 1])); // the oldest is the first
  const give = (id) => { if (!kinds.has(id)) kinds.set(id, kinds.size - 1 < colours ? `v${kinds.size - 1}` : "vo"); };
  if (secret.current) give(secret.current);
  const latest = versions.toReversed();
  for (const v of latest) if (v.reads > 0 || v.since) give(v.versionId);
  const legend = latest.filter((v) => kinds.get(v.versionId)?.match(/^v\d/) && (v.reads > 0 || v.versionId === secret.current))
    .map((v) => [kinds.get(v.versionId), v.versionId.slice(0, 8) + (v.versionId === secret.current ? ", current" : "")]);
  const older = latest.filter((v) => kinds.get(v.versionId) === "vo").length;
  if (older > 0) legend.push(["vo", `${older} older`]);
  if (reads.some((r) => !r.versionId)) legend.push(["vx", "version not known"]);
  return { legend, kind: (id) => kinds.get(id) ?? "vo", place: (id) => places.get(id) ?? 0 };
}

// rotationChart draws how many rotations ended how over time; null where there
// are too few to be drawn. Failures lie on top, and are told by their number.
function rotationChart(rotations) {
  const times = Array.from({ length: rotations.rows }, (_, i) => rotations.value("when", i));
  const known = times.filter(Boolean);
  if (known.length < 3) return null;
  const first = known.reduce((a, b) => Math.min(a, b));
  const last = known.reduce((a, b) => Math.max(a, b));
  const step = tickSteps.find((s) => last - first <= s * 60) ?? tickSteps.at(-1);
  const sums = new Map();
  times.forEach((when, i) => {
    if (!when) return;
    const at = Math.floor(when / step) * step;
    const status = rotations.value("status", i);
    const key = `${at} ${status}`;
    sums.set(key, { at, versionId: status, reads: (sums.get(key)?.reads ?? 0) + 1 });
  });
  const kinds = ["succeeded", "running", "abandoned", "failed"];
  const items = [...sums.values()].sort((a, b) => a.at - b.at);
  const scale = scaleOf(items, [], step);
  const look = { kind: (status) => status, place: (status) => kinds.indexOf(status) };
  const totals = kinds.map((kind) => [kind, items.reduce((sum, item) => sum + (item.versionId === kind ? item.reads : 0), 0)]).filter(([, n]) => n > 0);
  const title = (item) => `${stamp(item.at)}: ${count(item.reads, "rotation")} ${item.versionId} in ${span(step)}`;
  return el("figure", { class: "chart" },
    el("div", { class: "legend" }, totals.map(([kind, n]) => el("span", {}, el("i", { class: `dot ${kind}` }), `${number(n)} ${kind}`))),
    el("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "Rotations over time" },
      svg("svg", { viewBox: `0 0 ${plot.width} ${plot.bottom + plot.axis}`, role: "img", "aria-label": `Rotations over time: ${totals.map(([kind, n]) => `${number(n)} ${kind}`).join(", ")}` },
        timeAxis(scale, plot.bottom), columns(items, scale, look, title),
        svg("line", { class: "axis", x1: plot.left, x2: plot.right, y1: plot.bottom, y2: plot.bottom }))));
}

// columns draws the sums of each interval, the lowest place at the bottom.
function columns(reads, scale, look, title) {
  const totals = new Map();
  for (const r of reads) totals.set(r.at, (totals.get(r.at) ?? 0) + r.reads);
  const ticks = countTicks(Math.max(...totals.values()));
  const y = (n) => plot.bottom - (n / ticks.at(-1)) * (plot.bottom - plot.top);
  const below = new Map();
  return [
    ticks.map((n) => [
      svg("line", { class: "grid", x1: plot.left, x2: plot.right, y1: y(n), y2: y(n) }),
      svg("text", { x: plot.left, dx: -8, y: y(n), dy: 4, "text-anchor": "end" }, compact(n))]),
    reads.toSorted((a, b) => a.at - b.at || look.place(a.versionId) - look.place(b.versionId)).map((r) => {
      const sum = (below.get(r.at) ?? 0) + r.reads;
      below.set(r.at, sum);
      return titled("rect", { class: look.kind(r.versionId), x: round(scale.x(r.at)), y: round(y(sum)), width: scale.column, height: round(plot.bottom - y(r.reads)) }, title(r, scale.step));
    })];
}

// lane draws a reader's row. A cell shows the latest version of its interval: when
// a reader moves on, its lane changes colour.
function lane(access, y, scale, look) {
  const cells = new Map();
  for (const i of access.table.rowsOf("timeline", access.i)) {
    const r = access.table.inner("timeline").row(i);
    const cell = cells.get(r.at) ?? { id: r.versionId, titles: [] };
    if (look.place(r.versionId) > look.place(cell.id)) cell.id = r.versionId;
    cell.titles.push(readsTitle(r, scale.step));
    cells.set(r.at, cell);
  }
  return [
    titled("text", { class: "who", x: plot.left, dx: -8, y: y + plot.lane / 2 + 4, "text-anchor": "end" }, access.principal, cut(shortPrincipal(access.principal).replace(/^role /, ""), 23)),
    [...cells].map(([at, cell]) => titled("rect", { class: look.kind(cell.id), rx: 1.5, x: round(scale.x(at)), y: y + 3, width: Math.max(scale.column, 2), height: plot.lane - 6 }, cell.titles.join("; ")))];
}

// marks draws when versions became current, and when rotations failed. A text is
// left out where it would run into the one before.
function marks(versions, rotations, scale, bottom) {
  const all = [
    ...versions.filter((v) => v.since).map((v) => ({ at: v.since, kind: "became", text: `→ ${v.versionId.slice(0, 8)}`, title: `version ${v.versionId} became current at ${stamp(v.since)}` })),
    ...rotations.filter((r) => ["failed", "abandoned"].includes(r.status) && r.ended >= scale.from && r.ended <= scale.to)
      .map((r) => ({ at: r.ended, kind: "failed", text: `✕ ${r.status}`, title: `rotation ${r.status} at ${stamp(r.ended)} ${r.step ? `in ${r.step}` : r.message}` })),
  ].sort((a, b) => a.at - b.at);
  const room = 78;
  let free = 0;
  return all.map(({ at, kind, text, title }) => {
    const x = round(scale.x(at));
    const left = x + room > plot.right + 24; // the text ends at the line
    const begin = left ? x + 4 - room : x - 4;
    const fits = begin >= free;
    if (fits) free = begin + room;
    return [
      titled("line", { class: kind, x1: x, x2: x, y1: 22, y2: bottom }, title),
      fits && titled("text", { class: kind, x: left ? x + 4 : x - 4, y: 15, "text-anchor": left ? "end" : "start" }, title, text)];
  });
}

function readsTitle(r, step) {
  const of = r.versionId || "a version that is not known";
  return `${stamp(r.at)}: ${count(r.reads, "read")} of ${of}${step > 1000 ? ` in ${span(step)}` : ""}`;
}

// ---- Axes -----------------------------------------------------------------------

const tickSteps = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200,
  86_400, 172_800, 604_800, 1_209_600, 2_419_200, 7_862_400, 15_724_800, 31_449_600].map((s) => s * 1000);

// timeAxis divides a span of time at round times. The day stands below the first
// time of it.
function timeAxis({ from, to, x }, bottom) {
  const step = tickSteps.find((s) => to - from <= s * maxTicks) ?? tickSteps.at(-1);
  const text = (at, options) => new Date(at).toLocaleString("en", { timeZone: "UTC", ...options });
  const date = (at) => text(at, { month: "short", day: "numeric" });
  const label = (at) => (step >= day ? date(at) : new Date(at).toISOString().slice(11, step >= 60_000 ? 16 : 19));
  const below = (at) => (step >= day ? text(at, { year: "numeric" }) : `${date(at)}, ${text(at, { year: "numeric" })}`);
  const ticks = [];
  for (let at = Math.ceil(from / step) * step; at <= to; at += step) ticks.push(at);
  return ticks.map((at, i) => [
    svg("line", { class: "grid", x1: round(x(at)), x2: round(x(at)), y1: plot.top, y2: bottom }),
    svg("text", { class: "tick", x: round(x(at)), y: bottom, dy: 16, "text-anchor": "middle" }, label(at)),
    (i === 0 || below(at) !== below(ticks[i - 1])) && svg("text", { x: round(x(at)), y: bottom, dy: 31, "text-anchor": "middle" }, below(at))]);
}

// countTicks divides a number of reads at round numbers. The last of them is the
// height of the axis.
function countTicks(highest) {
  const step = roundUp(highest / 4);
  return Array.from({ length: Math.ceil(highest / step) + 1 }, (_, i) => i * step);
}

// roundUp is the next number of the form 1, 2 or 5 times a power of ten.
function roundUp(n) {
  for (let power = 1; ; power *= 10) {
    const digit = [1, 2, 5].find((d) => d * power >= n);
    if (digit) return digit * power;
  }
}

// compact writes a number in few characters.
function compact(n) {
  if (n >= 1e6) return `${Number((n / 1e6).toPrecision(3))}M`;
  if (n >= 1e4) return `${Number((n / 1e3).toPrecision(3))}k`;
  return number(n);
}

// span is a duration in its largest whole unit.
function span(ms) {
  const [unit, size] = [["day", day], ["hour", 3_600_000], ["minute", 60_000], ["second", 1000]].find(([, size]) => ms >= size && ms % size === 0) ?? ["millisecond", 1];
  return count(ms / size, unit);
}

// cut shortens a text to so many characters. Names differ at their ends as often
// as at their beginnings, so the middle goes.
function cut(text, most) {
  const letters = [...text];
  if (letters.length <= most) return text;
  const head = Math.floor(most / 2);
  return `${letters.slice(0, head).join("")}…${letters.slice(letters.length - (most - head - 1)).join("")}`;
}
