// Chapter 16: gradients fill buckets as backward comes; a full bucket sets out at once.
import { bars, choice, controls, slider, status } from "../kit.js";

const C = 32;

/**
 * Names and sizes of the chapter's small GPT-2, in the order of `named_parameters`.
 * @returns {[string, number][]}
 */
export function parameters() {
  /** @type {(name: string, inside: number, out: number) => [string, number][]} */
  const map = (name, inside, out) => [[`${name}.weight`, inside * out], [`${name}.bias`, out]];
  /** @type {(i: number) => [string, number][]} */
  const block = (i) => [
    ...map(`h.${i}.ln_1`, 1, C), ...map(`h.${i}.attn.c_attn`, C, 3 * C), ...map(`h.${i}.attn.c_proj`, C, C),
    ...map(`h.${i}.ln_2`, 1, C), ...map(`h.${i}.mlp.c_fc`, C, 4 * C), ...map(`h.${i}.mlp.c_proj`, 4 * C, C)];
  return [["wte.weight", 65 * C], ["wpe.weight", 16 * C], ...block(0), ...block(1), ...map("ln_f", 1, C)];
}

/**
 * Fill buckets from the last parameter to the first; one that has reached its size is closed.
 * @param {[string, number][]} all
 * @param {number} mb
 */
export function filled(all, mb) {
  const buckets = [/** @type {[string, number][]} */ ([])];
  const bytes = (/** @type {[string, number][]} */ bucket) => bucket.reduce((sum, [, size]) => sum + 4 * size, 0);
  for (const parameter of [...all].reverse()) {
    if (bytes(buckets[buckets.length - 1]) >= mb * 2 ** 20) buckets.push([]);
    buckets[buckets.length - 1].push(parameter);
  }
  return buckets;
}

/**
 * How many gradients of each bucket are there, when `came` have come in all.
 * @param {number[]} sizes
 * @param {number} came
 */
export function there(sizes, came) {
  return sizes.map((size) => {
    const mine = Math.min(size, came);
    came -= mine;
    return mine;
  });
}

/** @param {HTMLElement} stage */
export default function (stage) {
  const all = parameters(), order = [...all].reverse(), total = all.reduce((sum, [, size]) => sum + size, 0);
  let mb = 0.02, came = 9;
  const rows = bars("gradients that are there; a full bucket sets out", []), said = status();

  function draw() {
    const buckets = filled(all, mb), counts = there(buckets.map((bucket) => bucket.length), came);
    rows.update(buckets.map((bucket, i) => ({
      label: `${counts[i] === bucket.length ? "→ " : ""}bucket ${i}`, share: counts[i] / bucket.length,
      text: `${counts[i]} of ${bucket.length}`, kind: counts[i] === bucket.length ? "true" : "" })));
    const gone = buckets.filter((bucket, i) => counts[i] === bucket.length).flat().reduce((sum, [, size]) => sum + size, 0);
    const open = buckets.findIndex((bucket, i) => counts[i] < bucket.length), missing = open < 0 ? 0 : buckets[open].length - counts[open];
    const last = came ? `The gradient of ${order[came - 1][0]} has come. ` : "Backward begins at the top. ";
    said.textContent = `${last}${gone.toLocaleString("en")} of ${total.toLocaleString("en")} numbers have set out`
      + (open < 0 ? ", and finish() waits for the sums." : `; bucket ${open} waits for ${missing} more, next ${order[came][0]}.`);
  }

  draw();
  stage.append(controls(
    slider({ label: "gradients", min: 0, max: all.length, step: 1, value: came, show: String }, (value) => { came = value; draw(); }),
    choice({ label: "bucket_mb", options: [[0.005, "0.005"], [0.02, "0.02"], [0.05, "0.05"], [25, "25"]], value: mb },
      (value) => { mb = value; draw(); })),
  rows, said);
}
