// Chapter 14: the bill of a run, from GPUs, tokens, their speed and their price.
import { bars, button, controls, h, number, slider, status } from "../kit.js";

/** FLOPs that training spends on one token of GPT-2, by the chapter's count. */
const PER_TOKEN = 854_654_976;
const TOKENS = 19_073 * 524_288;
/** The chapter's three sheets: GPUs, best FLOPs a second, share of it (MFU), dollars an hour. @type {[string, number, number, number, number][]} */
const SHEETS = [["1 × T4", 1, 65e12, 0.25, 0.35], ["1 × H100", 1, 989e12, 0.4, 3], ["8 × H100", 8, 989e12, 0.4, 3]];

/**
 * Hours and dollars of a run. Prices are for one GPU and hour, and nothing is lost between GPUs.
 * @param {{ gpus: number, tokens: number, speed: number, price: number }} run `speed` in tokens a second and GPU
 */
export function billed({ gpus, tokens, speed, price }) {
  const hours = tokens / (gpus * speed) / 3600;
  return { hours, dollars: hours * gpus * price };
}

/**
 * The tokens a second that one GPU reaches with a share of its best FLOPs.
 * @param {number} peak
 * @param {number} share
 */
export function speedOf(peak, share) {
  return (peak * share) / PER_TOKEN;
}

/** @param {number} value */
function whole(value) {
  return Math.round(value).toLocaleString("en");
}

/** @param {number} hours */
function long(hours) {
  return `${hours < 1000 ? number(hours, hours < 10 ? 2 : 1) : whole(hours)} h`;
}

/** @param {number} dollars */
function money(dollars) {
  return `$${dollars < 10 ? number(dollars, 2) : whole(dollars)}`;
}

/** @param {[string, number, number, number, number]} sheet */
function runOf([, gpus, peak, share, price]) {
  return { gpus, tokens: TOKENS, speed: speedOf(peak, share), price };
}

/** @param {HTMLElement} stage */
export default function (stage) {
  let run = runOf(SHEETS[2]);
  const times = bars("how long it takes", []), costs = bars("what it costs", []), said = status();
  const power = (/** @type {number} */ v) => 10 ** v; // these sliders go by powers of ten
  const gpus = slider({ label: "GPUs", min: 1, max: 64, step: 1, value: run.gpus, show: String }, (value) => change({ gpus: value }));
  const speed = slider({ label: "tokens/s a GPU", min: 3, max: 6.5, step: "any", value: Math.log10(run.speed), show: (v) => whole(power(v)) },
    (value) => change({ speed: power(value) }));
  const price = slider({ label: "price an hour", min: 0, max: 10, step: 0.01, value: run.price, show: (v) => `$${number(v)}` },
    (value) => change({ price: value }));
  const tokens = slider({ label: "billion tokens", min: 8, max: 12, step: "any", value: Math.log10(run.tokens),
    show: (v) => number(power(v) / 1e9, v < 10.5 ? 2 : 0) }, (value) => change({ tokens: power(value) }));
  const hours = slider({ label: "or hours", min: -2, max: 4, step: "any", value: Math.log10(billed(run).hours),
    show: (v) => long(power(v)) }, (value) => change({ tokens: power(value) * 3600 * run.gpus * run.speed }, hours));

  /** @param {Partial<typeof run>} what @param {Element} [moved] A slider under the finger stays where it is. */
  function change(what, moved) {
    run = { ...run, ...what };
    if (moved) tokens.set(Math.log10(run.tokens));
    else hours.set(Math.log10(billed(run).hours));
    draw();
  }
  function draw() {
    const rows = [{ label: "this run", kind: "true", ...billed(run) },
      ...SHEETS.map((sheet) => ({ label: sheet[0], kind: "", ...billed(runOf(sheet)) }))];
    const longest = Math.max(...rows.map(({ hours }) => hours)), dearest = Math.max(...rows.map(({ dollars }) => dollars));
    times.update(rows.map(({ label, kind, hours }) => ({ label, kind, share: hours / longest, text: long(hours) })));
    costs.update(rows.map(({ label, kind, dollars }) => ({ label, kind, share: dollars / dearest, text: money(dollars) })));
    said.textContent = `${whole(run.tokens)} tokens on ${run.gpus} GPU${run.gpus > 1 ? "s" : ""} at ${whole(run.gpus * run.speed)} tokens/s `
      + `take ${long(rows[0].hours)} and cost ${money(rows[0].dollars)}, at $${number(run.price)} an hour for each GPU.`;
  }
  const sheets = SHEETS.map((sheet) => button(sheet[0], () => {
    const wanted = runOf(sheet);
    gpus.set(wanted.gpus);
    speed.set(Math.log10(wanted.speed));
    price.set(wanted.price);
    tokens.set(Math.log10(wanted.tokens));
    change(wanted);
  }));

  draw();
  stage.append(controls(...sheets), controls(gpus, speed, price, tokens, hours), h("div", { class: "pair" }, times, costs), said);
}
