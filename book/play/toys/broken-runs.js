// Chapter 16: sixteen runs that were broken on purpose; which bug is it?
import { button, controls, grid, h, plot, random, status, stepper } from "../kit.js";

/** @typedef {{ loss: (number | null)[], val: (number | null)[], row: string[], sample: string }} Shown */
/** @typedef {Shown & { letter: string, name: string, title: string, what: string, test: string, told_by: string }} Run */
/** @typedef {{ step: number[], looks: number[], correct: Shown, runs: Run[], pairs: [string, string, string][] }} Evidence */

const ROWS = ["loss at step 1", "loss at step 20", "loss, last", "norm at step 1", "norm at step 20", "norm, last", "validation, last", "ranks apart"];
const HIGH = 6; // nats: here a picture ends

/**
 * Four names, the true one among them: first those that are taken for each other.
 * @param {Evidence} evidence
 * @param {number} index
 */
export function options({ runs, pairs }, index) {
  const { name } = runs[index], rng = random(index + 1);
  const near = pairs.filter((pair) => pair.slice(0, 2).includes(name)).map(([one, other]) => (one === name ? other : one));
  const shuffled = (/** @type {string[]} */ names) => names.map((one) => ({ one, at: rng() })).sort((a, b) => a.at - b.at).map(({ one }) => one);
  const far = shuffled(runs.map((run) => run.name).filter((one) => one !== name && !near.includes(one)));
  return shuffled([name, ...near, ...far].slice(0, 4));
}

/**
 * What is said to a wrong answer: how the two are told apart, where the chapter says so.
 * @param {Evidence} evidence
 * @param {string} name
 * @param {string} said
 */
export function apart({ pairs }, name, said) {
  return pairs.find((pair) => pair.slice(0, 2).includes(name) && pair.slice(0, 2).includes(said))?.[2] ?? "";
}

/**
 * Cut a curve where it is not a number, or leaves the picture.
 * @param {number[]} steps
 * @param {(number | null)[]} values
 */
export function pieces(steps, values) {
  /** @type {[number, number][][]} */
  const found = [[]];
  values.forEach((value, i) => {
    if (value === null || value > HIGH) found.push([]);
    else found[found.length - 1].push([steps[i], value]);
  });
  return found.filter((piece) => piece.length);
}

/** @param {HTMLElement} stage */
export default async function (stage) {
  const answer = await fetch(new URL("../data/broken-runs.json", import.meta.url));
  const evidence = /** @type {Evidence} */ (await answer.json()), { runs, correct, step, looks } = evidence;
  /** @type {Map<number, string[]>} */
  const answers = new Map();
  let at = 0, names = options(evidence, at);
  const curves = plot({ label: "training and validation loss of the broken run, beside a correct one", x: [0, step[step.length - 1]], y: [0, HIGH],
    xLabel: "step", yLabel: "nats", xTicks: [0, 100, 200, 300], yTicks: [0, 2, 4, 6], width: 310, height: 240 });
  const row = grid({ caption: "what the log says", columns: [], rows: [] });
  const writes = h("code"), why = h("p"), said = status();
  const causes = names.map((_, i) => button("", () => choose(names[i])));
  const next = stepper({ label: "Runs", count: runs.length }, (index) => { at = index; names = options(evidence, at); draw(); });

  /** @param {string} name */
  function choose(name) {
    const given = answers.get(at) ?? [];
    if (!given.includes(name) && !given.includes(runs[at].name)) answers.set(at, [...given, name]);
    draw();
  }
  function draw() {
    const run = runs[at], given = answers.get(at) ?? [], last = given[given.length - 1];
    curves.clear();
    pieces(step, correct.loss).forEach((piece) => curves.line(piece, "idle"));
    pieces(step, run.loss).forEach((piece) => curves.line(piece));
    pieces(looks, run.val).flat().forEach(([x, y]) => curves.dot(x, y, "b", 3.5));
    curves.text(135, 5.5, "line: training loss", "a");
    curves.text(135, 5, "dots: validation loss", "b");
    curves.text(135, 4.5, "wide: a correct run");
    row.update([`run ${run.letter}`, "correct"], ROWS.map((label, i) => ({
      label, cells: [{ text: run.row[i], kind: run.row[i] === correct.row[i] ? "" : "differs" }, { text: correct.row[i], kind: "off" }] })));
    writes.textContent = run.sample;
    causes.forEach((cause, i) => {
      const { title, name } = /** @type {Run} */ (runs.find((one) => one.name === names[i]));
      cause.textContent = `${!given.includes(name) ? "" : name === run.name ? "✓ " : "✗ "}${title}`;
    });
    const first = [...answers].filter(([index, all]) => all[0] === runs[index].name).length;
    const solved = [...answers].filter(([index, all]) => all.includes(runs[index].name)).length;
    const failed = run.told_by === "nothing" ? ` It failed this: ${run.test}.` : "";
    said.textContent = last === undefined ? `Run ${run.letter}: what is its cause?${failed}`
      : last === run.name ? `Run ${run.letter}: right. ${solved} of ${runs.length} found, ${first} of them at once.`
        : `Run ${run.letter}: no, that is not it. Look again.${failed}`;
    const hint = last && last !== run.name ? apart(evidence, run.name, last) : "";
    why.textContent = last === run.name ? `${run.what} The test: ${run.test}.` : hint && `Of these two: ${hint}`;
  }

  draw();
  stage.append(next, h("div", { class: "pair" }, curves, row), h("p", {}, "It writes: ", writes), said, controls(...causes), why);
}
