// y = x W + b, the product in which the model spends its time, for many rows at once.

/** @typedef {import("./weights.js").Tensor} Tensor */
/** @typedef {{ inputs: number, outputs: number, columns: Float64Array, bias: Float32Array }} Linear */

const ROWS = 4;

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
 * Map the rows of x (T, in) to y (T, out). Four rows meet two columns at a time: six numbers are
 * fetched for eight products, and their sums do not wait for each other. That is three times as fast.
 * @param {Float64Array} x
 * @param {Linear} map
 * @returns {Float64Array}
 */
export function mapped(x, { inputs, outputs, columns, bias }) {
  const rows = x.length / inputs, y = new Float64Array(rows * outputs), even = outputs - outputs % 2;
  const packed = new Float64Array(ROWS * inputs); // number i of all four, then number i + 1
  let t = 0;
  for (; t + ROWS <= rows; t += ROWS) {
    for (let r = 0; r < ROWS; r++) {
      for (let i = 0; i < inputs; i++) packed[i * ROWS + r] = x[(t + r) * inputs + i];
    }
    for (let j = 0; j < even; j += 2) {
      let a0 = bias[j], a1 = a0, a2 = a0, a3 = a0, b0 = bias[j + 1], b1 = b0, b2 = b0, b3 = b0;
      for (let p = 0, at = j * inputs; p < packed.length; p += ROWS, at++) {
        const a = columns[at], b = columns[at + inputs];
        const x0 = packed[p], x1 = packed[p + 1], x2 = packed[p + 2], x3 = packed[p + 3];
        a0 += a * x0; a1 += a * x1; a2 += a * x2; a3 += a * x3;
        b0 += b * x0; b1 += b * x1; b2 += b * x2; b3 += b * x3;
      }
      let out = t * outputs + j;
      y[out] = a0; y[out + 1] = b0; out += outputs;
      y[out] = a1; y[out + 1] = b1; out += outputs;
      y[out] = a2; y[out + 1] = b2; out += outputs;
      y[out] = a3; y[out + 1] = b3;
    }
  }
  // What is left: a last column for the rows above, whole rows at the end, a single token.
  for (let row = 0; row < rows; row++) {
    for (let j = row < t ? even : 0, at = j * inputs; j < outputs; j++) {
      let sum = bias[j];
      for (let i = row * inputs; i < (row + 1) * inputs; i++) sum += columns[at++] * x[i];
      y[row * outputs + j] = sum;
    }
  }
  return y;
}
