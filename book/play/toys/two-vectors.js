// Chapter 05: the dot product of two vectors, as a sum, as a shadow, and as a sign.
import { bars, choice, controls, h, handle, number, plot, s, status } from "../kit.js";

/** @typedef {[number, number]} Vector */

/**
 * The dot product, the two lengths, how far `right` reaches along `left`, and the cosine (0 where a length is 0).
 * @param {Vector} left
 * @param {Vector} right
 */
export function compared(left, right) {
  const dot = left[0] * right[0] + left[1] * right[1];
  const lengths = [Math.hypot(...left), Math.hypot(...right)];
  const shadow = lengths[0] ? dot / lengths[0] : 0;
  return { dot, lengths, shadow, cosine: lengths[1] ? shadow / lengths[1] : 0 };
}

/** @param {number} value A number of the squared paper: no decimals where it needs none. */
function short(value) {
  return number(value, Number.isInteger(value) ? 0 : Number.isInteger(2 * value) ? 1 : 2);
}

/** @param {number} value A factor of a product: a negative one stands in brackets. */
function factor(value) {
  return value < 0 ? `(${short(value)})` : short(value);
}

/** @type {[string, Vector, Vector][]} */
const PAIRS = [["a and e", [2, 1], [3, 1]], ["a and t", [2, 1], [-1, 2]], ["e and t", [3, 1], [-1, 2]]];
const UNITS = [-4, -3, -2, -1, 0, 1, 2, 3, 4];

/** @param {Vector} point The nearest crossing of half lines that is on the paper. @returns {Vector} */
function onPaper([x, y]) {
  return [Math.max(-4, Math.min(4, Math.round(2 * x) / 2)), Math.max(-3, Math.min(3, Math.round(2 * y) / 2))];
}

/** @param {Vector} left @param {Vector} right On which side of the first the second lies: 1 or −1. */
function side(left, right) {
  return left[0] * right[1] < left[1] * right[0] ? -1 : 1;
}

/** @param {number} dot @param {number} cosine */
function verdict(dot, cosine) {
  if (dot === 0) return "They stand at a right angle, or one has no length: the dot product is 0.";
  if (Math.abs(cosine) > 0.9999) return `They point exactly ${dot > 0 ? "the same way" : "apart"}: the cosine is ${dot > 0 ? "1" : "−1"}.`;
  return dot > 0 ? "They point much the same way: the dot product is positive." : "They point apart: the dot product is negative.";
}

/** @param {HTMLElement} stage */
export default function (stage) {
  let [, left, right] = PAIRS[0];
  const paper = plot({ label: "Two vectors on squared paper; their tips can be moved", x: [-4, 4], y: [-3, 3], xTicks: UNITS,
    yTicks: UNITS.slice(1, -1), width: 320, height: 244, show: (v) => number(v, 0) });
  const measures = bars("negative to the left, positive to the right", [], { signed: true });
  const sum = h("p", { class: "sum" }), shade = h("p"), said = status();

  /**
   * Write a vector's name beside its middle, on the side that the other one leaves free.
   * @param {Vector} vector @param {string} name @param {string} kind @param {number} turn @param {number} length
   */
  function named([x, y], name, kind, turn, length) {
    const away = 0.75 / (length || 1);
    paper.layer.append(s("text", { class: kind, "text-anchor": "middle", x: paper.px(x / 2 - turn * y * away).toFixed(2),
      y: (paper.py(y / 2 + turn * x * away) + 4).toFixed(2) }, name));
  }

  function draw() {
    const { dot, lengths, shadow, cosine } = compared(left, right);
    const foot = /** @type {Vector} */ (left.map((v) => (lengths[0] ? (v * shadow) / lengths[0] : 0)));
    paper.clear();
    paper.layer.append(s("line", { class: "shadow", x1: paper.px(0), y1: paper.py(0),
      x2: paper.px(foot[0]).toFixed(2), y2: paper.py(foot[1]).toFixed(2) }));
    paper.line([right, foot], "c");
    paper.arrow([0, 0], left, "a");
    paper.arrow([0, 0], right, "b");
    named(left, "first", "a", -side(left, right), lengths[0]);
    named(right, "second", "b", side(left, right), lengths[1]);
    sum.textContent = `first · second = ${short(left[0])} · ${factor(right[0])} + ${factor(left[1])} · ${factor(right[1])} = ${short(dot)}`;
    shade.textContent = `The second throws a shadow of ${number(shadow)} on the line of the first, which is ${number(lengths[0])} long: `
      + `${number(lengths[0])} · ${factor(shadow)} = ${short(dot)}.`;
    measures.update([{ label: "dot product", share: dot / 25, text: short(dot) }, { label: "cosine", share: cosine, text: number(cosine) }]);
    said.textContent = verdict(dot, cosine);
  }
  const first = handle(paper, { label: "tip of the first vector", at: left, step: 0.5, kind: "a", keep: onPaper },
    (point) => { left = point; draw(); });
  const second = handle(paper, { label: "tip of the second vector", at: right, step: 0.5, kind: "b", keep: onPaper },
    (point) => { right = point; draw(); });

  draw();
  stage.append(
    controls(choice({ label: "Begin with", options: PAIRS.map(([name], i) => [i, name]), value: 0 }, (i) => {
      [, left, right] = PAIRS[i];
      first.set(left);
      second.set(right);
      draw();
    })),
    h("div", { class: "pair" }, paper, h("div", {}, sum, measures, shade)), said);
}
