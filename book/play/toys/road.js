// Chapter 10: what the residual road carries up, and how much of the blame comes down.
import { choice, controls, normal, number, plot, random, slider, status, tick } from "../kit.js";

const T = 8, C = 16, WIDE = 768, DEEPEST = 48;

/** @typedef {Float64Array} Row of 64 bits a number, or of 32 as in the chapter */
/** @typedef {{ y: Row, back: (dy: Row) => Row }} Passed */
/** @typedef {{ skip: boolean, norm: "none" | "pre" | "post", depth: number, weight: number }} Setting */

/** @param {Row} like @param {number} size @returns {Row} */
const empty = (like, size) => new (/** @type {any} */ (like.constructor))(size);

/**
 * A linear layer, with weights (out, in) as PyTorch has them, all times `scale`.
 * @param {Row} x
 * @param {Row} w
 * @param {number} out
 * @param {number} scale
 * @returns {Passed}
 */
function linear(x, w, out, scale) {
  const inside = w.length / out, y = empty(x, T * out);
  for (let t = 0; t < T; t++) for (let o = 0; o < out; o++) {
    let sum = 0;
    for (let i = 0; i < inside; i++) sum += x[t * inside + i] * w[o * inside + i];
    y[t * out + o] = sum * scale;
  }
  const back = (/** @type {Row} */ dy) => {
    const dx = empty(x, T * inside);
    for (let t = 0; t < T; t++) for (let o = 0; o < out; o++) {
      const d = dy[t * out + o] * scale;
      for (let i = 0; i < inside; i++) dx[t * inside + i] += d * w[o * inside + i];
    }
    return dx;
  };
  return { y, back };
}

/** @param {Row} x @returns {Passed} */
function level(x) {
  const y = empty(x, x.length), spreads = empty(x, T);
  for (let t = 0; t < T; t++) {
    const token = x.subarray(t * C, t * C + C), mean = token.reduce((a, b) => a + b, 0) / C;
    spreads[t] = Math.sqrt(token.reduce((a, b) => a + (b - mean) ** 2, 0) / C + 1e-5);
    for (let i = 0; i < C; i++) y[t * C + i] = (token[i] - mean) / spreads[t];
  }
  const back = (/** @type {Row} */ dy) => dy.map((d, at) => {
    const t = Math.floor(at / C);
    let mean = 0, along = 0;
    for (let i = t * C; i < t * C + C; i++) { mean += dy[i] / C; along += (dy[i] * y[i]) / C; }
    return (d - mean - y[at] * along) / spreads[t];
  });
  return { y, back };
}

/** @param {Row} x @param {Row} wide @param {Row} narrow @param {number} scale @returns {Passed} */
function think(x, wide, narrow, scale) {
  const fc = linear(x, wide, 4 * C, scale), k = Math.sqrt(2 / Math.PI);
  const bend = fc.y.map((u) => 0.5 * u * (1 + Math.tanh(k * (u + 0.044715 * u ** 3))));
  const proj = linear(bend, narrow, C, scale);
  return { y: proj.y, back: (dy) => fc.back(proj.back(dy).map((d, i) => {
    const u = fc.y[i], th = Math.tanh(k * (u + 0.044715 * u ** 3));
    return d * (0.5 * (1 + th) + 0.5 * u * (1 - th * th) * k * (1 + 3 * 0.044715 * u * u));
  })) };
}

/** @param {Row} x @param {Row} maps @param {Row} last @param {number} scale @returns {Passed} */
function look(x, maps, last, scale) {
  const three = linear(x, maps, 3 * C, scale), qkv = three.y, mixed = empty(x, T * C), weights = empty(x, T * T);
  const at = (/** @type {number} */ t, /** @type {number} */ which) => qkv.subarray((3 * t + which) * C, (3 * t + which + 1) * C);
  const dot = (/** @type {Row} */ a, /** @type {Row} */ b) => { let sum = 0; for (let i = 0; i < C; i++) sum += a[i] * b[i]; return sum; };
  for (let t = 0; t < T; t++) {
    const scores = empty(x, t + 1).map((_, s) => dot(at(t, 0), at(s, 1)) / Math.sqrt(C)), best = scores.reduce((a, b) => Math.max(a, b));
    const powers = scores.map((score) => Math.exp(score - best)), sum = powers.reduce((a, b) => a + b);
    powers.forEach((power, s) => {
      const value = at(s, 2), w = (weights[t * T + s] = power / sum);
      for (let i = 0; i < C; i++) mixed[t * C + i] += w * value[i];
    });
  }
  const proj = linear(mixed, last, C, scale);
  return { y: proj.y, back: (dy) => {
    const d = proj.back(dy), dqkv = empty(x, T * 3 * C);
    for (let t = 0; t < T; t++) {
      const mine = d.subarray(t * C, t * C + C), slopes = empty(x, t + 1).map((_, s) => dot(mine, at(s, 2)));
      const mean = slopes.reduce((sum, slope, s) => sum + slope * weights[t * T + s], 0);
      slopes.forEach((slope, s) => {
        const w = weights[t * T + s], ds = (w * (slope - mean)) / Math.sqrt(C), query = at(t, 0), key = at(s, 1);
        for (let i = 0; i < C; i++) {
          dqkv[3 * t * C + i] += ds * key[i];
          dqkv[(3 * s + 1) * C + i] += ds * query[i];
          dqkv[(3 * s + 2) * C + i] += w * mine[i];
        }
      });
    }
    return three.back(dqkv);
  } };
}

