// Chapter 07: three words as arrows; scores, shares and the mixture follow when one is dragged.
import { choice, controls, grid, h, handle, number, plot, s, status } from "../kit.js";

const NAMES = ["a", "b", "c"];
/** @typedef {"before" | "none" | "after"} Mask */

/**
 * Steps 2 to 6 of attention for one word: its vector is query, key and value at once.
 * @param {number[][]} words
 * @param {number} asker
 * @param {number} divisor
 * @param {Mask} mask
 */
export function attend(words, asker, divisor, mask) {
  const scores = words.map((word) => word.reduce((sum, v, i) => sum + v * words[asker][i], 0)); // 2 score
  const scaled = scores.map((score) => score / divisor); // 3 scale
  const masked = scaled.map((score, j) => (mask === "before" && j > asker ? -Infinity : score)); // 4 mask
  const best = Math.max(...masked), powers = masked.map((score) => Math.exp(score - best));
  const sum = powers.reduce((a, b) => a + b);
  const weighed = powers.map((power) => power / sum); // 5 weigh
  const shares = weighed.map((share, j) => (mask === "after" && j > asker ? 0 : share));
  const mixture = words[0].map((_, i) => words.reduce((total, word, j) => total + shares[j] * word[i], 0)); // 6 mix
  return { scores, scaled, masked, powers: masked.map(Math.exp), weighed, shares, mixture };
}

/** @param {number[]} v */
const pair = (v) => `(${v.map((one) => number(one)).join(", ")})`;
/** @param {number[]} values */
const total = (values) => values.reduce((a, b) => a + b, 0);

/** @param {HTMLElement} stage */
export default function (stage) {
  /** @type {[number, number][]} */
  const words = [[1, 0], [0, 1], [1, 1]];
  let asker = 2, divisor = Math.SQRT2;
  /** @type {Mask} */
  let mask = "before";

  const picture = plot({
    label: "three arrows from (0, 0), and their mixture", x: [-1.1, 2.15], y: [-1.1, 2.15], width: 312, height: 302,
    xTicks: [-1, 0, 1, 2], yTicks: [-1, 0, 1, 2], show: (v) => number(v, 0),
  });
  const steps = grid({ caption: "", columns: [], rows: [] });
  const everyone = grid({ caption: "shares of all three: row looks at column", columns: [], rows: [] });
  const caption = /** @type {Element} */ (steps.querySelector("caption"));
  const said = status();

  /** @param {ReturnType<typeof attend>} seen */
  function drawArrows({ shares, mixture }) {
    picture.clear();
    const corners = words.map(([a, b]) => `${picture.px(a).toFixed(2)},${picture.py(b).toFixed(2)}`).join(" ");
    picture.layer.append(s("polygon", { class: "inside", points: corners }));
    /** @type {[number, number]} */
    let at = [0, 0];
    words.forEach(([a, b], j) => { // the shares of the three arrows, laid head to tail
      /** @type {[number, number]} */
      const next = [at[0] + shares[j] * a, at[1] + shares[j] * b];
      picture.line([at, next], `share ${NAMES[j]}`);
      at = next;
    });
    words.forEach(([a, b], j) => {
      const far = Math.hypot(a, b) || 1;
      picture.arrow([0, 0], [a, b], j === asker ? `${NAMES[j]} asks` : NAMES[j]);
      picture.text(a + (0.24 * a) / far - 0.04, b + (0.24 * b) / far - 0.06, NAMES[j], NAMES[j]);
    });
    picture.dot(mixture[0], mixture[1], "mixture", 6);
    picture.text(mixture[0] + 0.12, mixture[1] - 0.2, "mixture", "mixture");
  }

  function draw() {
    const seen = attend(words, asker, divisor, mask);
    const { scores, scaled, masked, powers, weighed, shares, mixture } = seen;
    const by = divisor === Math.SQRT2 ? "√2" : String(divisor);
    const off = (/** @type {number} */ j) => (mask !== "none" && j > asker ? "off" : "");
    /** @param {string} label @param {number[]} values @param {boolean} [sums] @param {boolean} [shaded] */
    const row = (label, values, sums = false, shaded = false) => ({
      label, cells: [...values.map((v, j) => ({ text: number(v), share: shaded ? v : 0, kind: off(j) })),
        { text: sums ? number(total(values)) : "", kind: shaded && total(values) < 0.9995 ? "marked" : "" }],
    });
    caption.textContent = `word ${NAMES[asker]}, ${pair(words[asker])}, looks at`;
    const hide = row(mask === "none" ? "4 no mask" : "4 mask", mask === "after" ? shares : masked, mask === "after", mask === "after");
    const weigh = row("5 share", weighed, true, true);
    steps.update([...NAMES, "sum"], [
      row("2 score", scores), row(`3 divided by ${by}`, scaled), ...(mask === "after" ? [] : [hide]),
      row("e to that", powers, true), weigh, ...(mask === "after" ? [hide] : []),
    ]);
    everyone.update([...NAMES, "sum"], NAMES.map((label, i) => {
      const { shares } = attend(words, i, divisor, mask), sum = total(shares);
      return { label, cells: [...shares.map((share, j) => ({
        text: number(share), share, kind: mask !== "none" && j > i ? "off" : "" })),
      { text: number(sum), kind: sum < 0.9995 ? "marked" : "" }] };
    }));
    drawArrows(seen);
    const future = total(weighed.slice(asker + 1)), left = total(shares);
    const parts = NAMES.map((name, j) => `${number(shares[j])} ${name}`).join(" + ");
    said.textContent = `${parts} = ${pair(mixture)}. ${
      left < 0.9995 ? `Only ${number(left)} of the mixture is left: the future took its share before it was hidden.`
      : mask === "none" && asker < 2 ? `${number(future)} of it comes from the future.`
      : mask === "before" && asker < 2 ? `The future gets nothing, and the rest is shared out anew.` : "The shares sum to 1."}`;
  }

  const keep = (/** @type {[number, number]} */ [a, b]) => /** @type {[number, number]} */ (
    [a, b].map((v) => Math.round(Math.max(-1, Math.min(2, v)) * 100) / 100));
  NAMES.forEach((name, j) => handle(picture, { label: `word ${name}`, at: words[j], kind: name, keep },
    (point) => { words[j] = point; draw(); }));
  draw();
  stage.append(
    controls(
      choice({ label: "Who looks", options: NAMES.map((name, j) => [j, name]), value: asker }, (value) => { asker = value; draw(); }),
      choice({ label: "Divide by", options: [[1, "1"], [Math.SQRT2, "√d = √2"], [2, "d = 2"]], value: divisor },
        (value) => { divisor = value; draw(); }),
      choice({ label: "Mask", options: [["before", "before softmax"], ["after", "after"], ["none", "none"]], value: mask },
        (value) => { mask = /** @type {Mask} */ (value); draw(); })),
    h("div", { class: "pair" }, picture, h("div", {}, steps, everyone)), said);
}
