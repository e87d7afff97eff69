// The audit report's page: data.js unpacks the report, list.js shows lists of it,
// chart.js draws reads over time, and page.js has the views. They stand in the page
// as one script.
//
// Texts of a trail come from whoever made the calls. They reach the document as
// text nodes and attributes' values only: there is no innerHTML, and the page's
// policy has no script but this one.

// ---- The report ---------------------------------------------------------------

let base = 0;
const texts = [];
const lists = []; // of texts' numbers
const tables = new Map();

// A Column is what a table has of one member: a number for each row, by its kind.
// One that the report has not is computed when it is asked for.
class Column {
  constructor(table, name, kind, values, compute) { Object.assign(this, { name, kind, rows: table.rows, known: values, compute }); }

  get values() { return (this.known ??= this.compute()); }

  // number is the value as it is packed; zeros at the end are not there.
  number(row) { return this.values[row] ?? 0; }

  // value is what the report has: a time is in milliseconds since 1970, or 0.
  value(row) {
    const n = this.number(row);
    switch (this.kind) {
      case "flag": return n === 1;
      case "time": return n === 0 ? 0 : base + Math.round(n * 1000);
      case "text": return texts[n];
      case "texts": return lists[n].map((text) => texts[text]);
      case "json": return lists[n].map((text) => texts[text]).join('"');
    }
    return n;
  }

  // order compares rows by their values. What is equal stays in the order of the
  // report, which means something.
  order(down) {
    const values = this.values;
    const ranks = this.kind === "text" && this.ranks();
    const keys = new Float64Array(this.rows);
    for (let i = 0; i < values.length; i++) keys[i] = ranks ? ranks[values[i]] : values[i];
    const sign = down ? -1 : 1;
    return (a, b) => sign * (keys[a] - keys[b]) || a - b;
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
  constructor(name, rows) { Object.assign(this, { name, rows, columns: new Map() }); }

  add({ column, kind, values = [] }) { this.columns.set(column, new Column(this, column, kind, values)); }

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
    this.columns.set(name, new Column(this, name, kind, null, () => Float64Array.from({ length: this.rows }, (_, i) => compute(i))));
  }

  // inner is the table of the lists that a column stands for.
  inner(column) { return table(this.name === "report" ? column : `${this.name}.${column}`); }

  // vocabulary is what its rows can be found by.
  vocabulary() { return (this.words ??= new Vocabulary(this)); }

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
    inner.parent = this;
    inner.outer = new Uint32Array(inner.rows);
    for (let i = 0; i < this.rows; i++) inner.outer.fill(i, ...this.range(column, i));
    for (const [to, from] of Object.entries(copies)) {
      if (!inner.columns.has(to)) inner.derive(to, "text", (i) => this.number(from, inner.outer[i]));
    }
  }
}

function table(name, rows = 0) {
  if (!tables.has(name)) tables.set(name, new Table(name, rows));
  return tables.get(name);
}

for (const element of document.querySelectorAll("script.report")) {
  const part = JSON.parse(element.textContent);
  base = part.base ?? base;
  texts.push(...(part.texts ?? []));
  lists.push(...(part.lists ?? []));
  if (part.table) table(part.table, part.rows).add(part);
}

// ---- Finding rows -------------------------------------------------------------

// A Vocabulary is the texts and the lists of texts that a table's rows have. Each
// is looked at once for a word, however many rows have it: that is what makes a
// filter fast.
class Vocabulary {
  constructor(of) {
    const inTexts = new Uint8Array(texts.length);
    const inLists = new Uint8Array(lists.length);
    this.columns = [...of.columns.values()].filter((c) => c.kind in searched && c.values.length > 0);
    for (const { kind, values } of this.columns) {
      const marks = searched[kind] === "text" ? inTexts : inLists;
      for (let i = 0; i < values.length; i++) marks[values[i]] = 1;
    }
    this.lists = marked(inLists);
    for (const list of this.lists) for (const text of lists[list]) inTexts[text] = 1;
    this.texts = marked(inTexts);
    this.lowered = this.texts.map((text) => texts[text].toLowerCase());
    this.known = new Map(); // :: word -> which texts, and which lists, have it
  }

  having(word) {
    if (this.known.has(word)) return this.known.get(word);
    const found = { text: new Uint8Array(texts.length), list: new Uint8Array(lists.length) };
    this.lowered.forEach((text, i) => { if (text.includes(word)) found.text[this.texts[i]] = 1; });
    for (const list of this.lists) if (lists[list].some((text) => found.text[text])) found.list[list] = 1;
    if (this.known.size > 50) this.known.clear();
    this.known.set(word, found);
    return found;
  }
}

function marked(marks) {
  const places = [];
  for (let i = 0; i < marks.length; i++) if (marks[i] === 1) places.push(i);
  return places;
}

const searched = { text: "text", texts: "list", json: "list" }; // the kinds of columns that have texts

// finder tells of a row of a table whether it has all words of a text, each in
// any of its columns.
function finder(of, text) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) return () => true;
  const vocabulary = of.vocabulary();
  const tests = words.map((word) => {
    const found = vocabulary.having(word);
    return vocabulary.columns.map((c) => [c.values, found[searched[c.kind]]]);
  });
  return (row) => tests.every((test) => test.some(([values, found]) => found[values[row] ?? 0] === 1));
}
