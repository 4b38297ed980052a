"use strict";

// The screens that the exporter computed: keyframes, and changes to the screen before. Nothing here interprets terminal
// escapes. A change is a JSON line [ms since the change before, is keyframe, operation…]; operations are
// [0, cols, rows] blank screen, [1, top, bottom, n] rows move up, [2, row, col, text, style, …] cells from a column on,
// [3, row, col] blank to the end of the row, [4, row, col, shown] cursor, [5, title], [6, text] text that the terminal hid.
// A text is one cell a code point; a list is cells that are wider or have more code points: [width, cell, …].

class Screens {
  constructor(lines, styles) {
    this.styles = styles;
    this.times = [];
    this.keys = [];
    this.hidden = [];
    let time = 0;
    this.changes = lines.map((line, at) => {
      const change = JSON.parse(line);
      time += change[0];
      this.times.push(time);
      if (change[1]) this.keys.push(at);
      for (const op of change) if (op[0] === 6) this.hidden.push({ time, text: op[1] });
      return change;
    });
    this.at = -1;
    this.dirty = new Set();
    this.blank(80, 24);
  }

  blank(cols, rows) {
    this.cols = cols;
    this.cells = Array.from({ length: rows }, () => this.blankRow());
    this.cursor = { row: 0, col: 0, shown: false };
    this.resized = true;
    this.touchAll();
  }

  blankRow() {
    return Array.from({ length: this.cols }, () => [" ", 0, 1]);
  }

  touchAll() {
    for (let row = 0; row < this.cells.length; row += 1) this.dirty.add(row);
  }

  // Index of the last change at or before a time; -1 before the first.
  indexAt(time) {
    let low = 0, high = this.times.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.times[middle] <= time) low = middle + 1; else high = middle;
    }
    return low - 1;
  }

  show(index) {
    if (index === this.at) return;
    let from = this.at + 1;
    if (index < this.at || this.keyBefore(index) > this.at) {
      from = Math.max(0, this.keyBefore(index));
      if (index < 0) this.blank(this.cols, this.cells.length);
    }
    for (let at = from; at <= index; at += 1) this.apply(this.changes[at]);
    this.at = index;
  }

  keyBefore(index) {
    let low = 0, high = this.keys.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.keys[middle] <= index) low = middle + 1; else high = middle;
    }
    return low === 0 ? -1 : this.keys[low - 1];
  }

  apply(change) {
    for (let n = 2; n < change.length; n += 1) {
      const op = change[n];
      switch (op[0]) {
        case 0: this.blank(op[1], op[2]); break;
        case 1: this.scroll(op[1], op[2], op[3]); break;
        case 2: this.put(op); break;
        case 3: this.clear(op[1], op[2]); break;
        case 4: this.move(op[1], op[2], op[3]); break;
        case 5: this.title = op[1]; break;
      }
    }
  }

  scroll(top, bottom, count) {
    const gone = this.cells.splice(top, count);
    this.cells.splice(bottom - count + 1, 0, ...gone.map(() => this.blankRow()));
    for (let row = top; row <= bottom; row += 1) this.dirty.add(row);
  }

  put(op) {
    const row = this.cells[op[1]];
    if (!row) return;
    let col = op[2];
    const set = (text, style, width) => {
      if (col < this.cols) row[col] = [text, style, width];
      if (width === 2 && col + 1 < this.cols) row[col + 1] = ["", style, 0];
      col += width;
    };
    for (let n = 3; n + 1 < op.length; n += 2) {
      const [text, style] = [op[n], op[n + 1]];
      if (Array.isArray(text)) text.slice(1).forEach((cell) => set(cell, style, text[0]));
      else for (const character of text) set(character, style, 1);
    }
    this.dirty.add(op[1]);
  }

  clear(row, col) {
    const cells = this.cells[row];
    if (!cells) return;
    for (let at = col; at < this.cols; at += 1) cells[at] = [" ", 0, 1];
    this.dirty.add(row);
  }

  move(row, col, shown) {
    this.dirty.add(this.cursor.row).add(row);
    this.cursor = { row, col, shown: shown === 1 };
  }

  text() {
    return this.cells.map((row) => row.map((cell) => cell[0]).join("").trimEnd()).join("\n").trimEnd();
  }
}

// Paints the rows that changed. Text goes in through textContent only.
class Painter {
  constructor(host) {
    this.host = host;
    this.rows = [];
  }

  paint(screens) {
    while (this.rows.length < screens.cells.length) {
      const row = document.createElement("div");
      row.className = "row";
      this.host.append(row);
      this.rows.push(row);
    }
    while (this.rows.length > screens.cells.length) this.rows.pop().remove();
    for (const row of screens.dirty) {
      if (row < this.rows.length) this.row(screens, row);
    }
    if (screens.dirty.size > 0) this.host.setAttribute("aria-label", screens.text() || "blank screen");
    screens.dirty.clear();
    screens.resized = false;
  }

  row(screens, at) {
    const cells = screens.cells[at];
    const cursor = screens.cursor.shown && screens.cursor.row === at ? screens.cursor.col : -1;
    const parts = [];
    let run = null;
    for (let col = 0; col < cells.length; col += 1) {
      const [text, style, width] = cells[col];
      if (width === 0) continue;
      // What is not plain ASCII gets a box of its own: fonts disagree about its width, the grid must not.
      const alone = width === 2 || text.length !== 1 || text > "~" || col === cursor;
      if (!alone && run && run.style === style) {
        run.text += text;
      } else {
        run = { text, style, width, alone, cursor: col === cursor };
        parts.push(run);
        if (alone) run = null;
      }
    }
    this.rows[at].replaceChildren(...parts.map((part) => this.span(part, screens.styles[part.style])));
  }

  span(part, style) {
    const span = document.createElement("span");
    const names = part.alone ? [part.width === 2 ? "w2" : "w1"] : [];
    span.textContent = part.text;
    if (style) {
      let [front, back] = [style.f, style.b];
      if (style.inverse) [front, back] = [back || "var(--term)", front || "var(--term-text)"];
      if (front) span.style.color = front;
      if (back) span.style.background = back;
      for (const name of ["bold", "dim", "italic", "underline", "concealed"]) if (style[name]) names.push(name);
    }
    if (part.cursor) names.push("cursor");
    span.className = names.join(" ");
    return span;
  }
}

async function inflate(base64) {
  const packed = Uint8Array.from(atob(base64.trim()), (character) => character.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  return new Response(stream).text();
}
