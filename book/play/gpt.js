// GPT-2 as in chapter 11, token by token or a text at once: keys and values stay in a cache.
import { linear, mapped } from "./linear.js";

/** @typedef {import("./weights.js").Tensor} Tensor */
/** @typedef {{ n_layer: number, n_head: number, n_embd: number, n_positions: number,
 *              vocab_size: number, layer_norm_epsilon: number }} Config */

const GELU = Math.sqrt(2 / Math.PI);

/**
 * Level each row of x (T, C).
 * @param {Float64Array} x
 * @param {Tensor} weight
 * @param {Tensor} bias
 * @param {number} epsilon
 */
function layerNorm(x, weight, bias, epsilon) {
  const C = weight.data.length, y = new Float64Array(x.length);
  for (let from = 0; from < x.length; from += C) {
    let mean = 0, variance = 0;
    for (let c = 0; c < C; c++) mean += x[from + c] / C;
    for (let c = 0; c < C; c++) variance += (x[from + c] - mean) ** 2 / C;
    const scale = 1 / Math.sqrt(variance + epsilon);
    for (let c = 0; c < C; c++) y[from + c] = (x[from + c] - mean) * scale * weight.data[c] + bias.data[c];
  }
  return y;
}

/**
 * Bend each number, in place. v (1 + tanh u) / 2 is v - v / (e^2u + 1), and e is the faster one.
 * @param {Float64Array} x
 */
function gelu(x) {
  for (let i = 0; i < x.length; i++) {
    const v = x[i];
    x[i] = v - v / (Math.exp(2 * GELU * (v + 0.044715 * v * v * v)) + 1);
  }
  return x;
}

/** @param {Float64Array} x @param {Float64Array} more */
function add(x, more) {
  for (let i = 0; i < x.length; i++) x[i] += more[i];
}

/**
 * Powers of e that sum to 1, in place.
 * @param {Float64Array} scores
 * @returns {Float64Array}
 */
export function softmax(scores) {
  let best = -Infinity, sum = 0;
  for (let i = 0; i < scores.length; i++) best = Math.max(best, scores[i]);
  for (let i = 0; i < scores.length; i++) sum += scores[i] = Math.exp(scores[i] - best);
  for (let i = 0; i < scores.length; i++) scores[i] /= sum;
  return scores;
}

export class GPT {
  /**
   * @param {Config} config
   * @param {Map<string, Tensor>} weights
   */
  constructor(config, weights) {
    this.config = config;
    this.weights = weights;
    /** @type {Map<string, import("./linear.js").Linear>} */
    this.maps = new Map();
    /** What was read so far. @type {number[]} */
    this.ids = [];
    /** One table for each layer, a row for each place. @type {Float64Array[]} */
    this.keys = [];
    /** @type {Float64Array[]} */
    this.values = [];
    /** Shares of the newest token, one array for each layer and head. @type {Float64Array[][]} */
    this.shares = [];
    this.forget();
  }

  /** Begin a new text. */
  forget() {
    const { n_layer, n_positions, n_embd } = this.config;
    this.ids = [];
    this.keys = Array.from({ length: n_layer }, () => new Float64Array(n_positions * n_embd));
    this.values = Array.from({ length: n_layer }, () => new Float64Array(n_positions * n_embd));
    this.shares = [];
  }

  /**
   * @param {string} name
   * @returns {Tensor}
   */
  named(name) {
    const found = this.weights.get(`transformer.${name}`);
    if (!found) throw new Error(`The weights have no ${name}: they belong to another model.`);
    return found;
  }

  /**
   * @param {Float64Array} x
   * @param {string} name
   */
  normed(x, name) {
    const epsilon = this.config.layer_norm_epsilon;
    return layerNorm(x, this.named(`${name}.weight`), this.named(`${name}.bias`), epsilon);
  }

