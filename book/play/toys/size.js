// Chapter 11: the numbers of a GPT-2 part by part, its first loss, and what training it holds in memory.
import { bars, button, controls, h, number, slider, status } from "../kit.js";

/** @typedef {{ L: number, C: number, H: number, V: number, T: number }} Size */

/** @type {[string, Size][]} */
const SIZES = [
  ["gpt2", { L: 12, C: 768, H: 12, V: 50257, T: 1024 }],
  ["gpt2-medium", { L: 24, C: 1024, H: 16, V: 50257, T: 1024 }],
  ["gpt2-large", { L: 36, C: 1280, H: 20, V: 50257, T: 1024 }],
  ["gpt2-xl", { L: 48, C: 1600, H: 25, V: 50257, T: 1024 }],
];
const VOCABULARIES = [65, 128, 256, 500, 1000, 2000, 5000, 10000, 20000, 50257, 100000, 200000];

/**
 * Count the numbers of each part, as the chapter does on paper; attention and MLP with the LayerNorm before them.
 * @param {Size} size
 */
export function counted({ L, C, V, T }) {
  const parts = {
    wte: V * C, wpe: T * C, attention: L * (4 * C ** 2 + 6 * C), mlp: L * (8 * C ** 2 + 7 * C), ln_f: 2 * C, lm_head: 0,
  };
  return { parts, all: Object.values(parts).reduce((sum, part) => sum + part) };
}

/**
 * The first loss: the uniform guess, plus half the variance of the fresh logits.
 * @param {Size} size
 */
export function firstLoss({ C, V }) {
  const uniform = Math.log(V), stray = (C * 0.02 ** 2) / 2;
  return { uniform, stray, loss: uniform + stray };
}

/**
 * Bytes that training holds for the weights, whatever the batch: all in float32, and AdamW keeps two means of each.
 * @param {number} all
 */
export function held(all) {
  return { weights: 4 * all, gradients: 4 * all, "AdamW's two means": 8 * all };
}

/** @param {number} value */
function whole(value) {
  return Math.round(value).toLocaleString("en");
}

/** @param {number} bytes */
function told(bytes) {
  return bytes < 1e9 ? `${number(bytes / 1e6, bytes < 1e7 ? 1 : 0)} MB` : `${number(bytes / 1e9, 1)} GB`;
}

/** @param {HTMLElement} stage */
export default function (stage) {
  let size = { ...SIZES[0][1] };
  const counts = bars("numbers of each part", []), memory = bars("memory of training, without the batch", []);
  const said = status(), first = h("p");
  const make = (/** @type {keyof Size} */ name, /** @type {string} */ label, /** @type {number} */ max, step = 1) => slider(
    { label, min: step, max, step, value: size[name], show: whole }, (value) => { size[name] = value; draw(); });
  const places = Array.from({ length: 10 }, (_, i) => 8 * 2 ** i);
  const sliders = {
    L: make("L", "L blocks", 48), C: make("C", "C numbers", 1600, 32), H: make("H", "H heads", 25),
    V: slider({ label: "V tokens", min: 0, max: VOCABULARIES.length - 1, step: 1, value: VOCABULARIES.indexOf(size.V),
      show: (i) => whole(VOCABULARIES[i]) }, (i) => { size.V = VOCABULARIES[i]; draw(); }),
    T: slider({ label: "T places", min: 0, max: places.length - 1, step: 1, value: places.indexOf(size.T),
      show: (i) => whole(places[i]) }, (i) => { size.T = places[i]; draw(); }),
  };

  function draw() {
    const { parts, all } = counted(size), { uniform, stray, loss } = firstLoss(size), bytes = held(all);
    /** @type {[string, number][]} */
    const rows = [["wte", parts.wte], ["wpe", parts.wpe], ["h: attention", parts.attention], ["h: MLP", parts.mlp],
      ["ln_f", parts.ln_f], ["lm_head (tied)", parts.lm_head]];
    counts.update(rows.map(([label, part]) => ({ label, share: part / all, text: whole(part) })));
    memory.update(Object.entries(bytes).map(([label, part]) => ({ label, share: part / (16 * all), text: told(part) })));
    first.textContent = `First loss: ln ${whole(size.V)} + ½ · ${whole(size.C)} · 0.02² = ${number(uniform, 3)} + ${number(stray, 3)} = ${number(loss, 3)} nats.`;
    said.textContent = size.C % size.H ? `Refused: ${size.H} heads cannot share n_embd=${size.C} equally.`
      : `${whole(all)} numbers, and ${told(16 * all)} to train them: 16 bytes each. Each head has a width of ${size.C / size.H}.`;
  }
  const buttons = SIZES.map(([name, wanted]) => button(name, () => {
    size = { ...wanted };
    sliders.L.set(size.L);
    sliders.C.set(size.C);
    sliders.H.set(size.H);
    sliders.V.set(VOCABULARIES.indexOf(size.V));
    sliders.T.set(places.indexOf(size.T));
    draw();
  }));

  draw();
  stage.append(controls(...buttons), controls(...Object.values(sliders)), h("div", { class: "pair" }, counts, h("div", {}, memory, first)), said);
}
