// Chapter 04: the walks of SGD, momentum and Adam through the narrow valley x² + 25y².
import { choice, controls, h, number, plot, s, slider, status } from "../kit.js";

/** @typedef {"sgd" | "momentum" | "adam"} Kind */
/** @typedef {[number, number]} Place */

const START = /** @type {Place} */ ([-4, 1]);
const RATES = [0.001, 0.002, 0.005, 0.01, 0.015, 0.02, 0.025, 0.03, 0.035, 0.038, 0.04, 0.041, 0.045,
  0.05, 0.06, 0.07, 0.08, 0.1, 0.15, 0.2, 0.3, 0.5, 0.7, 1];
/** @type {{ kind: Kind, name: string, line: string, at: number }[]} */
const ALL = [{ kind: "sgd", name: "SGD", line: "a", at: 50 }, { kind: "momentum", name: "momentum", line: "b", at: 112 },
  { kind: "adam", name: "Adam", line: "c", at: 216 }];

/** The height's axis goes by powers of ten; a hair above 0 tells its 1 from the step 0. @type {Record<number, string>} */
const POWERS = { [-4]: "10⁻⁴", [-2]: "0.01", 0.001: "1", 2: "100", 4: "10⁴" };

/** @param {Place} place */
export function height([x, y]) {
  return x ** 2 + 25 * y ** 2;
}

/**
 * The places of a walk, the start first. Momentum's velocity keeps the share β of itself; Adam reads β as its β₁.
 * @param {Kind} kind
 * @param {number} rate
 * @param {number} beta
 * @param {number} steps
 * @param {Place} start
 */
export function walk(kind, rate, beta, steps, start = START) {
  const places = [start], m = [0, 0], v = [0, 0];
  for (let t = 1; t <= steps; t++) {
    const [x, y] = places[t - 1];
    const [moveX, moveY] = [2 * x, 50 * y].map((g, i) => {
      if (kind === "sgd") return g;
      if (kind === "momentum") return (m[i] = beta * m[i] + g);
      m[i] = beta * m[i] + (1 - beta) * g;
      v[i] = 0.999 * v[i] + 0.001 * g ** 2;
      return m[i] / (1 - beta ** t) / (Math.sqrt(v[i] / (1 - 0.999 ** t)) + 1e-8);
    });
    places.push([x - rate * moveX, y - rate * moveY]);
  }
  return places;
}

/**
 * The rate beyond which y grows from step to step. Adam has no such border.
 * @param {Kind} kind
 * @param {number} beta
 */
export function border(kind, beta) {
  return kind === "adam" ? Infinity : (2 * (kind === "sgd" ? 1 : 1 + beta)) / 50;
}

/** @param {number} value */
function told(value) {
  if (value >= 1e9) return "more than a billion";
  if (value >= 1e6) return `${number(value / 1e6, 0)} million`;
  return value < 0.0001 ? "less than 0.0001" : number(value, value < 0.01 ? 4 : value < 10 ? 2 : 0);
}

/**
 * @param {Kind} kind
 * @param {number} rate
 * @param {number} beta
 * @param {number} end
 */
function verdict(kind, rate, beta, end) {
  const edge = border(kind, beta);
  if (rate > edge) return `The walk diverges, for ${rate} is beyond the border of y, ${number(edge, 3)}.`;
  if (rate === edge) return "This is the border of y: the walk jumps across the valley for ever.";
  if (end > height(START)) return "That is higher than the start.";
  return kind === "adam" ? "The first step is one learning rate long." : `The border of y is at ${number(edge, 3)}.`;
}