/**
 * Numbers of spread 1: what enters, the blame at the top, and the four maps of each pair.
 * They have 32 bits as in the chapter, or 64 if they are to be `exact`.
 * @param {number} depth
 * @param {boolean} exact
 */
export function drawn(depth, exact) {
  const rng = random(10), kind = /** @type {typeof Float64Array} */ (exact ? Float64Array : /** @type {any} */ (Float32Array));
  const some = (/** @type {number} */ size) => kind.from({ length: size }, () => normal(rng));
  const x = some(T * C), blame = some(T * C);
  return { x, blame, maps: Array.from({ length: depth }, () => [3 * C * C, C * C, 4 * C * C, 4 * C * C].map(some)) };
}

/** @param {Row} row */
function spread(row) {
  const mean = row.reduce((a, b) => a + b, 0) / row.length;
  return Math.sqrt(row.reduce((a, b) => a + (b - mean) ** 2, 0) / row.length);
}

/**
 * Go up the road and down again: the stream's spread at every pair, and the blame's share of that at the top.
 * @param {Setting} setting
 * @param {ReturnType<typeof drawn>} dice
 */
export function walk({ skip, norm, depth, weight }, dice = drawn(depth, true)) {
  // Weights of this spread at GPT-2's width: a narrow map needs larger ones to answer as loudly.
  const scale = weight * Math.sqrt(WIDE / C), up = [spread(dice.x)], down = [1], backs = [];
  let x = /** @type {Row} */ (dice.x), d = /** @type {Row} */ (dice.blame);
  for (const [a, b, c, e] of dice.maps.slice(0, depth)) {
    for (const part of [(/** @type {Row} */ r) => look(r, a, b, scale), (/** @type {Row} */ r) => think(r, c, e, scale)]) {
      const before = norm === "pre" ? level(x) : null, { y, back } = part(before ? before.y : x), old = x;
      const sum = skip ? y.map((v, i) => v + old[i]) : y, after = norm === "post" ? level(sum) : null;
      backs.push((/** @type {Row} */ dy) => {
        const ds = after ? after.back(dy) : dy, dr = back(ds), dx = before ? before.back(dr) : dr;
        return skip ? dx.map((v, i) => v + ds[i]) : dx;
      });
      x = after ? after.y : sum;
    }
    up.push(spread(x));
  }
  const length = (/** @type {Row} */ row) => Math.sqrt(row.reduce((a, v) => a + v * v, 0));
  backs.reverse().forEach((back, i) => { d = back(d); if (i % 2) down.unshift(length(d) / length(dice.blame)); });
  return { up, down };
}

/** @param {HTMLElement} stage */
export default function (stage) {
  const dice = drawn(DEEPEST, false), setting = /** @type {Setting} */ ({ skip: true, norm: "none", depth: DEEPEST, weight: 0.02 });
  const picture = plot({ label: "spread of the stream and size of the blame at every pair", x: [0, DEEPEST], y: [-8, 8], yTicks: [-8, -4, 0, 4, 8],
    xLabel: "pairs of attention and MLP, from 0 to 48", width: 310, height: 240, show: (v) => (v ? `1e${number(v, 0)}` : "1") });
  const said = status();
  /** @param {number} v */
  const plain = (v) => {
    if (v >= 1e4 || (v > 0 && v < 1e-3)) return v.toExponential(0).replace("-", "−").replace("+", "");
    return v < 10 ? number(v, v < 0.1 ? 3 : 2) : Math.round(v).toLocaleString("en");
  };

  function draw() {
    const { up, down } = walk(setting, dice), { depth } = setting;
    picture.clear();
    [up, down].forEach((line, i) => {
      const points = line.map((v, l) => /** @type {[number, number]} */ ([l, Math.log10(v)])).filter(([, y]) => Math.abs(y) <= 8);
      picture.line(points, "ab"[i]);
      points.filter(([l]) => l === [depth, 0][i]).forEach(([l, y]) => picture.dot(l, y, "ab"[i], 4));
    });
    picture.text(1, 7, "→ line: spread of the stream", "a");
    picture.text(1, 6, "← dashes: size of the blame", "b");
    const lost = up.findIndex((v) => !Number.isFinite(v)), many = depth === 1 ? "1 pair" : `${depth} pairs`;
    const below = Number.isFinite(down[0]) ? `At the entrance the blame is ${plain(down[0])} times that at the top.` : "The blame is nan.";
    said.textContent = lost >= 0 ? `The stream is a number for ${lost - 1} pairs, and nan from there on.`
      : `After ${many} the stream's spread is ${plain(up[depth])}. ${below}`;
  }

  draw();
  stage.append(controls(
    choice({ label: "Norm", options: [["none", "none"], ["pre", "pre (on the ramp)"], ["post", "post (on the road)"]], value: setting.norm },
      (value) => { setting.norm = value; draw(); }),
    tick("skip connections", setting.skip, (value) => { setting.skip = value; draw(); }),
    slider({ label: "pairs", min: 1, max: DEEPEST, step: 1, value: setting.depth, show: String }, (value) => { setting.depth = value; draw(); }),
    slider({ label: "weights", min: 0.02, max: 0.06, step: 0.01, value: setting.weight }, (value) => { setting.weight = value; draw(); })),
  picture, said);
}
