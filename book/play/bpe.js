// GPT-2's tokenizer as in chapter 06: cut a text by the pattern, then merge bytes by rank.
// Made for what a reader types: the work on one piece grows with the square of its length.

// Python's \s is Unicode's White_Space; JavaScript's own \s is another set.
const PATTERN = /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu;
const END = "<|endoftext|>", END_ID = 50256;

/**
 * Half a character becomes �, as in our package.
 * @param {string} text
 */
export const whole = (text) => text.replace(/\p{Surrogate}/gu, "\ufffd");

/**
 * Cut a text where GPT-2 cuts it before any merge.
 * @param {string} text
 * @returns {string[]}
 */
export const pieces = (text) => whole(text).match(PATTERN) ?? [];

/** @param {string} text */
export const bytesOf = (text) => [...new TextEncoder().encode(text)];

/**
 * The text of some bytes; broken ones become �, or an error if that is `fatal`.
 * @param {Iterable<number>} bytes
 */
export const textOf = (bytes, fatal = false) =>
  new TextDecoder("utf-8", { fatal, ignoreBOM: true }).decode(Uint8Array.from(bytes));

/**
 * A token to look at: its white space can be seen, and what is no whole character stands as numbers.
 * @param {number[]} bytes
 */
export function shown(bytes) {
  try {
    return textOf(bytes, true).replace(/ /g, "␣").replace(/\n/g, "↵").replace(/\t/g, "⇥")
      .replace(/[\p{C}\p{Z}\p{M}]/gu, (c) => `⟨${bytesOf(c).join(" ")}⟩`);
  } catch {
    return `⟨${bytes.join(" ")}⟩`;
  }
}

/** Every byte and the letter that spells it, in the order of GPT-2's ids. */
export function bytesToUnicode() {
  const every = Array.from({ length: 256 }, (_, byte) => byte);
  const seen = (/** @type {number} */ b) => (b > 32 && b < 127) || (b > 160 && b !== 173);
  const kept = every.filter(seen), moved = every.filter((b) => !seen(b));
  return new Map([...kept.map((b) => /** @type {const} */ ([b, String.fromCharCode(b)])),
    ...moved.map((b, i) => /** @type {const} */ ([b, String.fromCharCode(256 + i)]))]);
}

/**
 * Read GPT-2's file of merges: ids are those of the bytes, then 256 + rank.
 * @param {string} text
 */
export function readMerges(text) {
  const letters = bytesToUnicode(), idOf = new Map([...letters.values()].map((letter, id) => [letter, id]));
  const tokens = [...letters.keys()].map((byte) => [byte]);
  /** @type {number[]} */
  const idOfByte = [];
  tokens.forEach(([byte], id) => { idOfByte[byte] = id; });
  const rank = /** @type {Map<number, number>} */ (new Map());
  const pair = (/** @type {number} */ left, /** @type {number} */ right) => left * 65536 + right;
  for (const line of text.split("\n").slice(1, -1)) {
    const [left, right] = line.split(" "), a = idOf.get(left), b = idOf.get(right);
    if (a === undefined || b === undefined) throw new Error(`“${line}” merges what is no token yet.`);
    rank.set(pair(a, b), tokens.length);
    idOf.set(left + right, tokens.length);
    tokens.push([...tokens[a], ...tokens[b]]);
  }

  /** @param {string} piece */
  function merged(piece) {
    const ids = bytesOf(piece).map((byte) => idOfByte[byte]);
    while (true) {
      let lowest = Infinity, at = -1; // what was learned first is merged first
      for (let i = 0; i + 1 < ids.length; i++) {
        const found = rank.get(pair(ids[i], ids[i + 1])) ?? Infinity;
        if (found < lowest) [lowest, at] = [found, i];
      }
      if (at < 0) return ids;
      ids.splice(at, 2, lowest);
    }
  }

  return {
    size: tokens.length + 1,
    /** The bytes of an id. @param {number} id */
    bytes: (id) => (id === END_ID ? bytesOf(END) : tokens[id]),
    /** Text to ids; the end of a text is ordinary text here. @param {string} text */
    encode: (text) => pieces(text).flatMap(merged),
    /** Ids to text: join the bytes first. @param {number[]} ids */
    decode: (ids) => textOf(ids.flatMap((id) => {
      if (!Number.isInteger(id) || id < 0 || id > tokens.length) throw new RangeError(`There is no token ${id}.`);
      return id === END_ID ? bytesOf(END) : tokens[id];
    })),
  };
}
