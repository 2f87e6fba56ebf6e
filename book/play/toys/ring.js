// Chapter 16: a ring adds up the vectors of all workers, turn by turn.
import { bars, choice, controls, grid, h, number, plot, status, stepper } from "../kit.js";

const GRADIENT = 124439808 * 4 / 1e6; // MB: GPT-2's

/** @typedef {{ from: number, to: number, piece: number, value: number, adding: boolean }} Sent */
/** @typedef {{ have: number[][], sent: Sent[] }} Frame */

/**
 * What every worker holds at first and after each turn, and what travelled in it.
 * @param {number[][]} vectors
 */
export function ring(vectors) {
  const n = vectors.length;
  let have = vectors.map((pieces) => [...pieces]);
  const frames = [/** @type {Frame} */ ({ have, sent: [] })];
  for (let turn = 0; turn < 2 * (n - 1); turn++) {
    const sent = have.map((pieces, from) => { // all at once: nothing is written before all is read
      const piece = (from - turn + 2 * n) % n;
      return { from, to: (from + 1) % n, piece, value: pieces[piece], adding: turn < n - 1 };
    });
    have = have.map((pieces) => [...pieces]);
    for (const { to, piece, value, adding } of sent) have[to][piece] = adding ? have[to][piece] + value : value;
    frames.push({ have, sent });
  }
  return frames;
}

/**
 * The chapter's vectors: 1, 2, 3 for worker 0, 10, 20, 30 for worker 1, and so on.
 * @param {number} n
 */
export const brought = (n) => Array.from({ length: n }, (_, w) => Array.from({ length: n }, (_, i) => (i + 1) * 10 ** w));

/** @param {HTMLElement} stage */
export default function (stage) {
  let frames = ring(brought(3)), at = 0;
  const circle = plot({ label: "the workers in a ring, each with an arrow to its right neighbour", x: [-1.7, 1.7], y: [-1.25, 1.25], width: 300, height: 220 });
  const held = grid({ caption: "the pieces of each worker; what came in has a frame", columns: [], rows: [] });
  const traffic = bars("sent by each worker so far, in whole gradients", []), said = status();
  const turns = stepper({ label: "Turns", count: frames.length }, (frame) => { at = frame; draw(); });

  function draw() {
    const n = frames[0].have.length, { have, sent } = frames[at], whole = frames[frames.length - 1].have[0];
    /** @param {number} w @param {number} aside @returns {[number, number]} */
    const place = (w, aside = 0) => {
      const angle = (2 * Math.PI * w) / n, out = (2 * Math.PI * (Math.floor(w) + 0.5)) / n;
      return [Math.sin(angle) + aside * Math.sin(out), Math.cos(angle) + aside * Math.cos(out)];
    };
    circle.clear();
    for (let w = 0; w < n; w++) {
      const aside = n === 2 ? 0.2 : 0, way = sent.find(({ from }) => from === w), [x, y] = place(w);
      const a = place(w, aside), b = [x, y].map((_, i) => place(w + 1)[i] + place(w, aside)[i] - place(w)[i]);
      const along = (/** @type {number} */ t) => /** @type {[number, number]} */ (a.map((v, i) => v + t * (b[i] - v)));
      circle.arrow(along(0.22), along(0.78), !way ? "idle" : way.adding ? "a" : "c");
      circle.dot(x, y, "", 15);
      circle.text(x, y - 0.05, String(w));
      const [c, d] = along(0.5), out = place(w + 0.5), r = 0.14 / Math.hypot(...out);
      if (way) circle.text(c + r * out[0], d + r * out[1] - 0.05, `${way.adding ? "+" : "="} ${way.value}`, out[0] > 0.1 ? "after" : out[0] < -0.1 ? "before" : "");
    }
    held.update(Array.from({ length: n }, (_, i) => String(i)), have.map((pieces, w) => ({
      label: `worker ${w}`, cells: pieces.map((value, i) => ({
        text: String(value), share: value === whole[i] ? 1 : 0,
        kind: sent.some(({ to, piece }) => to === w && piece === i) ? "marked" : "" })) })));
    traffic.update([
      { label: "the ring", share: at / n / 2, text: number(at / n) },
      { label: "in the end", share: (n - 1) / n, text: number((2 * (n - 1)) / n), kind: "true" },
    ]);
    const done = have.flat().filter((value, i) => value === whole[i % n]).length;
    const what = at === 0 ? "Each worker has brought its own numbers."
      : sent[0].adding ? `Turn ${at}: each adds its own number to the piece that comes in.`
        : `Turn ${at}: finished pieces are handed on.`;
    said.textContent = `${what} ${done} of ${n * n} pieces hold the whole sum. Of GPT-2's gradient each has sent ${number((at / n) * GRADIENT, 0)} MB.`;
  }

  draw();
  stage.append(
    controls(choice({ label: "Workers", options: [[2, "2"], [3, "3"], [4, "4"]], value: 3 },
      (n) => { frames = ring(brought(n)); turns.length(frames.length); }), turns),
    h("div", { class: "pair" }, circle, held), traffic, said);
}
