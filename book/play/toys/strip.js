// Chapter 08: eight numbers in memory, and the shapes and strides by which they are read.
import { button, controls, grid, h, s, slider, status } from "../kit.js";

/** @typedef {{ memory: number[], shape: number[], strides: number[] }} Tensor */

/** @param {number[]} shape */
const ordinary = (shape) => shape.map((_, axis) => shape.slice(axis + 1).reduce((a, b) => a * b, 1));

/** The numbers 0 to 7 as two tokens of four. @returns {Tensor} */
export const start = () => ({ memory: [0, 1, 2, 3, 4, 5, 6, 7], shape: [2, 4], strides: [4, 1] });

/**
 * Every index, in reading order: the last axis runs fastest.
 * @param {number[]} shape
 * @returns {number[][]}
 */
export const indices = (shape) => shape.reduce((/** @type {number[][]} */ all, size) =>
  all.flatMap((index) => Array.from({ length: size }, (_, i) => [...index, i])), [[]]);

/**
 * @param {Tensor} tensor
 * @param {number[]} index
 */
export const place = ({ strides }, index) => index.reduce((sum, i, axis) => sum + i * strides[axis], 0);

/** @param {Tensor} tensor */
export const isContiguous = ({ shape, strides }) => ordinary(shape).every((stride, axis) => shape[axis] === 1 || stride === strides[axis]);

/**
 * Swap two axes: two strides change places, and no number moves.
 * @param {Tensor} tensor
 * @param {number} one
 * @param {number} other
 * @returns {Tensor}
 */
export function transpose({ memory, shape, strides }, one, other) {
  const swap = (/** @type {number[]} */ values) => values.map((v, axis) => (axis === one ? values[other] : axis === other ? values[one] : v));
  return { memory, shape: swap(shape), strides: swap(strides) };
}

/**
 * Copy the numbers into reading order.
 * @param {Tensor} tensor
 * @returns {Tensor}
 */
export function contiguous(tensor) {
  if (isContiguous(tensor)) return tensor;
  const memory = indices(tensor.shape).map((index) => tensor.memory[place(tensor, index)]);
  return { memory, shape: tensor.shape, strides: ordinary(tensor.shape) };
}

/**
 * Read the same row by another shape; null where no strides can do that without moving a number.
 * @param {Tensor} tensor
 * @param {number[]} shape
 * @returns {Tensor | null}
 */
export function view(tensor, shape) {
  const places = indices(tensor.shape).map((index) => place(tensor, index));
  const far = ordinary(shape); // how far on in reading order one step of each axis leads
  const next = { memory: tensor.memory, shape, strides: shape.map((size, axis) => (size > 1 ? places[far[axis]] - places[0] : far[axis])) };
  return indices(shape).every((index, i) => place(next, index) === places[i]) ? next : null;
}

/** @param {readonly number[]} values */
const tuple = (values) => `(${values.join(", ")})`;

/** @param {HTMLElement} stage */
export default function (stage) {
  let tensor = start(), at = 1;
  const W = 312, cell = W / 8, top = 52;
  const picture = s("svg", { class: "plot", viewBox: `0 0 ${W} 108`, role: "img", "aria-label": "memory: eight cells in a row, and the jumps between them" });
  const facts = h("p", { class: "hint" });
  const heads = h("div", { class: "pair" }), said = status();

  /** @param {number} from @param {number} to @param {string} kind */
  function jump(from, to, kind) {
    const a = (from + 0.5) * cell, b = (to + 0.5) * cell, high = top - 6 - 8 * Math.abs(to - from);
    return s("path", { class: `line ${kind}`, d: `M ${a} ${top - 2} Q ${(a + b) / 2} ${high - 8} ${b} ${top - 2}` });
  }

  function draw() {
    const { memory, shape, strides } = tensor, all = indices(shape), index = all[at], here = place(tensor, index);
    const before = at ? place(tensor, all[at - 1]) : here, jumped = here - before;
    const owner = memory.map((_, spot) => all.find((one) => place(tensor, one) === spot) ?? []);
    picture.replaceChildren(
      ...all.slice(1).map((one, i) => jump(place(tensor, all[i]), place(tensor, one), "faint")),
      ...memory.flatMap((value, spot) => {
        const kind = owner[spot][0] % 2 === 0 ? "a" : "b", x = spot * cell;
        return [s("rect", { class: `cell ${kind}${spot === here ? " here" : ""}`, x: x + 2, y: top, width: cell - 4, height: 34, rx: 3 }),
          s("text", { x: x + cell / 2, y: top + 22, "text-anchor": "middle" }, String(value)),
          s("text", { class: kind, x: x + cell / 2, y: top + 50, "text-anchor": "middle" }, owner[spot].join(" "))];
      }),
      ...(at ? [jump(before, here, "c"),
        s("text", { class: "c", x: Math.max(14, Math.min(W - 14, (before + here + 1) * cell / 2)), y: Math.max(14, top - 16 - 5 * Math.abs(jumped)), "text-anchor": "middle" },
          jumped < 0 ? `−${-jumped}` : `+${jumped}`)] : []));
    facts.textContent = `shape ${tuple(shape)}, strides ${tuple(strides)}: ${
      isContiguous(tensor) ? "contiguous, the memory is in reading order" : "not contiguous, reading jumps"}`;
    heads.replaceChildren(...Array.from({ length: shape[0] }, (_, first) => {
      const rows = all.filter((one) => one[0] === first), wide = shape[shape.length - 1];
      return grid({ caption: `index ${first} of the first axis`, columns: [], rows: Array.from({ length: rows.length / wide }, (_, r) => ({
        label: shape.length === 3 ? `[${first}, ${r}]` : `[${first}]`, cells: rows.slice(r * wide, (r + 1) * wide).map((one) => ({
          text: String(memory[place(tensor, one)]), share: first % 2 ? 0 : 0.5, kind: one === index ? "marked" : "" })) })) });
    }));
    said.textContent = `[${index.join(", ")}] stands at place ${index.map((i, axis) => `${i} · ${strides[axis]}`).join(" + ")} = ${here} of the memory.`;
  }

  /** @param {string} name @param {(now: Tensor) => Tensor | null} change */
  const step = (name, change) => button(name, () => {
    const next = change(tensor);
    if (next) {
      tensor = next;
      draw();
    } else {
      said.textContent = `${name} is refused: no strides read the numbers in this order. They have to move first.`;
    }
  });
  draw();
  stage.append(
    controls(step("view(2, 2, 2)", (now) => view(now, [2, 2, 2])), step("transpose(0, 1)", (now) => transpose(now, 0, 1)),
      step("contiguous()", contiguous), step("view(2, 4)", (now) => view(now, [2, 4])),
      button("Start again", () => { [tensor, at] = [start(), 1]; reading.set(at); draw(); })),
    facts, picture);
  const reading = slider({ label: "read number", min: 0, max: 7, step: 1, value: at, show: String }, (value) => { at = value; draw(); });
  stage.append(reading, heads, said);
}
