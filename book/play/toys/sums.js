// Chapter 01: a table divided by its sums, with and without keepdim: which number divides which.
import { choice, controls, grid, h, number, status, tick } from "../kit.js";

/** @type {[string, number[][]][]} */
const TABLES = [["(2, 2)", [[1, 3], [1, 1]]], ["(2, 3)", [[1, 3, 1], [1, 1, 1]]]];

/**
 * Divide a table by its sums along an axis, as PyTorch does: shapes are lined up from the right,
 * and an axis of length 1 is repeated. Where they do not fit, `spread` is null.
 * @param {number[][]} table
 * @param {number} axis
 * @param {boolean} keepdim
 */
export function divided(table, axis, keepdim) {
  const rows = table.length, columns = table[0].length;
  const add = (/** @type {number[]} */ numbers) => numbers.reduce((a, b) => a + b, 0);
  const sums = axis === 1 ? table.map(add) : table[0].map((_, j) => add(table.map((row) => row[j])));
  const shape = !keepdim ? [sums.length] : axis === 1 ? [rows, 1] : [1, columns];
  const upright = keepdim && axis === 1, wide = shape[shape.length - 1];
  if (wide !== columns && wide !== 1) return { sums, shape, upright, spread: null, bets: null, rowSums: null };
  const source = (/** @type {number} */ i, /** @type {number} */ j) => (upright ? i : wide === 1 ? 0 : j);
  const spread = table.map((row, i) => row.map((_, j) => source(i, j)));
  const bets = table.map((row, i) => row.map((value, j) => value / sums[spread[i][j]]));
  return { sums, shape, upright, spread, bets, rowSums: bets.map(add) };
}

const SHADES = [1, 0.25, 0.6];
const short = (/** @type {number} */ value) => String(Number(value.toFixed(2)));
const tuple = (/** @type {number[]} */ shape) => `(${shape.join(",\u00a0")}${shape.length === 1 ? "," : ""})`;

/** @param {HTMLElement} stage */
export default function (stage) {
  let which = 0, axis = 1, keepdim = true;
  const empty = { caption: "", columns: [], rows: [] };
  const counts = grid(empty), divisors = grid(empty), result = grid(empty), said = status();
  /** @param {ReturnType<typeof grid>} one @param {string} text */
  const name = (one, text) => { /** @type {HTMLElement} */ (one.querySelector("caption")).textContent = text; };

  function draw() {
    const table = TABLES[which][1], { sums, shape, upright, spread, bets, rowSums } = divided(table, axis, keepdim);
    const call = `sum(${axis}${keepdim ? ",\u00a0keepdim=True" : ""})`;
    const across = table[0].map((_, j) => j);
    name(counts, axis === 1 ? "Summed along →" : "Summed down ↓");
    counts.update([], table.map((row, i) => ({ label: `row ${i}`, cells: row.map((value, j) => ({ text: String(value), share: SHADES[axis === 1 ? i : j] })) })));
    name(divisors, `${call}: ${tuple(shape)}`);
    divisors.update([], table.map((_, i) => ({ label: `row ${i}`, cells: across.map((j) => {
      const from = spread ? spread[i][j] : j, came = upright ? j === 0 : i === 0;
      return from < sums.length && (spread || came) ? { text: String(sums[from]), share: SHADES[from], kind: came ? "marked" : "off" } : { text: "?", kind: "off" };
    }) })));
    name(result, "Divided, and row sums");
    result.update([], table.map((row, i) => ({ label: `row ${i}`, cells: [
      ...row.map((value, j) => (bets && spread ? { text: `${value}/${sums[spread[i][j]]}`, share: SHADES[spread[i][j]] } : { text: "–" })),
      { text: rowSums ? `= ${short(rowSums[i])} ${Math.abs(rowSums[i] - 1) < 1e-9 ? "✓" : "✗"}` : "–" }] })));
    said.textContent = sentence();

    function sentence() {
      if (!rowSums) return `An error. The 2 sums lie like a row, and the table has 3 columns. So the mistake is noticed.`;
      const totals = rowSums.map(short).join(" and ");
      if (upright) return `${tuple(shape)} stands like a column. Each row is divided by its own sum, and the rows sum to ${totals}.`;
      if (axis === 0) return `${tuple(shape)} lies like a row. Each column is divided by its own sum. The rows sum to ${totals}.`;
      return `No error, and wrong: ${tuple(shape)} lies like a row, so the sums of the rows divide the columns. The rows sum to ${totals}.`;
    }
  }

  draw();
  stage.append(
    controls(choice({ label: "Table", options: TABLES.map(([title], i) => [i, title]), value: which }, (value) => { which = value; draw(); }),
      choice({ label: "Divide by", options: [[1, "sum(1)"], [0, "sum(0)"]], value: axis }, (value) => { axis = value; draw(); }),
      tick("keepdim=True", keepdim, (value) => { keepdim = value; draw(); })),
    h("div", { class: "pair" }, counts, divisors, result), said);
}
