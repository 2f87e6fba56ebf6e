// The small kit of which every toy is built: elements, controls, bars, a grid, a plot, a stepper.
// Text becomes text here and nothing else: whatever a reader types is never read as markup.

/** @typedef {Record<string, string | number | boolean | ((event: any) => void)>} Attributes */
/** @typedef {(Node | string)[]} Children */

/**
 * @param {Element} element
 * @param {Attributes} attributes
 * @param {Children} children
 */
function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false) element.setAttribute(name, String(value));
  }
  element.append(...children);
}

/**
 * Make an HTML element: attributes by name, a function is a listener, false leaves it out.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Attributes} attributes
 * @param {Children} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  fill(element, attributes, children);
  return element;
}

/**
 * Make an SVG element.
 * @template {keyof SVGElementTagNameMap} K
 * @param {K} tag
 * @param {Attributes} attributes
 * @param {Children} children
 * @returns {SVGElementTagNameMap[K]}
 */
export function s(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  fill(element, attributes, children);
  return element;
}

/**
 * Write a number as the book does: rounded, with a true minus.
 * @param {number} value
 * @param {number} digits
 */
export function number(value, digits = 2) {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "nan" : value > 0 ? "∞" : "−∞";
  const text = Math.abs(value).toFixed(digits);
  return value < 0 && Number(text) !== 0 ? `−${text}` : text;
}

/**
 * A labelled slider that says its value.
 * @param {{ label: string, min: number, max: number, step: number | "any", value: number,
 *           show?: (value: number) => string }} options
 * @param {(value: number) => void} act
 */
export function slider({ label, min, max, step, value, show = (v) => number(v) }, act) {
  const said = h("output", {}, show(value));
  const input = h("input", {
    type: "range", min, max, step, value, "aria-valuetext": show(value),
    input: () => {
      said.textContent = show(input.valueAsNumber);
      input.setAttribute("aria-valuetext", said.textContent);
      act(input.valueAsNumber);
    },
  });
  const element = h("label", { class: "slider" }, h("span", {}, label), input, said);
  /** @param {number} to */
  const set = (to) => {
    input.value = String(to);
    said.textContent = show(input.valueAsNumber);
    input.setAttribute("aria-valuetext", said.textContent);
  };
  return Object.assign(element, { set });
}

/**
 * A question with a few answers, of which one holds. A form keeps its radio buttons apart.
 * @template {string | number | boolean} T
 * @param {{ label: string, options: [T, string][], value: T }} options
 * @param {(value: T) => void} act
 */
export function choice({ label, options, value }, act) {
  const buttons = options.map(([option, text]) => h("label", {},
    h("input", { type: "radio", name: "choice", checked: option === value, change: () => act(option) }), text));
  return h("form", { class: "choice", submit: (event) => event.preventDefault() },
    h("fieldset", {}, h("legend", {}, label), ...buttons));
}

/**
 * @param {string} label
 * @param {boolean} value
 * @param {(value: boolean) => void} act
 */
export function tick(label, value, act) {
  const input = h("input", { type: "checkbox", checked: value, change: () => act(input.checked) });
  return h("label", { class: "tick" }, input, label);
}

/**
 * @param {string} label
 * @param {() => void} act
 */
export function button(label, act) {
  return h("button", { type: "button", class: "press", click: act }, label);
}

/**
 * A labelled field for text; `max` characters at most are given on.
 * @param {{ label: string, value: string, max: number, lines?: number }} options
 * @param {(text: string) => void} act
 */
export function field({ label, value, max, lines = 1 }, act) {
  const shared = { spellcheck: "false", autocomplete: "off", autocapitalize: "off", maxlength: max };
  const read = () => act(input.value.slice(0, max));
  const input = lines > 1
    ? h("textarea", { ...shared, rows: lines, input: read }, value)
    : h("input", { ...shared, type: "text", value, input: read });
  return Object.assign(h("label", { class: "field" }, h("span", {}, label), input), { input });
}

/** @param {Children} children */
export function controls(...children) {
  return h("div", { class: "controls" }, ...children);
}

/** A line that says in words what is seen now; a screen reader reads it when it changes. */
export function status(text = "") {
  return h("p", { class: "status", role: "status" }, text);
}

/** @typedef {{ label: string, share: number, text: string, kind?: string }} Bar */

/**
 * Rows of bars; a share lies from 0 to 1, or from −1 to 1 where they are `signed`.
 * @param {string} caption
 * @param {Bar[]} rows
 * @param {{ signed?: boolean }} options
 */
