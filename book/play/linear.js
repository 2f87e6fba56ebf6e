// y = x W + b, the product in which the model spends its time, for many rows at once.

/** @typedef {import("./weights.js").Tensor} Tensor */
/** @typedef {{ inputs: number, outputs: number, columns: Float64Array, bias: Float32Array }} Linear */

const TOGETHER = 8;

/**
 * Lay a map's columns one behind the other, as the sums below run through them. GPT-2's files keep
 * W (in, out) row by row. In float64, since JavaScript computes in it and need not convert.
 * @param {Tensor} weight
 * @param {Tensor} bias
 * @returns {Linear}
 */
export function linear(weight, bias) {
  const [inputs, outputs] = weight.shape, columns = new Float64Array(inputs * outputs);
  for (let i = 0; i < inputs; i++) {
    for (let j = 0; j < outputs; j++) columns[j * inputs + i] = weight.data[i * outputs + j];
  }
  return { inputs, outputs, columns, bias: bias.data };
}

/**
 * Map the rows of x (T, in) to y (T, out). Eight rows go together: each number of W is fetched once
 * for eight products, and their sums do not wait for each other. That is four times as fast.
 * @param {Float64Array} x
 * @param {Linear} map
 * @returns {Float64Array}
 */
export function mapped(x, { inputs, outputs, columns, bias }) {
  const rows = x.length / inputs, y = new Float64Array(rows * outputs);
  const packed = new Float64Array(TOGETHER * inputs); // number i of all eight, then number i + 1
  let t = 0;
  for (; t + TOGETHER <= rows; t += TOGETHER) {
    for (let r = 0; r < TOGETHER; r++) {
      for (let i = 0; i < inputs; i++) packed[i * TOGETHER + r] = x[(t + r) * inputs + i];
    }
    for (let j = 0, at = 0; j < outputs; j++) {
      let a = bias[j], b = a, c = a, d = a, e = a, f = a, g = a, h = a;
      for (let p = 0; p < packed.length; p += TOGETHER) {
        const w = columns[at++];
        a += w * packed[p]; b += w * packed[p + 1]; c += w * packed[p + 2]; d += w * packed[p + 3];
        e += w * packed[p + 4]; f += w * packed[p + 5]; g += w * packed[p + 6]; h += w * packed[p + 7];
      }
      let out = t * outputs + j;
      for (const sum of [a, b, c, d, e, f, g, h]) { y[out] = sum; out += outputs; }
    }
  }
  for (; t < rows; t++) { // those that are left, and a single token
    for (let j = 0, at = 0; j < outputs; j++) {
      let sum = bias[j];
      for (let i = t * inputs; i < (t + 1) * inputs; i++) sum += columns[at++] * x[i];
      y[t * outputs + j] = sum;
    }
  }
  return y;
}
