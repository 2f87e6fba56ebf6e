// Chapter 09: a softmax in tiles keeps three numbers; without the shrinking it goes wrong.
import { bars, choice, controls, grid, number, slider, status, stepper, tick } from "../kit.js";

const VALUES = [10, 20, 30, 40];

/** @param {number[]} numbers */
const total = (numbers) => numbers.reduce((a, b) => a + b, 0);

/**
 * The three kept numbers after each tile, and what led to them.
 * Who forgets to shrink weighs each tile against its own largest score, and adds.
 * @param {number[]} scores
 * @param {number[]} values
 * @param {number} size
 * @param {boolean} forget
 */
export function tiled(scores, values, size, forget) {
  let largest = -Infinity, sum = 0, mixed = 0;
  const frames = [];
  for (let start = 0; start < scores.length; start += size) {
    const tile = scores.slice(start, start + size), before = { largest, sum, mixed };
    const higher = Math.max(...tile, forget ? -Infinity : largest);
    const shrink = forget ? 1 : Math.exp(largest - higher);
    const weights = tile.map((score) => Math.exp(score - higher));
    const add = { sum: total(weights), mixed: total(weights.map((w, i) => w * values[start + i])) };
    largest = higher;
    sum = shrink * sum + add.sum;
    mixed = shrink * mixed + add.mixed;
    frames.push({ start, before, shrink, weights, add, largest, sum, mixed });
  }
  return frames;
}

/**
 * Softmax with everything on the table at once, and the mixture of the values.
 * @param {number[]} scores
 * @param {number[]} values
 */
export function atOnce(scores, values) {
  const best = Math.max(...scores), weights = scores.map((score) => Math.exp(score - best));
  return total(weights.map((w, i) => w * values[i])) / total(weights);
}

/** @param {HTMLElement} stage */
export default function (stage) {
  const scores = [1, 3, 2, 5];
  let size = 2, forget = false, at = 0;
  const row = grid({ caption: "one query; the tile that is read has a frame", columns: [], rows: [] });
  const kept = grid({ caption: "the three numbers that are kept", columns: [], rows: [] });
  const answers = bars("mixed / sum, so far", []), said = status();
  const steps = stepper({ label: "Tiles", count: 2 }, (frame) => { at = frame; draw(); });

  function draw() {
    const frames = tiled(scores, VALUES, size, forget), now = frames[at], end = now.start + now.weights.length;
    /** @param {(i: number) => string} text */
    const cells = (text) => scores.map((_, i) => ({
      text: text(i), kind: i >= now.start && i < end ? "marked" : "off", share: i < now.start ? 0.15 : 0 }));
    const weight = (/** @type {number} */ i) => now.weights[i - now.start];
    row.update(scores.map((_, i) => String(i + 1)), [
      { label: "score", cells: cells((i) => number(scores[i], 0)) },
      { label: "value", cells: cells((i) => number(VALUES[i], 0)) },
      { label: `e^(score − ${number(now.largest, 0)})`,
        cells: cells((i) => (i < now.start ? "gone" : i < end ? number(weight(i), 4) : "…")) },
    ]);
    const shrink = { text: number(now.shrink, 4), kind: forget ? "off" : "", share: now.shrink < 1 ? 0.5 : 0 };
    const { before, add } = now;
    kept.update(["before", "· shrink", "+ new", "= after"], [
      { label: "largest", cells: [number(before.largest, 0), "", "", number(now.largest, 0)].map((text) => ({ text })) },
      { label: "sum", cells: [{ text: number(before.sum, 4) }, shrink, { text: number(add.sum, 4) }, { text: number(now.sum, 4), share: 0.8 }] },
      { label: "mixed", cells: [{ text: number(before.mixed, 3) }, shrink, { text: number(add.mixed, 3) }, { text: number(now.mixed, 3), share: 0.8 }] },
    ]);
    const right = atOnce(scores.slice(0, end), VALUES), got = now.mixed / now.sum, wrong = Math.abs(got - right) > 5e-4;
    answers.update([
      { label: forget ? "in tiles, not shrunk" : "in tiles", share: got / 40, text: number(got, 3) },
      { label: "at once", share: right / 40, text: number(right, 3), kind: "true" },
    ]);
    const why = at === 0 ? "The largest of nothing is −∞, so nothing is left of what came before."
      : forget ? `The old weights stood on ${number(before.largest, 0)}, the new ones stand on ${number(now.largest, 0)}, and they are added as they are.`
        : before.largest === now.largest ? "No larger score has come: the old weights stay as they are."
          : `The largest rises from ${number(before.largest, 0)} to ${number(now.largest, 0)}: the old weights shrink by ${number(now.shrink, 4)}.`;
    said.textContent = `Tile ${at + 1}. ${why} mixed / sum = ${number(got, 3)}, `
      + (wrong ? `and right would be ${number(right, 3)}.` : `as at once.`);
  }

  draw();
  stage.append(
    controls(choice({ label: "Scores in a tile", options: [[1, "1"], [2, "2"], [4, "4"]], value: size },
      (value) => { size = value; steps.length(4 / size); }),
    slider({ label: "last score", min: 0, max: 8, step: 1, value: scores[3], show: (v) => number(v, 0) },
      (value) => { scores[3] = value; draw(); }),
    tick("forget to shrink", forget, (value) => { forget = value; draw(); })),
    steps, row, kept, answers, said);
}
