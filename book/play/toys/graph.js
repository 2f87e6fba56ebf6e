// Chapter 03: a formula as a graph; values go forward through it, and blame comes back.
import { button, choice, controls, h, number, s, status, stepper } from "../kit.js";

/**
 * @typedef {{ name: string, op: "+" | "·", parts: [string, string] }} Step
 * @typedef {{ title: string, leaves: Record<string, number>, steps: Step[], places: Record<string, [number, number]> }} Formula
 * @typedef {{ from: string, to: string, use: number, slope: number, given: number, before: number, after: number,
 *             second: boolean, late: boolean }} Move
 */

const WIDE = 34, TALL = 28; // half a box

/** @type {Formula[]} */
const FORMULAS = [
  { title: "(a·b + c)²", leaves: { a: 3, b: -2, c: 10 },
    steps: [{ name: "a·b", op: "·", parts: ["a", "b"] }, { name: "a·b + c", op: "+", parts: ["a·b", "c"] },
      { name: "squared", op: "·", parts: ["a·b + c", "a·b + c"] }],
    places: { a: [35, 34], b: [35, 166], "a·b": [136, 34], c: [136, 166], "a·b + c": [192, 100], squared: [293, 100] } },
  { title: "a + a", leaves: { a: 3 }, steps: [{ name: "a + a", op: "+", parts: ["a", "a"] }],
    places: { a: [114, 100], "a + a": [215, 100] } },
  { title: "d·g, with d = a·b and g = d + c", leaves: { a: 3, b: -2, c: 10 },
    steps: [{ name: "d", op: "·", parts: ["a", "b"] }, { name: "g", op: "+", parts: ["d", "c"] },
      { name: "price", op: "·", parts: ["d", "g"] }],
    places: { a: [35, 34], b: [35, 166], d: [136, 34], c: [136, 166], g: [192, 100], price: [293, 100] } },
];

/**
 * Go forward: the value of every node.
 * @param {Formula} formula
 * @param {Record<string, number>} leaves
 */
function forward({ steps }, leaves) {
  const values = { ...leaves };
  for (const { name, op, parts: [x, y] } of steps) values[name] = op === "+" ? values[x] + values[y] : values[x] * values[y];
  return values;
}

/**
 * Nudge each leaf up and down, and look at the last value.
 * @param {Formula} formula
 * @param {Record<string, number>} leaves
 */
function judged(formula, leaves) {
  const last = formula.steps[formula.steps.length - 1].name;
  return Object.fromEntries(Object.entries(leaves).map(([name, value]) => {
    const nudge = 1e-5 * Math.max(1, Math.abs(value)), up = value + nudge, down = value - nudge;
    const rise = forward(formula, { ...leaves, [name]: up })[last] - forward(formula, { ...leaves, [name]: down })[last];
    return [name, rise / (up - down)];
  }));
}

/**
 * Go forward and hand the blame back, edge by edge. With `add` it is added up, otherwise set. In `order`
 * a node waits for all who use it; otherwise they go level by level from the end, as they come.
 * @param {number} which
 * @param {boolean} add
 * @param {boolean} order
 * @param {Record<string, number>} leaves
 */
export function handedBack(which, add, order, leaves = FORMULAS[which].leaves) {
  const formula = FORMULAS[which], values = forward(formula, leaves);
  const made = Object.fromEntries(formula.steps.map((step) => [step.name, step]));
  const last = formula.steps[formula.steps.length - 1].name;
  let walk = formula.steps.map(({ name }) => name).reverse();
  if (!order) {
    walk = [last];
    for (const name of walk) for (const part of made[name].parts) if (made[part] && !walk.includes(part)) walk.push(part);
  }
  /** @type {Record<string, number>} */
  const blame = { [last]: 1 };
  /** @type {Move[]} */
  const moves = [];
  walk.forEach((from, turn) => made[from].parts.forEach((to, use) => {
    const slope = made[from].op === "+" ? 1 : values[made[from].parts[1 - use]];
    const second = to in blame, before = blame[to] ?? 0, at = walk.indexOf(to);
    blame[to] = (add ? before : 0) + slope * blame[from];
    moves.push({ from, to, use, slope, given: blame[from], before, after: blame[to], second, late: at >= 0 && at < turn });
  }));
  return { values, walk, moves, blame, judge: judged(formula, leaves) };
}

