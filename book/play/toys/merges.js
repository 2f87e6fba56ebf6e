// Chapter 06: the reader's own text, merged pair by pair as the package's trainer does it.
import { bars, button, controls, field, h, status } from "../kit.js";
import { bytesOf, pieces, shown } from "../bpe.js";

const START = "aaabdaaabac";
const COUNTED = /** @type {const} */ ([["hug", 10], ["pug", 5], ["pun", 12], ["bun", 4], ["hugs", 5]]);
const HUGS = COUNTED.flatMap(([word, times]) => Array(times).fill(word)).join("|"); // a wall between words

/**
 * The order of a dictionary: byte by byte, and the shorter one first.
 * @param {number[]} one
 * @param {number[]} other
 */
function compare(one, other) {
  const at = one.findIndex((byte, i) => byte !== other[i]);
  return at < 0 ? one.length - other.length : one[at] - (other[at] ?? -1);
}

/**
 * Cut, then count, choose and merge: at most `wanted` times, or until no pair is left.
 * @param {string} text
 * @param {number} wanted
 */
export function learn(text, wanted) {
  const tokens = Array.from({ length: 256 }, (_, byte) => [byte]);
  const merges = /** @type {[number, number][]} */ ([]);
  let rows = pieces(text).map(bytesOf);
  while (true) {
    const counts = /** @type {Map<string, number>} */ (new Map());
    for (const row of rows) {
      for (let i = 0; i + 1 < row.length; i++) {
        const pair = `${row[i]} ${row[i + 1]}`;
        counts.set(pair, (counts.get(pair) ?? 0) + 1);
      }
    }
    const pairs = [...counts].map(([pair, count]) => ({ pair: pair.split(" ").map(Number), count }));
    pairs.sort((one, other) => other.count - one.count // the most frequent; of equals, the later in the dictionary
      || compare(tokens[other.pair[0]], tokens[one.pair[0]]) || compare(tokens[other.pair[1]], tokens[one.pair[1]])
      || one.pair[0] - other.pair[0] || one.pair[1] - other.pair[1]);
    if (merges.length === wanted || !pairs.length) return { rows, tokens, merges, pairs };
    const [left, right] = pairs[0].pair, made = tokens.length;
    rows = rows.map((row) => {
      const next = [];
      for (let i = 0; i < row.length; i++) {
        const here = row[i] === left && row[i + 1] === right; // from the left: aaa becomes (aa)a
        next.push(here ? made : row[i]);
        if (here) i++;
      }
      return next;
    });
    tokens.push([...tokens[left], ...tokens[right]]);
    merges.push([left, right]);
  }
}

/** @param {HTMLElement} stage */
export default function (stage) {
  let text = START, done = 0;
  const chips = h("p", { class: "chips" });
  const counted = bars("pairs of neighbours, most frequent first", []);
  const learned = h("ol", { class: "learned" });
  const said = status();

  function draw() {
    const { rows, tokens, merges, pairs } = learn(text, done);
    done = merges.length;
    const name = (/** @type {number} */ id) => shown(tokens[id]);
    const short = (/** @type {number} */ id) => name(id).replace(/^(.{6}).{3,}(.{6})$/u, "$1…$2");
    const both = (/** @type {number[]} */ pair) => pair.map(short).join(" · ");
    const newest = done ? 255 + done : -1;
    chips.replaceChildren(...rows.map((row) => h("span", { class: "piece" }, ...row.map((id) =>
      h("span", { class: id === newest ? "chip new" : id > 255 ? "chip merged" : "chip" }, name(id))))));
    const best = pairs.length ? pairs[0].count : 0, tied = pairs.filter(({ count }) => count === best).length;
    const frequent = pairs.slice(0, 6).map(({ pair, count }, i) => ({
      label: both(pair), share: count / best, text: `${count}${count === best && tied > 1 ? " tie" : ""}`, kind: i ? "" : "true",
    }));
    counted.update(frequent);
    learned.replaceChildren(...merges.map((pair, i) =>
      h("li", { value: 256 + i }, `${both(pair)} → ${short(256 + i)}`)).slice(-6));
    const many = rows.reduce((sum, row) => sum + row.length, 0);
    const times = best === 1 ? "once" : best === 2 ? "twice" : `${best} times`;
    said.textContent = `${many} ${many === 1 ? "token" : "tokens"}. ${
      !pairs.length ? "No pair is left to merge."
      : tied > 1 ? `${tied} pairs stand there ${times}: a tie. The later in the dictionary goes next, ${both(pairs[0].pair)}.`
      : `${both(pairs[0].pair)} stands there ${times}, more often than any other pair. It goes next.`}`;
  }

  const own = field({ label: "Your text", value: text, max: 240, lines: 2 }, (value) => { text = value; done = 0; draw(); });
  const example = (/** @type {string} */ value) => { own.input.value = text = value; done = 0; draw(); };
  draw();
  stage.append(own,
    controls(button("Merge", () => { done++; draw(); }), button("Back", () => { done = Math.max(0, done - 1); draw(); }),
      button(START, () => example(START)),
      button("hug, pug, pun", () => example(HUGS))),
    chips, h("div", { class: "pair" }, counted, h("div", {}, h("p", { class: "hint" }, "the last merges learned, with their ids"), learned)), said);
}
