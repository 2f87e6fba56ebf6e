// Chapter 07: shuffle the words before the last one; its mixture stays, until places have vectors.
import { bars, button, controls, h, number, plot, random, s, status, tick } from "../kit.js";

/** @typedef {{ word: string, vector: number[] }} Word */
/** @type {Word[]} */
const SENTENCE = [
  { word: "Bobby", vector: [2.2, 0.3] }, { word: "now", vector: [0.2, 1.8] }, { word: "often", vector: [1.8, -1] },
  { word: "is", vector: [0.6, 1.4] }, { word: "a", vector: [0.8, 0.6] },
];
const PLACES = [[0.6, 0.2], [-0.3, 0.6], [0.3, -0.6], [-0.6, -0.2], [0.2, 0.4]]; // one for each place

/**
 * What the last word looks at, and its mixture: each vector is query, key and value at once.
 * @param {number[][]} vectors
 */
export function lookBack(vectors) {
  const last = vectors[vectors.length - 1], root = Math.sqrt(last.length);
  const scores = vectors.map((vector) => vector.reduce((sum, v, i) => sum + v * last[i], 0) / root);
  const best = Math.max(...scores), powers = scores.map((score) => Math.exp(score - best));
  const sum = powers.reduce((a, b) => a + b), shares = powers.map((power) => power / sum);
  return { shares, mixture: last.map((_, i) => vectors.reduce((total, vector, j) => total + shares[j] * vector[i], 0)) };
}

/**
 * Vectors of the words in their order, each with the vector of its place where that is wanted.
 * @param {Word[]} words
 * @param {boolean} placed
 */
export const seen = (words, placed) =>
  words.map(({ vector }, t) => vector.map((v, i) => v + (placed ? PLACES[t][i] : 0)));

/** @param {HTMLElement} stage */
export default function (stage) {
  const dice = random(7);
  let words = [...SENTENCE], placed = false;
  const row = h("p", { class: "words" }), shares = bars("word a looks at", []), said = status();
  const picture = plot({
    label: "the shares of the words, laid head to tail from (0, 0), end at the mixture",
    x: [-0.15, 1.8], y: [-0.25, 1.3], xTicks: [0, 0.5, 1, 1.5], yTicks: [0, 0.5, 1], width: 312, height: 249,
  });

  function draw() {
    const vectors = seen(words, placed), now = lookBack(vectors), first = lookBack(seen(SENTENCE, placed));
    row.replaceChildren(...words.map(({ word }, t) => h("span", { class: t < 4 ? "chip" : "chip new" }, word, h("small", {}, `place ${t}`))));
    shares.update(words.map(({ word }, t) => ({ label: `${t} ${word}`, share: now.shares[t], text: number(now.shares[t], 3) })));
    picture.clear();
    const steps = vectors.map((vector, t) => vector.map((v) => v * now.shares[t]));
    const way = steps.map(([a, b]) => Math.atan2(b, a));
    let at = [0, 0];
    steps.forEach(([a, b], t) => {
      const word = words[t].word, kind = word === "Bobby" ? "b" : word === "a" ? "c" : "a";
      picture.arrow([at[0], at[1]], [at[0] + a, at[1] + b], kind);
      // The name stands where the way does not turn to.
      const turn = Math.sin(t < 4 ? way[t + 1] - way[t] : way[t] - way[t - 1]);
      const side = way[t] + (turn > 0 ? -1 : 1) * (Math.PI / 2);
      const x = at[0] + a / 2 + 0.17 * Math.cos(side), y = at[1] + b / 2 + 0.1 * Math.sin(side);
      picture.layer.append(s("text", { class: kind, "text-anchor": "middle",
        x: picture.px(x).toFixed(2), y: (picture.py(y) + 4).toFixed(2) }, word));
      at = [at[0] + a, at[1] + b];
    });
    picture.dot(first.mixture[0], first.mixture[1], "before", 9);
    picture.dot(now.mixture[0], now.mixture[1], "mixture", 5);
    const moved = Math.hypot(now.mixture[0] - first.mixture[0], now.mixture[1] - first.mixture[1]);
    const inOrder = words.every((word, t) => word === SENTENCE[t]);
    said.textContent = `The mixture of a is (${now.mixture.map((v) => number(v, 3)).join(", ")})${
      inOrder ? `, ${placed ? "with" : "without"} position embeddings.`
      : moved < 1e-9 ? ", the same as in order." : `. Shuffling has moved it by ${number(moved, 3)}.`}`;
  }

  /** @param {number} t */
  const swap = (t) => { [words[t - 1], words[t]] = [words[t], words[t - 1]]; draw(); };
  draw();
  stage.append(row, controls(
    ...[1, 2, 3].map((t) => button(`${t - 1} ⇄ ${t}`, () => swap(t))),
    button("Shuffle", () => {
      for (let t = 3; t > 0; t--) {
        const other = Math.floor(dice() * (t + 1));
        [words[t], words[other]] = [words[other], words[t]];
      }
      draw();
    }),
    button("In order", () => { words = [...SENTENCE]; draw(); }),
    tick("position embeddings", placed, (on) => { placed = on; draw(); })),
  h("div", { class: "pair" }, picture, shares), said);
}
