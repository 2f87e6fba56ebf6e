// Chapter 02: three logits become bets, a price and a step.
import { bars, button, choice, controls, h, number, slider, status } from "../kit.js";

const LETTERS = ["a", "b", "c"];

/**
 * Bets, price and the step that each logit wants: p − y.
 * @param {number[]} logits
 * @param {number} truth
 */
export function priced(logits, truth) {
  const best = Math.max(...logits), powers = logits.map((z) => Math.exp(z - best));
  const sum = powers.reduce((a, b) => a + b);
  const bets = powers.map((power) => power / sum);
  return { bets, price: -Math.log(bets[truth]), gradient: bets.map((p, i) => p - (i === truth ? 1 : 0)) };
}

/** @param {HTMLElement} stage */
export default function (stage) {
  let logits = [1, 0, -1], added = 0, truth = 1;
  const sliders = LETTERS.map((letter, i) => slider(
    { label: `logit of ${letter}`, min: -9, max: 9, step: "any", value: logits[i], show: (v) => number(v + added, 2) },
    (value) => { logits[i] = value; draw(); }));
  const betBars = bars("bet p", []), steps = bars("p − y: the step takes this away from the logit", [], { signed: true });
  const said = status();

  function draw() {
    const { bets, price, gradient } = priced(logits.map((z) => z + added), truth);
    const kind = (/** @type {number} */ i) => (i === truth ? "true" : "");
    betBars.update(LETTERS.map((label, i) => ({ label, share: bets[i], text: number(bets[i], 3), kind: kind(i) })));
    steps.update(LETTERS.map((label, i) => ({ label, share: gradient[i], text: number(gradient[i], 3), kind: kind(i) })));
    said.textContent = `The truth is ${LETTERS[truth]}. The price is −ln ${number(bets[truth], 3)} = ${number(price, 3)} nats.`;
  }
  /** @param {(z: number, i: number) => number} change */
  const all = (change) => {
    logits = logits.map(change);
    sliders.forEach((one, i) => one.set(logits[i]));
    draw();
  };

  draw();
  stage.append(
    controls(...sliders, choice({ label: "What came", options: LETTERS.map((letter, i) => [i, letter]), value: truth },
      (value) => { truth = value; draw(); })),
    h("div", { class: "pair" }, betBars, steps), said,
    controls(button("One step", () => all((z, i) => z - priced(logits, truth).gradient[i])),
      button("+100 to all", () => { added += 100; all((z) => z); }),
      button("Start again", () => { added = 0; all((_, i) => 1 - i); })));
}