  /**
   * @param {Float64Array} x
   * @param {string} name
   */
  mapped(x, name) {
    const known = this.maps.get(name) ?? linear(this.named(`${name}.weight`), this.named(`${name}.bias`));
    this.maps.set(name, known);
    return mapped(x, known);
  }

  /**
   * Read more tokens; the answer is a logit for each token that may follow the last of them.
   * @param {number[]} ids
   * @returns {Float64Array}
   */
  read(ids) {
    const { n_layer, n_embd: C, n_positions, vocab_size } = this.config, start = this.ids.length;
    if (start + ids.length > n_positions) throw new Error("The context is full: forget() begins anew.");
    const wte = this.named("wte.weight").data, wpe = this.named("wpe.weight").data;
    let x = new Float64Array(ids.length * C); // (T, C)
    ids.forEach((id, t) => {
      for (let c = 0; c < C; c++) x[t * C + c] = wte[id * C + c] + wpe[(start + t) * C + c];
    });
    this.ids.push(...ids);
    this.shares = [];
    for (let layer = 0; layer < n_layer; layer++) {
      const block = `h.${layer}`, qkv = this.mapped(this.normed(x, `${block}.ln_1`), `${block}.attn.c_attn`);
      if (layer === n_layer - 1) x = x.slice(-C); // nobody asks what would follow the other tokens
      add(x, this.mapped(this.attend(qkv, layer, start, x.length / C), `${block}.attn.c_proj`));
      const hidden = this.mapped(this.normed(x, `${block}.ln_2`), `${block}.mlp.c_fc`); // (T, 4C)
      add(x, this.mapped(gelu(hidden), `${block}.mlp.c_proj`));
    }
    x = this.normed(x, "ln_f"); // (1, C)
    const logits = new Float64Array(vocab_size);
    for (let v = 0; v < vocab_size; v++) { // the table of tokens, read the other way
      for (let c = 0; c < C; c++) logits[v] += x[c] * wte[v * C + c];
    }
    return logits; // (V,)
  }

  /**
   * Let every head of the last `rows` tokens mix the values of all places up to its own.
   * @param {Float64Array} qkv (T, 3C)
   * @param {number} layer
   * @param {number} start the place of the first of the T
   * @param {number} rows
   * @returns {Float64Array} (rows, C)
   */
  attend(qkv, layer, start, rows) {
    const { n_head, n_embd: C } = this.config, size = C / n_head, T = qkv.length / (3 * C);
    const keys = this.keys[layer], values = this.values[layer], mixture = new Float64Array(rows * C);
    for (let t = 0; t < T; t++) {
      keys.set(qkv.subarray((3 * t + 1) * C, (3 * t + 2) * C), (start + t) * C);
      values.set(qkv.subarray((3 * t + 2) * C, (3 * t + 3) * C), (start + t) * C);
    }
    for (let row = 0; row < rows; row++) {
      const t = T - rows + row, place = start + t, to = row * C, newest = [];
      for (let from = 0; from < C; from += size) { // one head after the other
        const scores = new Float64Array(place + 1);
        for (let s = 0; s <= place; s++) {
          let score = 0;
          for (let d = from; d < from + size; d++) score += qkv[3 * t * C + d] * keys[s * C + d];
          scores[s] = score / Math.sqrt(size);
        }
        newest.push(softmax(scores)); // (T,)
        for (let s = 0; s <= place; s++) {
          for (let d = from; d < from + size; d++) mixture[to + d] += scores[s] * values[s * C + d];
        }
      }
      this.shares[layer] = newest;
    }
    return mixture;
  }
}

/**
 * Logits after the last of `ids`. What the cache holds is used where the text only grew. An
 * edited text is read anew; so is one past the context, where every token's place changes.
 * @param {GPT} model
 * @param {number[]} ids
 */
export function logitsAfter(model, ids) {
  const window = ids.slice(-model.config.n_positions);
  const grew = model.ids.length < window.length && model.ids.every((id, i) => id === window[i]);
  if (!grew) model.forget();
  return model.read(window.slice(model.ids.length));
}