/** @param {HTMLElement} stage */
export default function (stage) {
  const settings = { sgd: { rate: 0.035, beta: 0 }, momentum: { rate: 0.035, beta: 0.7 }, adam: { rate: 0.3, beta: 0.9 } };
  let kind = /** @type {Kind} */ ("sgd"), steps = 30;
  const size = { width: 320, height: 210, show: (/** @type {number} */ v) => number(v, 0) };
  const map = plot({ label: "The valley from above, and a walk to its bottom", x: [-4.6, 1.8], y: [-1.35, 1.35], ...size,
    xTicks: [-4, -2, 0], yTicks: [-1, 0, 1], xLabel: "x", yLabel: "y" });
  const fall = plot({ label: "The height after each step of all three optimizers", x: [0, 30], y: [-4, 4], ...size,
    xTicks: [0, 10, 20, 30], xLabel: "step", yLabel: "height", yTicks: [-4, -2, 0.001, 2, 4],
    show: (v) => POWERS[v] ?? number(v, 0) });
  const said = status(), sliders = controls();
  const rates = slider({ label: "learning rate", min: 0, max: RATES.length - 1, step: 1, value: RATES.indexOf(0.035),
    show: (i) => String(RATES[i]) }, (i) => { settings[kind].rate = RATES[i]; draw(); });
  const betas = slider({ label: "β", min: 0, max: 0.99, step: 0.01, value: 0 },
    (value) => { settings[kind].beta = value; draw(); });
  const counts = slider({ label: "steps", min: 0, max: 30, step: 1, value: steps, show: String },
    (value) => { steps = value; draw(); });

  // What leaves the axes is cut there. The two pictures are of one size, so one frame serves both.
  map.prepend(s("clipPath", { id: "valley-frame" }, s("rect", { x: 40, y: 20, width: 272, height: 158 })));
  for (const one of [map, fall]) one.layer.setAttribute("clip-path", "url(#valley-frame)");
  map.layer.before(s("g", { "clip-path": "url(#valley-frame)" }, ...[0.3, 2, 6, 12, 20, 30, 41].map((level) => s("ellipse", {
    cx: map.px(0).toFixed(2), cy: map.py(0).toFixed(2),
    rx: (map.px(Math.sqrt(level)) - map.px(0)).toFixed(2), ry: (map.py(0) - map.py(Math.sqrt(level / 25))).toFixed(2) }))));
  ALL.forEach(({ name, line, at }) => fall.append(
    s("line", { class: `line ${line}`, x1: 24 + at, x2: 44 + at, y1: 9, y2: 9 }),
    s("text", { class: line, x: 48 + at, y: 13 }, name)));

  function draw() {
    const { rate, beta } = settings[kind], chosen = /** @type {{ name: string, line: string }} */ (ALL.find((one) => one.kind === kind));
    const places = walk(kind, rate, beta, steps), end = height(places[steps]);
    map.clear();
    map.line(places, chosen.line);
    places.forEach(([x, y], i) => map.dot(x, y, chosen.line, i % steps ? 2.5 : 4.5));
    map.text(-4.5, 1.18, "start");
    map.text(-0.45, -0.58, "bottom");
    fall.clear();
    for (const { kind: each, line } of ALL) {
      const { rate, beta } = settings[each];
      const heights = walk(each, rate, beta, 30).map((place, i) => /** @type {Place} */ ([i, Math.log10(height(place))]));
      fall.line(heights, line);
      if (each === kind) fall.dot(steps, heights[steps][1], line);
    }
    const name = kind === "sgd" ? "SGD" : `${chosen.name} with β = ${number(beta)}`;
    said.textContent = `${steps} steps of ${name} lead from 41 to ${told(end)}. ${verdict(kind, rate, beta, end)}`;
  }
  const pick = choice({ label: "Optimizer", options: ALL.map(({ kind, name }) => [kind, name]), value: kind }, (next) => {
    kind = next;
    rates.set(RATES.indexOf(settings[kind].rate));
    betas.set(settings[kind].beta);
    if (kind === "sgd") betas.remove();
    else rates.after(betas);
    draw();
  });

  sliders.append(rates, counts);
  draw();
  stage.append(pick, sliders, h("div", { class: "pair" }, map, fall), said);
}
