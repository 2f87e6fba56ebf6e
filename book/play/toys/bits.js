// Chapter 14: one number in float32, float16 and bfloat16, bit by bit, and what rounding leaves of it.
import { button, controls, field, h, slider, status } from "../kit.js";

/** Name, bits of the exponent, bits of the mantissa. @type {[string, number, number][]} */
const FORMATS = [["float32", 8, 23], ["float16", 5, 10], ["bfloat16", 8, 7]];

const PARTS = ["sign", "exponent", "mantissa"];

/**
 * Round a float32 to a format, to the nearest, and a tie to the even mantissa; beyond the end it is infinite.
 * @param {number} value
 * @param {number} exponentBits
 * @param {number} mantissaBits
 */
export function rounded(value, exponentBits, mantissaBits) {
  const x = Math.fround(value), bias = 2 ** (exponentBits - 1) - 1, size = Math.abs(x);
  if (!Number.isFinite(x) || x === 0) return x;
  const spacing = 2 ** (Math.max(powerOf(size), 1 - bias) - mantissaBits); // between neighbours
  const steps = size / spacing, below = Math.floor(steps), over = steps - below;
  const nearest = (over > 0.5 || (over === 0.5 && below % 2) ? below + 1 : below) * spacing;
  return (x < 0 ? -1 : 1) * (nearest >= 2 ** (bias + 1) ? Infinity : nearest);
}

/** @param {number} size The largest whole k with 2ᵏ ≤ size; Math.log2 alone may be one off. */
function powerOf(size) {
  const power = Math.floor(Math.log2(size));
  return 2 ** power > size ? power - 1 : 2 ** (power + 1) <= size ? power + 1 : power;
}

/**
 * Sign, exponent and mantissa of a number that the format has.
 * @param {number} value
 * @param {number} exponentBits
 * @param {number} mantissaBits
 */
export function bitsOf(value, exponentBits, mantissaBits) {
  const bias = 2 ** (exponentBits - 1) - 1, size = Math.abs(value);
  const sign = value < 0 || Object.is(value, -0) ? "1" : "0";
  let exponent = 2 ** exponentBits - 1, mantissa = 0; // all ones: infinite, or no number
  if (Number.isNaN(value)) mantissa = 2 ** (mantissaBits - 1);
  else if (size < 2 ** (1 - bias)) { // too small for a leading 1, or zero
    exponent = 0;
    mantissa = size / 2 ** (1 - bias - mantissaBits);
  } else if (size < Infinity) {
    exponent = powerOf(size) + bias;
    mantissa = (size / 2 ** powerOf(size) - 1) * 2 ** mantissaBits;
  }
  return [sign, exponent.toString(2).padStart(exponentBits, "0"), mantissa.toString(2).padStart(mantissaBits, "0")];
}

/**
 * The number that a text means, or null. The book's own writing is understood: 70,000 and −1e−8.
 * @param {string} text
 */
export function read(text) {
  const plain = text.trim().replaceAll("−", "-").replaceAll(",", "").toLowerCase();
  if (/^[+-]?inf(inity)?$/.test(plain)) return plain.startsWith("-") ? -Infinity : Infinity;
  return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/.test(plain) ? Number(plain) : null;
}

/** @param {number} value @param {number} digits */
function told(value, digits = 9) {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "nan" : value > 0 ? "inf" : "−inf";
  const size = Math.abs(value);
  const text = size === 0 || (size >= 1e-4 && size < 1e9) ? value.toLocaleString("en", { maximumSignificantDigits: digits })
    : value.toExponential(digits - 1).replace(/\.?0+e/, "e").replace("e+", "e");
  return text.replaceAll("-", "−");
}

/** @param {number} kept @param {number} wanted */
function off(kept, wanted) {
  if (kept === wanted) return "exact";
  if (!Number.isFinite(kept)) return "too large for this format";
  if (kept === 0) return "underflow: nothing is left";
  return `off by ${told(Math.abs(kept - wanted), 3)}, 1 part in ${Math.round(Math.abs(wanted / (kept - wanted))).toLocaleString("en")}`;
}

/** @param {HTMLElement} stage */
export default function (stage) {
  let typed = 0.1, power = 0;
  const bodies = FORMATS.map(() => h("tbody"));
  const table = h("table", { class: "bits" }, h("thead", {}, h("tr", {}, ...PARTS.map((name) =>
    h("th", { scope: "col" }, name)))), ...bodies);
  const said = status();
  const entry = field({ label: "number", value: "0.1", max: 24 }, (text) => { set(read(text), text); });
  const shift = slider({ label: "times 2 to the", min: -40, max: 40, step: 1, value: 0, show: (k) => told(k) },
    (k) => { power = k; draw(); });

  /** @param {number | null} value @param {string} text */
  function set(value, text) {
    if (value === null) said.textContent = `“${text}” is no number. Write one like 0.1, 70,000, 1e-8 or inf.`;
    else { typed = value; draw(); }
  }
  function draw() {
    const wanted = typed * 2 ** power;
    const kept = FORMATS.map(([, exponentBits, mantissaBits]) => rounded(wanted, exponentBits, mantissaBits));
    FORMATS.forEach(([name, exponentBits, mantissaBits], i) => bodies[i].replaceChildren(
      h("tr", {}, h("th", { scope: "rowgroup", colspan: 3 }, h("strong", {}, name), ` keeps ${told(kept[i])} (${off(kept[i], wanted)})`)),
      h("tr", {}, ...bitsOf(kept[i], exponentBits, mantissaBits).map((bits, part) =>
        h("td", {}, h("span", { class: PARTS[part] }, bits))))));
    said.textContent = `${told(wanted)} becomes ${told(kept[1])} in float16 and ${told(kept[2])} in bfloat16.`;
  }
  const examples = ["0.1", "257", "65504", "70000", "1e-8"].map((text) => button(text, () => {
    entry.input.value = text;
    power = 0;
    shift.set(0);
    set(read(text), text);
  }));

  draw();
  stage.append(controls(...examples), controls(entry, shift), h("div", { class: "wide" }, table), said);
}
