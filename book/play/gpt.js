// GPT-2 as in chapter 11, one token at a time: keys and values of the past stay in a cache.

/** @typedef {import("./weights.js").Tensor} Tensor */
/** @typedef {{ n_layer: number, n_head: number, n_embd: number, n_positions: number,
 *              vocab_size: number, layer_norm_epsilon: number }} Config */

const GELU = Math.sqrt(2 / Math.PI);

/**
 * y = x W + b, where W (in, out) lies row by row, as GPT-2's files keep it.
 * @param {Float32Array} x
 * @param {Tensor} weight
 * @param {Tensor} bias
 * @returns {Float32Array}
 */
function linear(x, weight, bias) {
  const [inputs, outputs] = weight.shape, w = weight.data, y = bias.data.slice();
  for (let i = 0, at = 0; i < inputs; i++) {
    const xi = x[i];
    for (let j = 0; j < outputs; j++) y[j] += xi * w[at++];
  }
  return y; // (out,)
}

/**
 * @param {Float32Array} x
 * @param {Tensor} weight
 * @param {Tensor} bias
 * @param {number} epsilon
 */
function layerNorm(x, weight, bias, epsilon) {
  const mean = x.reduce((sum, v) => sum + v, 0) / x.length;
  const variance = x.reduce((sum, v) => sum + (v - mean) ** 2, 0) / x.length;
  const scale = 1 / Math.sqrt(variance + epsilon);
  return x.map((v, i) => (v - mean) * scale * weight.data[i] + bias.data[i]);
}

/**
 * Powers of e that sum to 1, in place.
 * @template {Float32Array | Float64Array} T
 * @param {T} scores
 * @returns {T}
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
    /** What was read so far. @type {number[]} */
    this.ids = [];
    /** One table for each layer, a row for each place. @type {Float32Array[]} */
    this.keys = [];
    /** @type {Float32Array[]} */
    this.values = [];
    /** Shares of the newest token, one array for each layer and head. @type {Float32Array[][]} */
    this.shares = [];
    this.forget();
  }

  /** Begin a new text. */
  forget() {
    const { n_layer, n_positions, n_embd } = this.config;
    this.ids = [];
    this.keys = Array.from({ length: n_layer }, () => new Float32Array(n_positions * n_embd));
    this.values = Array.from({ length: n_layer }, () => new Float32Array(n_positions * n_embd));
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
   * @param {Float32Array} x
   * @param {string} name
   */
  normed(x, name) {
    const epsilon = this.config.layer_norm_epsilon;
    return layerNorm(x, this.named(`${name}.weight`), this.named(`${name}.bias`), epsilon);
  }

  /**
   * @param {Float32Array} x
   * @param {string} name
   */
  mapped(x, name) {
    return linear(x, this.named(`${name}.weight`), this.named(`${name}.bias`));
  }

  /**
   * Read one more token; the answer is a logit for each token that may follow.
   * @param {number} id
   * @returns {Float32Array}
   */
  read(id) {
    const { n_layer, n_embd, n_positions, vocab_size } = this.config;
    if (this.ids.length >= n_positions) throw new Error("The context is full: forget() begins anew.");
    const wte = this.named("wte.weight").data, wpe = this.named("wpe.weight").data;
    const place = this.ids.push(id) - 1;
    let x = new Float32Array(n_embd); // (C,)
    for (let c = 0; c < n_embd; c++) x[c] = wte[id * n_embd + c] + wpe[place * n_embd + c];
    this.shares = [];
    for (let layer = 0; layer < n_layer; layer++) {
      const block = `h.${layer}`;
      const mixed = this.attend(this.normed(x, `${block}.ln_1`), layer, place);
      x = x.map((v, c) => v + mixed[c]);
      const hidden = this.mapped(this.normed(x, `${block}.ln_2`), `${block}.mlp.c_fc`); // (4C,)
      const bent = hidden.map((v) => 0.5 * v * (1 + Math.tanh(GELU * (v + 0.044715 * v ** 3))));
      const thought = this.mapped(bent, `${block}.mlp.c_proj`);
      x = x.map((v, c) => v + thought[c]);
    }
    x = this.normed(x, "ln_f");
    const logits = new Float32Array(vocab_size);
    for (let v = 0; v < vocab_size; v++) {
      let sum = 0; // the table of tokens, read the other way
      for (let c = 0; c < n_embd; c++) sum += x[c] * wte[v * n_embd + c];
      logits[v] = sum;
    }
    return logits; // (V,)
  }

  /**
   * Every head mixes the values of all places so far.
   * @param {Float32Array} x
   * @param {number} layer
   * @param {number} place
   */
  attend(x, layer, place) {
    const { n_head, n_embd } = this.config, size = n_embd / n_head;
    const keys = this.keys[layer], values = this.values[layer];
    const qkv = this.mapped(x, `h.${layer}.attn.c_attn`); // (3C,)
    keys.set(qkv.subarray(n_embd, 2 * n_embd), place * n_embd);
    values.set(qkv.subarray(2 * n_embd), place * n_embd);
    const mixture = new Float32Array(n_embd);
    this.shares[layer] = [];
    for (let from = 0; from < n_embd; from += size) { // one head after the other
      const scores = new Float32Array(place + 1);
      for (let t = 0; t <= place; t++) {
        let score = 0;
        for (let d = from; d < from + size; d++) score += qkv[d] * keys[t * n_embd + d];
        scores[t] = score / Math.sqrt(size);
      }
      this.shares[layer].push(softmax(scores)); // (T,)
      for (let t = 0; t <= place; t++) {
        for (let d = from; d < from + size; d++) mixture[d] += scores[t] * values[t * n_embd + d];
      }
    }
    return this.mapped(mixture, `h.${layer}.attn.c_proj`);
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
  /** @type {Float32Array} */
  let logits = new Float32Array();
  for (const id of window.slice(model.ids.length)) logits = model.read(id);
  return logits;
}
