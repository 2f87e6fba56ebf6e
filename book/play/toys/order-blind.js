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

const ALONG = [0.5, 0.25, 0.75, 0, 1]; // how far along its step a name may stand, the best first

/**
 * Where the names of a way's steps stand: each beside its step, as far as it is wide.
 * Of all choices it takes the one in which the least lies on a name, the way or a dot.
 * @param {number[][]} corners in pixels, one more than names
 * @param {string[]} names
 * @param {number[][]} dots
 */
export function beside(corners, names, dots) {
  const onWay = corners.slice(1).flatMap(([u, v], t) => Array.from({ length: 20 }, (_, i) =>
    [corners[t][0] + (i / 19) * (u - corners[t][0]), corners[t][1] + (i / 19) * (v - corners[t][1])]));
  const spots = names.map((name, t) => {
    const [[x, y], [u, v]] = [corners[t], corners[t + 1]], length = Math.hypot(u - x, v - y) || 1;
    const across = [(y - v) / length, (u - x) / length], wide = 4.5 * name.length + 1, high = 9;
    const far = 3 + wide * Math.abs(across[0]) + high * Math.abs(across[1]);
    return ALONG.flatMap((along, rank) => [1, -1].map((side) => {
      const at = [x + along * (u - x) + side * far * across[0], y + along * (v - y) + side * far * across[1]];
      /** @param {number} more */
      const hit = (more) => (/** @type {number[]} */ [a, b]) => Math.abs(a - at[0]) < wide + more && Math.abs(b - at[1]) < high + more;
      return { at, wide, high, lies: rank / 9 + onWay.filter(hit(0)).length + 20 * dots.filter(hit(6)).length };
    }));
  });
  let best = { lies: Infinity, places: names.map(() => [0, 0]) };
  /** @param {typeof spots[0]} chosen @param {number} lies */
  function go(chosen, lies) {
    if (lies >= best.lies) return;
    if (chosen.length === names.length) { best = { lies, places: chosen.map(({ at }) => at) }; return; }
    for (const spot of spots[chosen.length]) {
      const on = chosen.filter((other) => Math.abs(other.at[0] - spot.at[0]) < other.wide + spot.wide
        && Math.abs(other.at[1] - spot.at[1]) < other.high + spot.high);
      go([...chosen, spot], lies + spot.lies + 50 * on.length);
    }
  }
  go([], 0);
  return best.places;
}

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
    const corners = [[0, 0]];
    for (const [a, b] of steps) corners.push([corners[corners.length - 1][0] + a, corners[corners.length - 1][1] + b]);
    const kinds = words.map(({ word }) => (word === "Bobby" ? "b" : word === "a" ? "c" : "a"));
    kinds.forEach((kind, t) => picture.arrow(/** @type {[number, number]} */ (corners[t]),
      /** @type {[number, number]} */ (corners[t + 1]), kind));
    const places = beside(corners.map(([x, y]) => [picture.px(x), picture.py(y)]), words.map(({ word }) => word),
      [first, now].map(({ mixture: [x, y] }) => [picture.px(x), picture.py(y)]));
    places.forEach(([x, y], t) => picture.layer.append(s("text", { class: kinds[t], "text-anchor": "middle",
      x: x.toFixed(2), y: (y + 4).toFixed(2) }, words[t].word)));
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