const whole = (/** @type {number} */ value) => number(value, 0);
const factor = (/** @type {number} */ value) => (value < 0 ? `(${whole(value)})` : whole(value));

const tight = (/** @type {string} */ text) => text.replace(/ ([+·]) /g, "\u00a0$1\u00a0"); // no line ends within a product

/** @param {HTMLElement} stage */
export default function (stage) {
  let which = 0, add = true, order = true, frame = 0;
  const picture = s("svg", { class: "plot", viewBox: "0 0 328 216", role: "img", "aria-label": "The graph of the formula; the line below says what changes in it" });
  const walked = h("p", { class: "walk" }), said = status();
  const steps = stepper({ label: "Steps", count: frames() }, (at) => { frame = at; draw(); });
  const again = () => steps.go(frame);

  function frames() {
    const { steps } = FORMULAS[which];
    return 3 * steps.length + 3; // the leaves, each value, the 1 at the end, two edges for each, the judge
  }

  function draw() {
    const formula = FORMULAS[which], { values, walk, moves, blame, judge } = handedBack(which, add, order);
    const many = formula.steps.length, computed = Math.min(frame, many), back = frame - many; // 1: the end gets its 1
    const done = moves.slice(0, Math.max(0, back - 1)), move = back > 1 ? moves[back - 2] : undefined;
    const last = formula.steps[many - 1].name, over = frame === frames() - 1;
    const step = frame > 0 && back <= 0 ? formula.steps[frame - 1] : undefined;
    /** @type {Record<string, number>} */
    const had = back > 0 ? { [last]: 1 } : {};
    for (const { to, after } of done) had[to] = after;
    const wrong = Object.keys(judge).filter((leaf) => Math.abs(judge[leaf] - blame[leaf]) > 1e-3);

    picture.replaceChildren();
    formula.steps.slice().reverse().forEach(({ name, op, parts }) => parts.forEach((part, use) => {
      const passed = done.find(({ from, use: one }) => from === name && one === use);
      const now = move ? move.from === name && move.use === use : step?.name === name;
      const known = formula.steps.findIndex((one) => one.name === name) < computed;
      const slope = op === "+" ? 1 : values[parts[1 - use]];
      edge(formula.places[part], formula.places[name], parts[0] === parts[1] ? 1 - 2 * use : 0,
        passed ? "back" : known ? "on" : "", now && !over, known ? `×${whole(slope)}` : "");
    }));
    for (const [name, place] of Object.entries(formula.places)) {
      const at = formula.steps.findIndex((one) => one.name === name), shown = at < computed;
      const now = !over && (move ? move.to === name : back === 1 ? name === last : step?.name === name);
      box(place, name, shown ? whole(values[name]) : "", name in had ? `blame ${whole(had[name])}` : "",
        now ? (back > 0 ? "b" : "a") : "", over && name in judge
          ? `judge ${whole(judge[name])} ${wrong.includes(name) ? "✗" : "✓"}` : "", over && wrong.includes(name));
    }
    walked.replaceChildren("Walk back: ", ...walk.flatMap((name, i) =>
      [i ? " → " : "", h(move?.from === name && !over ? "strong" : "span", {}, tight(name))]));
    said.textContent = tight(sentence());

    function sentence() {
      if (frame === 0) return "Forward first: the leaves have their values. Press Next.";
      if (step) {
        const [x, y] = step.parts, [to, and] = step.op === "+" ? [1, 1] : [values[y], values[x]];
        return `${step.name} is ${whole(values[x])} ${step.op} ${factor(values[y])} = ${whole(values[step.name])}. It remembers ` + (x === y
          ? `${x} twice, each time with ×${whole(to)}.` : `${x} with ×${whole(to)}, and ${y} with ×${whole(and)}.`);
      }
      if (back === 1) return `Now back. ${last} gets the blame 1: it moves exactly as fast as itself.`;
      if (move && !over) {
        const { from, to, slope, given, before, after, second, late } = move;
        const lost = second && !add ? ` The ${whole(before)} that stood there is lost.` : "";
        const sum = second && add ? `, so ${whole(before)} becomes ${whole(after)}.` : `, which is ${whole(after)}.`;
        return `From ${from} to ${to}: blame ${add ? "+=" : "="} ${whole(slope)} · ${factor(given)}${sum}${lost}`
          + (late ? ` Too late: ${to} has handed its blame on already.` : "");
      }
      const says = Object.values(judge).map(whole).join(", ");
      return wrong.length ? `Wrong: ${wrong.join(", ")}. The judge, who nudged, says ${says}. There was no error message.`
        : `All right: the judge nudged, and says the same: ${says}.`;
    }
  }

  /**
   * An edge with its local derivative; `side` bends the two edges of a node that is used twice.
   * @param {[number, number]} part
   * @param {[number, number]} user
   * @param {number} side
   * @param {string} state
   * @param {boolean} now
   * @param {string} label
   */
  function edge([x1, y1], [x2, y2], side, state, now, label) {
    const up = Math.sign(y1 - y2), across = x2 - x1, middle = (x1 + x2) / 2;
    let start = [x1 + WIDE, y1 - side * 10], end = [x2 - WIDE, y2 - side * 10], bend = [middle, y1 - side * 24], at = [middle, y1 - side * 26 + (side < 0 ? 10 : -6)];
    if (across > 120) [start, end, bend, at] = [[x1 + WIDE, y1 - 14], [x2, y2 - TALL], [x2, y1 - 14], [x2 - 40, y1 - 17]]; // over the box between
    else if (up && across < 80) [start, end, bend, at] = [[x1 + WIDE, y1], [x2, y2 + up * TALL], [x2, y1], [x2 + 15, y2 + up * 44 + 5]];
    else if (up) [start, end, bend, at] = [[x1 + 14, y1 - TALL], [x2 - 14, y2 + TALL], [middle, (y1 + y2) / 2], [middle + 20, (y1 + y2) / 2 + 5]];
    const tip = state === "back" ? start : end, turn = Math.atan2(tip[1] - bend[1], tip[0] - bend[0]);
    const wing = (/** @type {number} */ a) => `${(tip[0] - 8 * Math.cos(turn + a)).toFixed(1)},${(tip[1] - 8 * Math.sin(turn + a)).toFixed(1)}`;
    picture.append(s("g", { class: `edge ${state}${now ? " now" : ""}` },
      s("path", { d: `M${start} Q${bend} ${end}` }), s("polygon", { points: `${tip} ${wing(0.45)} ${wing(-0.45)}` }),
      s("text", { x: at[0], y: at[1], "text-anchor": "middle" }, label)));
  }

  /**
   * A node: its name, its value, and its blame; under it what the judge says.
   * @param {[number, number]} place
   * @param {string} name
   * @param {string} value
   * @param {string} blame
   * @param {string} now
   * @param {string} verdict
   * @param {boolean} wrong
   */
  function box([x, y], name, value, blame, now, verdict, wrong) {
    const line = (/** @type {number} */ down, /** @type {string} */ text, kind = "") =>
      s("text", { class: kind, x, y: y + down, "text-anchor": "middle" }, text);
    picture.append(s("g", { class: `node ${now}${wrong ? " wrong" : ""}` },
      s("rect", { x: x - WIDE, y: y - TALL, width: 2 * WIDE, height: 2 * TALL, rx: 5 }),
      line(-13, name), line(4, value, "value"), line(21, blame, "b"), s("text", { class: wrong ? "b" : "c", x: x - WIDE, y: y + TALL + 15 }, verdict)));
  }

  draw();
  stage.append(
    choice({ label: "Formula", options: FORMULAS.map(({ title }, i) => [i, title]), value: which }, (value) => { which = value; steps.length(frames()); }),
    picture, walked, said,
    controls(steps, button("To the end", () => steps.go(frames() - 1))),
    controls(choice({ label: "Blame arrives with", options: [[true, "+="], [false, "="]], value: add }, (value) => { add = value; again(); }),
      choice({ label: "Order", options: [[true, "after all who use it"], [false, "level by level from the end"]], value: order },
        (value) => { order = value; again(); })));
}
