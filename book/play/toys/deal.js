// Chapter 15: one row of sequences, dealt to any number of readers, before and after a resume.
import { choice, controls, grid, status, stepper, tick } from "../kit.js";

const PIECES = 16, STEPS = 4, A_STEP = 8, SEED = 0;

/**
 * NumPy's RandomState([seed, epoch]): whole numbers of 32 bits (the Mersenne Twister).
 * @param {number[]} key
 */
function dice(key) {
  const mt = new Uint32Array(624);
  mt[0] = 19650218;
  const mixed = (/** @type {number} */ i) => mt[i - 1] ^ (mt[i - 1] >>> 30);
  for (let i = 1; i < 624; i++) mt[i] = Math.imul(1812433253, mixed(i)) + i;
  let i = 1;
  const next = () => { if (++i === 624) { mt[0] = mt[623]; i = 1; } };
  for (let k = 0; k < 624; k++, next()) {
    const j = k % key.length;
    mt[i] = (mt[i] ^ Math.imul(mixed(i), 1664525)) + key[j] + j;
  }
  for (let k = 0; k < 623; k++, next()) mt[i] = (mt[i] ^ Math.imul(mixed(i), 1566083941)) - i;
  mt[0] = 0x80000000;
  let at = 624;
  return () => {
    if (at === 624) {
      for (let k = 0; k < 624; k++) {
        const y = (mt[k] & 0x80000000) | (mt[(k + 1) % 624] & 0x7fffffff);
        mt[k] = mt[(k + 397) % 624] ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0);
      }
      at = 0;
    }
    let y = mt[at++];
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    return (y ^ (y >>> 18)) >>> 0;
  };
}

/**
 * The order of an epoch: the same numbers as the package's `epoch_order`.
 * @param {number} sequences
 * @param {number} seed
 * @param {number} epoch
 */
export function order(sequences, seed, epoch) {
  const roll = dice([seed, epoch]), row = Array.from({ length: sequences }, (_, i) => i);
  for (let last = sequences - 1; last > 0; last--) {
    const mask = 2 ** (32 - Math.clz32(last)) - 1;
    let j = last + 1;
    while (j > last) j = roll() & mask;
    [row[last], row[j]] = [row[j], row[last]];
  }
  return row;
}

/**
 * Deal one step: round by round, reader by reader, the numbers in the endless row.
 * @param {number} position
 * @param {number} readers
 * @param {number} B
 */
export function deal(position, readers, B) {
  return Array.from({ length: A_STEP / (readers * B) }, (_, round) =>
    Array.from({ length: readers }, (_, reader) =>
      Array.from({ length: B }, (_, i) => position + (round * readers + reader) * B + i)));
}

/**
 * Which piece of the text stands at a number of the endless row.
 * @param {number} place
 */
export function piece(place) {
  return order(PIECES, SEED, Math.floor(place / PIECES))[place % PIECES];
}

/** @param {HTMLElement} stage */
export default function (stage) {
  const readers = [1, 2, 2, 2]; // in each step: after the first the run was stopped and resumed
  let at = 1, whole = true, forget = false;
  const row = grid({ caption: "the pieces of text, eight a step, and who reads them", columns: [], rows: [] });
  const hands = grid({ caption: "this step, reader by reader", columns: [], rows: [] }), said = status();
  const many = choice({ label: "Readers from this step on", options: [[1, "1"], [2, "2"], [4, "4"], [8, "8"]], value: readers[at] },
    (value) => { readers.fill(value, at); draw(); });
  const steps = stepper({ label: "Steps", count: STEPS }, (step) => {
    at = step;
    many.querySelectorAll("input").forEach((input, i) => { input.checked = 2 ** i === readers[at]; });
    draw();
  });
  const size = (/** @type {number} */ step) => (whole ? A_STEP / readers[step] : 1);

  function draw() {
    const read = /** @type {Set<number>} */ (new Set()), rows = [];
    let position = 0, twice = 0, rounds = /** @type {number[][][]} */ ([]);
    for (let step = 0; step < STEPS; step++) {
      if (forget && step && readers[step] !== readers[step - 1]) position = 0;
      const dealt = deal(position, readers[step], size(step)), past = step > at ? "off" : "";
      const cards = dealt.flatMap((round) => round.flatMap((hand, reader) => hand.map((place) => ({ place, reader }))));
      const again = cards.filter(({ place }) => read.has(place)).length;
      rows.push({ label: `${step === at ? "▸ " : ""}step ${step + 1}`, cells: cards.map(({ place }) => ({
        text: String(piece(place)), kind: step <= at && read.has(place) ? "marked" : past })) });
      rows.push({ label: "reader", cells: cards.map(({ reader }) => ({
        text: step > at ? "·" : String(reader), share: step > at ? 0 : (reader + 1) / readers[step], kind: past })) });
      cards.forEach(({ place }) => read.add(place));
      position += A_STEP;
      if (step <= at) twice += again;
      if (step === at) rounds = dealt;
    }
    row.update([], rows);
    hands.update(rounds.map((_, i) => `round ${i + 1}`), rounds[0].map((_, reader) => ({
      label: `reader ${reader}`, cells: rounds.map((round) => ({
        text: round[reader].map(piece).join(" "), share: (reader + 1) / readers[at] })) })));
    const resumed = at && readers[at] !== readers[at - 1];
    const bookmark = Math.max(...rounds.flat(2)) + 1;
    said.textContent = `Step ${at + 1}: ${readers[at]} ${readers[at] === 1 ? "reader" : "readers"}`
      + `${resumed ? `, resumed after a step with ${readers[at - 1]}` : ""}. Then the bookmark says ${bookmark}. `
      + (twice ? `${twice} pieces were read again.` : "Nothing was left out, and nothing was read again.");
  }

  steps.go(at);
  stage.append(
    controls(many, tick("one piece at a time", !whole, (value) => { whole = !value; draw(); }),
    tick("resume without the bookmark", forget, (value) => { forget = value; draw(); })),
    steps, row, hands, said);
}