export function bars(caption, rows, { signed = false } = {}) {
  const body = h("tbody");
  const table = h("table", { class: signed ? "bars signed" : "bars" }, h("caption", {}, caption), body);
  /** @param {Bar[]} next */
  const update = (next) => body.replaceChildren(...next.map(({ label, share, text, kind = "" }) =>
    h("tr", { class: kind }, h("th", { scope: "row" }, label),
      h("td", { class: "track" }, h("span", {
        class: share < 0 ? "bar minus" : "bar", style: `--share: ${Math.min(1, Math.abs(share)).toFixed(4)}`,
      })),
      h("td", {}, text))));
  update(rows);
  return Object.assign(table, { update });
}

/** @typedef {{ text: string, share?: number, kind?: string }} Cell */

/**
 * A table whose cells are the darker the larger their share (0 to 1).
 * @param {{ caption: string, columns: string[], rows: { label: string, cells: Cell[] }[] }} options
 */
export function grid({ caption, columns, rows }) {
  const body = h("tbody"), head = h("thead");
  const table = h("table", { class: "grid" }, h("caption", {}, caption), head, body);
  /** @param {string[]} columns @param {{ label: string, cells: Cell[] }[]} rows */
  const update = (columns, rows) => {
    head.replaceChildren(...(columns.length ? [h("tr", {}, h("td"), ...columns.map((c) => h("th", { scope: "col" }, c)))] : []));
    body.replaceChildren(...rows.map(({ label, cells }) => h("tr", {}, h("th", { scope: "row" }, label),
      ...cells.map(({ text, share = 0, kind = "" }) =>
        h("td", { class: kind, style: `--share: ${share.toFixed(4)}` }, text)))));
  };
  update(columns, rows);
  return Object.assign(h("div", { class: "wide" }, table), { update });
}

/**
 * Axes in which lines, dots and arrows are drawn in the units of the data.
 * @param {{ label: string, x: [number, number], y: [number, number], xLabel?: string, yLabel?: string,
 *           xTicks?: number[], yTicks?: number[], width?: number, height?: number,
 *           show?: (value: number) => string }} options
 */
export function plot({ label, x, y, xLabel = "", yLabel = "", xTicks = [], yTicks = [], width = 320, height = 220, show = String }) {
  const left = yTicks.length ? 44 : 12, right = width - 12, top = yLabel ? 24 : 10, bottom = height - (xLabel || xTicks.length ? 36 : 10);
  /** @param {number} v */
  const px = (v) => left + ((v - x[0]) / (x[1] - x[0])) * (right - left);
  /** @param {number} v */
  const py = (v) => bottom - ((v - y[0]) / (y[1] - y[0])) * (bottom - top);
  const layer = s("g");
  const picture = s("svg", { class: "plot", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label },
    ...xTicks.flatMap((t) => [
      s("line", { class: "rule", x1: px(t), x2: px(t), y1: top, y2: bottom }),
      s("text", { x: px(t), y: bottom + 15, "text-anchor": "middle" }, show(t))]),
    ...yTicks.flatMap((t) => [
      s("line", { class: "rule", x1: left, x2: right, y1: py(t), y2: py(t) }),
      s("text", { x: left - 5, y: py(t) + 4, "text-anchor": "end" }, show(t))]),
    s("text", { x: (left + right) / 2, y: height - 5, "text-anchor": "middle" }, xLabel),
    s("text", { x: 2, y: 13 }, yLabel), layer);
  /** @param {number} v */
  const inside = (v) => Math.max(-1e4, Math.min(1e4, v)).toFixed(2); // a browser draws no 1e300
  return Object.assign(picture, {
    px, py, layer,
    clear: () => layer.replaceChildren(),
    /** @param {[number, number][]} points */
    line: (points, kind = "a") => layer.append(s("polyline", {
      class: `line ${kind}`, points: points.map(([a, b]) => `${inside(px(a))},${inside(py(b))}`).join(" ") })),
    /** @param {number} a @param {number} b */
    dot: (a, b, kind = "a", r = 5) => layer.append(s("circle", { class: `dot ${kind}`, cx: inside(px(a)), cy: inside(py(b)), r })),
    /** @param {number} a @param {number} b @param {string} text */
    text: (a, b, text, kind = "") => layer.append(s("text", { class: kind, x: inside(px(a)), y: inside(py(b)) }, text)),
    /** @param {[number, number]} from @param {[number, number]} to */
    arrow: (from, to, kind = "a") => layer.append(arrow([px(from[0]), py(from[1])], [px(to[0]), py(to[1])], kind)),
    /** @param {PointerEvent} event @returns {[number, number]} */
    under: (event) => {
      const box = picture.getBoundingClientRect();
      const a = ((event.clientX - box.left) / box.width) * width, b = ((event.clientY - box.top) / box.height) * height;
      return [x[0] + ((a - left) / (right - left)) * (x[1] - x[0]), y[0] + ((bottom - b) / (bottom - top)) * (y[1] - y[0])];
    },
  });
}

