// The audit report's page: data.js unpacks the report, list.js shows lists of it,
// chart.js draws reads over time, and page.js has the views. They stand in the page
// as one script.
//
// Texts of a trail come from whoever made the calls. They reach the document as
// text nodes and attributes' values only: there is no innerHTML, and the page's
// policy has no script but this one.

// ---- The report ---------------------------------------------------------------

const packed = JSON.parse(document.querySelector("#report").textContent);
const texts = packed.texts;
const listOf = (n) => packed.lists[n].map((text) => texts[text]);

// A Column is what a table has of one member: a number for each row, by its kind.
class Column {
  constructor(name, kind, values) { Object.assign(this, { name, kind, values }); }

  // number is the value as it is packed; zeros at the end are not there.
  number(row) { return this.values[row] ?? 0; }

  // value is what the report has: a time is in milliseconds since 1970, or 0.
  value(row) {
    const n = this.number(row);
    switch (this.kind) {
      case "flag": return n === 1;
      case "time": return n === 0 ? 0 : packed.base + Math.round(n * 1000);
      case "text": return texts[n];
      case "texts": return listOf(n);
      case "json": return listOf(n).join('"');
    }
    return n;
  }

  // places are the rows in the order of their values. What is equal stays in the
  // order of the report, which means something.
  places(down) {
    const key = this.kind === "text" ? this.ranks() : this.values;
    const sign = down ? -1 : 1;
    const of = this.kind === "text" ? (row) => key[this.number(row)] : (row) => key[row] ?? 0;
    return (a, b) => sign * (of(a) - of(b)) || a - b;
  }

  // ranks are the places of the column's texts in the order of the alphabet.
  ranks() {
    if (this.ranked) return this.ranked;
    this.ranked = new Uint32Array(texts.length);
    const used = [...new Set(this.values)].filter((text) => text !== 0);
    const lowered = new Map(used.map((text) => [text, texts[text].toLowerCase()]));
    used.sort((a, b) => (lowered.get(a) < lowered.get(b) ? -1 : 1)).forEach((text, i) => { this.ranked[text] = i + 1; });
    return this.ranked;
  }
}

// A Table is one list of the report, over all that it stands in.
class Table {
  constructor({ name, rows, columns }) {
    this.name = name;
    this.rows = rows;
    this.columns = new Map(columns.map((c) => [c.name, new Column(c.name, c.kind, c.values)]));
  }

  // number and value are those of a column, or nothing where it is not there.
  number(column, row) { return this.columns.get(column)?.number(row) ?? 0; }
  value(column, row) { return this.columns.get(column)?.value(row); }

  // row is a row as an object, with the table and its place in it.
  row(i) {
    const row = { table: this, i };
    for (const [name, column] of this.columns) row[name] = column.value(i);
    return row;
  }

  // derive adds a column that the report has not, computed from a row.
  derive(name, kind, compute) {
    this.columns.set(name, new Column(name, kind, Array.from({ length: this.rows }, (_, i) => compute(i))));
  }

  // inner is the table of the lists that a column stands for.
  inner(column) { return table(this.name === "report" ? column : `${this.name}.${column}`); }

  // range is from where to where the rows of the inner table belong to a row.
  range(column, row) {
    this.starts ??= new Map();
    if (!this.starts.has(column)) {
      const starts = new Uint32Array(this.rows + 1);
      for (let i = 0; i < this.rows; i++) starts[i + 1] = starts[i] + this.number(column, i);
      this.starts.set(column, starts);
    }
    const starts = this.starts.get(column);
    return [starts[row], starts[row + 1]];
  }

  // rowsOf are those rows.
  rowsOf(column, row) {
    const [from, to] = this.range(column, row);
    return Array.from({ length: to - from }, (_, i) => from + i);
  }

  // adopt gives each row of an inner table the place of its outer row, and copies
  // of that one's columns.
  adopt(column, copies) {
    const inner = this.inner(column);
    const outer = new Uint32Array(inner.rows);
    for (let i = 0; i < this.rows; i++) outer.fill(i, ...this.range(column, i));
    inner.outer = outer;
    for (const [to, from] of Object.entries(copies)) {
      if (!inner.columns.has(to)) inner.derive(to, "text", (i) => this.number(from, outer[i]));
    }
  }
}

const tables = new Map(packed.tables.map((t) => [t.name, new Table(t)]));

function table(name) {
  if (!tables.has(name)) tables.set(name, new Table({ name, rows: 0, columns: [] }));
  return tables.get(name);
}

// ---- Finding rows -------------------------------------------------------------

let lowered;
const hits = new Map(); // :: word -> which texts, and which lists, have it

// having tells which texts and lists have a word. Each text is looked at once,
// however many rows have it: that is what makes a filter fast.
function having(word) {
  if (hits.has(word)) return hits.get(word);
  lowered ??= texts.map((text) => text.toLowerCase());
  const inTexts = Uint8Array.from(lowered, (text) => (text.includes(word) ? 1 : 0));
  const inLists = Uint8Array.from(packed.lists, (list) => (list.some((text) => inTexts[text]) ? 1 : 0));
  if (hits.size > 50) hits.clear();
  hits.set(word, { inTexts, inLists });
  return hits.get(word);
}

// finder tells of a row of a table whether it has all words of a text, each in
// any of its columns.
function finder(of, text) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const kinds = { text: "inTexts", texts: "inLists", json: "inLists" };
  const columns = [...of.columns.values()].filter((c) => c.kind in kinds && c.values.length > 0);
  const tests = words.map((word) => {
    const found = having(word);
    return columns.map((c) => [c.values, found[kinds[c.kind]]]);
  });
  return (row) => tests.every((test) => test.some(([values, found]) => found[values[row]] === 1));
}
