// Chapter 00: the price of a guess, −ln p, and of two guesses in a row.
import { controls, h, number, plot, s, slider, status } from "../kit.js";

/**
 * The price of two guesses: in nats, and in coins that must all come up heads.
 * @param {number} first
 * @param {number} second
 */
export function paid(first, second) {
  const nats = [first, second].map((p) => 0 - Math.log(p)), both = nats[0] + nats[1];
  return { chance: first * second, nats: [...nats, both], coins: [...nats, both].map((price) => price / Math.LN2) };
}

/** @param {HTMLElement} stage */
export default function (stage) {
  const guesses = [0.5, 0.25], coin = Math.LN2;
  /** @type {[number, number][]} */
  const points = Array.from({ length: 201 }, (_, i) => [2 ** (-i / 20), (i / 20) * coin]);
  const curve = plot({ label: "The curve of −ln p: nothing to pay at p = 1, and the less p, the steeper it rises", width: 320, height: 230,
    x: [0, 1.05], y: [0, 7.2], xLabel: "p: probability given to what came", yLabel: "price −ln p, in nats", xTicks: [0, 0.25, 0.5, 0.75, 1], yTicks: [0, 1, 2, 3, 4, 5, 6, 7] });
  const square = s("svg", { class: "plot", viewBox: "0 0 230 230", role: "img", "aria-label": "A square, its width cut at the first p and its height at the second" });
  const purse = plot({ label: "The two prices one behind the other, and as many coins", width: 320, height: 110,
    x: [0, 14], y: [0, 2.4], xLabel: "price of both, in nats", yLabel: "as many coins, all of them heads", xTicks: [0, 2, 4, 6, 8, 10, 12, 14] });
  const said = status(), show = (/** @type {number} */ p) => number(p, p < 0.1 ? 4 : 3);

  function draw() {
    const [first, second] = guesses, { chance, nats, coins } = paid(first, second);
    curve.clear();
    curve.line(points, "curve");
    curve.line([[first, 0], [first, nats[0]]], "a");
    curve.line([[second, 0], [second, nats[1]]], "b");
    curve.dot(first, nats[0], "a", 8);
    curve.dot(second, nats[1], "b", 5);
    drawSquare(first, second, chance);
    purse.clear();
    const bar = (/** @type {number} */ from, /** @type {number} */ to, /** @type {string} */ kind) => purse.layer.append(s("rect", {
      class: `paid ${kind}`, x: purse.px(from).toFixed(2), y: purse.py(1.1), width: (purse.px(to) - purse.px(from)).toFixed(2), height: purse.py(0.1) - purse.py(1.1) }));
    bar(0, nats[0], "a");
    bar(nats[0], nats[2], "b");
    for (let i = 0; i < Math.floor(coins[2] + 1e-9); i++) purse.dot((i + 0.5) * coin, 1.75, "c", 6);
    said.textContent = `The chances multiply: ${show(first)} · ${show(second)} = ${number(chance, chance < 0.1 ? 6 : 3)}. `
      + `The prices add: ${number(nats[0], 3)} + ${number(nats[1], 3)} = ${number(nats[2], 3)} nats, or ${number(coins[2], 1)} coins.`;
  }

  /** @param {number} first @param {number} second @param {number} chance */
  function drawSquare(first, second, chance) {
    const x = (5 + 200 * first).toFixed(2), y = (220 - 200 * second).toFixed(2);
    square.replaceChildren(
      s("rect", { class: "frame", x: 5, y: 20, width: 200, height: 200 }),
      s("rect", { class: "both", x: 5, y, width: (200 * first).toFixed(2), height: (200 * second).toFixed(2) }),
      s("path", { class: "line a", d: `M${x} 20 V220` }), s("path", { class: "line b", d: `M5 ${y} H205` }),
      s("text", { x: 5, y: 13 }, `filled: the chance of both, ${number(chance, chance < 0.1 ? 6 : 3)}`));
  }

  const one = (/** @type {string} */ label, /** @type {number} */ i) => slider( // ten steps to the left halve p: one coin more
    { label, min: -10, max: 0, step: 0.1, value: Math.log2(guesses[i]), show: (power) => show(2 ** power) },
    (power) => { guesses[i] = 2 ** power; draw(); });

  draw();
  stage.append(controls(one("p, first guess", 0), one("p, second guess", 1)),
    h("div", { class: "pair" }, curve, square), purse, said);
}