/**
 * An arrow in the units of the picture; one too short for its head is a line.
 * @param {[number, number]} from
 * @param {[number, number]} to
 */
export function arrow([x1, y1], [x2, y2], kind = "a") {
  const length = Math.hypot(x2 - x1, y2 - y1), angle = Math.atan2(y2 - y1, x2 - x1);
  const tip = [-0.45, 0.45].map((turn) => `${(x2 - 9 * Math.cos(angle + turn)).toFixed(2)},${(y2 - 9 * Math.sin(angle + turn)).toFixed(2)}`);
  const at = (/** @type {number} */ v) => v.toFixed(2);
  return s("g", { class: `arrow ${kind}` },
    s("line", { x1: at(x1), y1: at(y1), x2: at(x2), y2: at(y2) }),
    ...(length > 4 ? [s("polygon", { points: `${at(x2)},${at(y2)} ${tip.join(" ")}` })] : []));
}

/**
 * A point in a plot that can be dragged, or moved with the arrow keys.
 * @param {ReturnType<typeof plot>} picture
 * @param {{ label: string, at: [number, number], step?: number, kind?: string,
 *           keep?: (point: [number, number]) => [number, number] }} options
 * @param {(point: [number, number]) => void} act
 */
export function handle(picture, { label, at, step = 0.1, kind = "a", keep = (point) => point }, act) {
  const knob = s("circle", { class: `knob ${kind}`, r: 9, tabindex: 0, role: "slider", "aria-label": label, "aria-valuenow": 0 });
  let point = at;
  /** @param {[number, number]} next */
  const set = (next) => {
    point = keep(next);
    knob.setAttribute("cx", picture.px(point[0]).toFixed(2));
    knob.setAttribute("cy", picture.py(point[1]).toFixed(2));
    knob.setAttribute("aria-valuenow", point[0].toFixed(2));
    knob.setAttribute("aria-valuetext", `${number(point[0])}, ${number(point[1])}`);
  };
  /** @param {[number, number]} next */
  const move = (next) => { set(next); act(point); };
  /** @type {Record<string, [number, number]>} */
  const keys = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
  knob.addEventListener("keydown", (event) => {
    const way = keys[event.key];
    if (!way) return;
    event.preventDefault();
    move([point[0] + way[0] * step, point[1] + way[1] * step]);
  });
  knob.addEventListener("pointerdown", (event) => knob.setPointerCapture(event.pointerId));
  knob.addEventListener("pointermove", (event) => {
    if (knob.hasPointerCapture(event.pointerId)) move(picture.under(event));
  });
  set(at);
  picture.removeAttribute("role"); // what can be operated is no image
  picture.setAttribute("role", "group");
  picture.append(knob);
  return { set };
}

/**
 * Back, forward and back to the start through `count` frames; `draw` is called with 0 … count − 1.
 * @param {{ label: string, count: number }} options
 * @param {(frame: number) => void} draw
 */
export function stepper({ label, count }, draw) {
  let at = 0, frames = count;
  const said = h("output");
  /** @param {number} next */
  const go = (next) => {
    at = Math.max(0, Math.min(frames - 1, next));
    said.textContent = `${at + 1} of ${frames}`;
    draw(at);
  };
  const element = h("div", { class: "stepper", role: "group", "aria-label": label },
    button("Start", () => go(0)), button("Back", () => go(at - 1)), said, button("Next", () => go(at + 1)));
  said.textContent = `1 of ${frames}`;
  /** @param {number} many */
  const length = (many) => { frames = many; go(0); };
  return Object.assign(element, { go, length });
}

/**
 * Numbers from 0 to 1, the same ones for the same seed (mulberry32).
 * @param {number} seed
 */
export function random(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

/**
 * Draw from the bell curve with mean 0 and standard deviation 1 (Box and Muller).
 * @param {() => number} rng
 */
export function normal(rng) {
  return Math.sqrt(-2 * Math.log(1 - rng())) * Math.cos(2 * Math.PI * rng());
}
