// Chapter 08: one head mixes two digits; what a reader behind it can still tell apart.
import { controls, grid, number, plot, slider, status, tick } from "../kit.js";

const TEXTS = /** @type {const} */ ([[7, 2], [2, 7]]); // earlier digit, last digit
const NEAR = 0.05; // two blends are the same to a reader who sees one digit behind the point
const DIGITS = [...Array(10).keys()];

/**
 * What one head hands over: `share` of the earlier digit, and the rest of the last one.
 * @param {readonly number[]} text
 * @param {number} share
 */
export const blend = ([earlier, last], share) => share * earlier + (1 - share) * last;

/**
 * All texts of two digits that nobody behind the head can tell from this one.
 * @param {readonly number[]} text
 * @param {number} share
 */
export function alike(text, share) {
  const own = blend(text, share);
  return DIGITS.flatMap((earlier) => DIGITS.map((last) => [earlier, last]))
    .filter((other) => Math.abs(blend(other, share) - own) < NEAR - 1e-9);
}

/** @param {HTMLElement} stage */
export default function (stage) {
  let share = 0.5, two = false;
  const line = plot({ label: "the blends of both texts on a line from 0 to 9", x: [-0.3, 9.3], y: [0, 1], xTicks: DIGITS, width: 312, height: 96 });
  const table = grid({ caption: "", columns: [], rows: [] }), caption = /** @type {Element} */ (table.querySelector("caption"));
  const said = status();

  function draw() {
    const same = TEXTS.map((text) => (two ? [text] : alike(text, share)));
    const values = TEXTS.map((text) => blend(text, share));
    line.clear();
    if (!two) {
      values.forEach((value, i) => {
        line.arrow([value, i ? 0.62 : 0.3], [value, i ? 0.1 : 0], i ? "b" : "a");
        line.text(value + 0.12, i ? 0.66 : 0.34, `${TEXTS[i].join(", then ")}: ${number(value)}`, i ? "b" : "a");
      });
    } else {
      line.text(0.1, 0.5, "two heads hand over a pair: no line can hold it");
    }
    caption.textContent = two ? "all texts of two digits: earlier digit downwards, last digit to the right"
      : "which texts give the same blend? earlier digit downwards, last digit to the right";
    table.update(DIGITS.map(String), DIGITS.map((earlier) => ({ label: String(earlier), cells: DIGITS.map((last) => {
      const [one, other] = same.map((texts) => texts.some(([a, b]) => a === earlier && b === last));
      const mine = TEXTS.some(([a, b]) => a === earlier && b === last);
      return { text: one && other ? "●◇" : one ? "●" : other ? "◇" : "·", kind: `${one ? "one" : ""} ${other ? "other" : ""} ${mine ? "marked" : ""}` };
    }) })));
    const [one] = same;
    said.textContent = two ? "Two heads, two numbers: each text is alone in its cell."
      : Math.abs(values[0] - values[1]) < NEAR ? `Both texts give ${number(values[0])}, and so do ${one.length - 2} others. Who came first is lost.`
      : one.length === 1 ? `The blends differ by ${number(values[0] - values[1])}, and each belongs to one text.`
      : `The two blends differ by ${number(values[0] - values[1])}. But ${number(values[0])} may be any of ${one.length} texts.`;
  }

  draw();
  stage.append(controls(
    slider({ label: "earlier digit's share", min: 0.5, max: 1, step: 1 / 120, value: share, show: (v) => number(v) },
      (value) => { share = value; draw(); }),
    tick("two heads instead", two, (on) => { two = on; draw(); })), line, table, said);
}
