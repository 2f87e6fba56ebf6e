// From logits to the next token: the knobs of chapter 13, and the draw.

import { softmax } from "./gpt.js";

/** @typedef {{ temperature?: number, topK?: number, topP?: number, minP?: number,
 *              repetitionPenalty?: number }} Knobs */

/**
 * Turn logits into bets as the knobs say; temperature 0 bets all on the best.
 * @param {Float64Array} logits
 * @param {Knobs} knobs
 * @param {number[]} ids the text so far, for the repetition penalty
 * @returns {Float64Array}
 */
export function bets(logits, knobs = {}, ids = []) {
  const { temperature = 1, topK, topP, minP, repetitionPenalty = 1 } = knobs;
  /** @type {Float64Array} */
  let z = Float64Array.from(logits);
  // dividing would pull a negative logit up, so that one is multiplied
  for (const id of new Set(ids)) z[id] = z[id] < 0 ? z[id] * repetitionPenalty : z[id] / repetitionPenalty;
  const best = Math.max(...z);
  if (temperature === 0) {
    const first = z.indexOf(best);
    return z.map((_, id) => (id === first ? 1 : 0));
  }
  z = z.map((value) => (value - best) / Math.max(temperature, 1e-30)); // the best is 0: no overflow
  if (topK !== undefined) z = keepTopK(z, topK);
  if (topP !== undefined) z = keepTopP(z, topP);
  if (minP !== undefined) z = keepMinP(z, minP);
  return softmax(z);
}

/**
 * The k best, and those that tie with the last.
 * @param {Float64Array} z
 * @param {number} k
 */
function keepTopK(z, k) {
  const last = Float64Array.from(z).sort()[Math.max(0, z.length - k)];
  return z.map((value) => (value < last ? -Infinity : value));
}

/**
 * The fewest best tokens whose bets reach p together.
 * @param {Float64Array} z
 * @param {number} p
 */
function keepTopP(z, p) {
  const shares = softmax(Float64Array.from(z));
  const order = [...z.keys()].sort((a, b) => z[b] - z[a]);
  const kept = new Set();
  let reached = 0;
  for (const id of order) {
    if (kept.size && reached >= p) break;
    kept.add(id);
    reached += shares[id];
  }
  return p === 1 ? z : z.map((value, id) => (kept.has(id) ? value : -Infinity));
}

/**
 * The tokens that are at least p times as likely as the best one.
 * @param {Float64Array} z
 * @param {number} p
 */
function keepMinP(z, p) {
  const shares = softmax(Float64Array.from(z)), best = Math.max(...shares);
  return z.map((value, id) => (shares[id] < p * best ? -Infinity : value));
}

/**
 * Draw one token: `chance` lies from 0 to 1.
 * @param {Float64Array} shares
 * @param {number} chance
 */
export function draw(shares, chance = Math.random()) {
  let left = chance, last = 0;
  for (let id = 0; id < shares.length; id++) {
    if (shares[id] === 0) continue;
    last = id; // rounding may leave a little over: then the last one that can come
    left -= shares[id];
    if (left < 0) return id;
  }
  return last;
}
