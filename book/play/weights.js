// Reads a .safetensors file: a length, a header in JSON, and the numbers behind it.

/** @typedef {{ shape: number[], data: Float32Array }} Tensor */

/**
 * Turn a half-precision number's 16 bits into a number.
 * @param {number} bits
 */
export function half(bits) {
  const sign = bits & 0x8000 ? -1 : 1, exponent = (bits >> 10) & 31, rest = bits & 1023;
  if (exponent === 0) return sign * rest * 2 ** -24; // too small for an exponent of its own
  if (exponent === 31) return rest ? NaN : sign * Infinity;
  return sign * (1 + rest / 1024) * 2 ** (exponent - 15);
}

/** @type {Record<string, (view: DataView, at: number) => number>} */
const READ = {
  F32: (view, at) => view.getFloat32(at, true),
  F16: (view, at) => half(view.getUint16(at, true)),
};
/** @type {Record<string, number>} */
const BYTES = { F32: 4, F16: 2 };

/**
 * Read every tensor of a file as float32; an Error says what is wrong with the file.
 * @param {ArrayBuffer} file
 * @returns {Map<string, Tensor>}
 */
export function readWeights(file) {
  const view = new DataView(file);
  const length = file.byteLength < 8 ? NaN : Number(view.getBigUint64(0, true));
  if (!(length <= file.byteLength - 8)) throw new Error("This is no safetensors file, or it was cut off.");
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(file, 8, length)));
  const tensors = new Map();
  for (const [name, entry] of Object.entries(header)) {
    if (name === "__metadata__") continue;
    const { dtype, shape, data_offsets: [from, to] } = entry;
    const count = shape.reduce((/** @type {number} */ a, /** @type {number} */ b) => a * b, 1);
    const start = 8 + length + from;
    if (!READ[dtype] || to - from !== count * BYTES[dtype] || start + to - from > file.byteLength) {
      throw new Error(`The weights named ${name} cannot be read: they are ${dtype}, ${to - from} bytes.`);
    }
    const data = new Float32Array(count);
    for (let i = 0; i < count; i++) data[i] = READ[dtype](view, start + i * BYTES[dtype]);
    tensors.set(name, { shape, data });
  }
  return tensors;
}
