// Chapter 06: the reader's own text, cut by GPT-2's pattern and then by its 50,000 merges.
import { button, controls, field, h, number, status } from "../kit.js";
import { bytesOf, pieces, readMerges, shown, whole } from "../bpe.js";

const START = "Hello world, it's 2024!   Fine.", MOST = 600;
const EXAMPLES = [["strawberry", " strawberry"], ["numbers", "3571 + 1999"], ["Greek", "Ο ουρανός είναι μπλε."],
  ["code", "def f(x):\n        return x"], ["a space at the end", "The sky is "]];

/** The text that the page's address carries, if it carries one: #text=… */
function linked() {
  try {
    return location.hash.startsWith("#text=") ? decodeURIComponent(location.hash.slice(6)).slice(0, MOST) : "";
  } catch { // half a %, say
    return "";
  }
}

/** @param {string} text */
export const sizes = (text) => ({ characters: [...whole(text)].length, bytes: bytesOf(text).length });

/** @param {HTMLElement} stage */
export default function (stage) {
  /** @type {ReturnType<typeof readMerges> | undefined} */
  let gpt2;
  let text = linked() || START, cutOnly = true;
  const chips = h("p", { class: "chips" }), said = status();

  /** @param {string} piece */
  function tokens(piece) {
    const reader = gpt2;
    if (!reader || cutOnly) return [h("span", { class: "chip" }, shown(bytesOf(piece)))];
    return reader.encode(piece).map((id) => h("span", { class: "chip merged" }, shown(reader.bytes(id)), h("small", {}, String(id))));
  }

  function draw() {
    const cut = pieces(text), { characters, bytes } = sizes(text);
    chips.replaceChildren(...cut.map((piece) => h("span", { class: "piece" }, ...tokens(piece))));
    const count = (/** @type {number} */ n, /** @type {string} */ what) => `${n} ${what}${n === 1 ? "" : "s"}`;
    const size = `${count(characters, "character")}, ${count(bytes, "byte")}`;
    if (!gpt2 || cutOnly) {
      said.textContent = `${size}, cut into ${count(cut.length, "piece")} by the pattern. ${
        gpt2 ? "No merge crosses a cut." : "The merges, and with them the ids, are not loaded yet."}`;
    } else {
      const many = gpt2.encode(text).length;
      said.textContent = `${size}, ${count(many, "token")}${many ? `: ${number(characters / many)} characters per token.` : "."}`;
    }
  }

  async function load() {
    if (gpt2) {
      cutOnly = !cutOnly;
    } else {
      merge.textContent = "Loading …";
      try {
        const answer = await fetch(new URL("../gpt2/merges.txt", import.meta.url));
        if (!answer.ok) throw new Error(`${answer.status}`);
        gpt2 = readMerges(await answer.text());
        cutOnly = false;
      } catch (problem) {
        merge.textContent = "Try again to load the merges";
        said.textContent = `The merges could not be loaded (${problem}). The pieces are right without them.`;
        return;
      }
    }
    merge.textContent = cutOnly ? "Show the tokens" : "Show the pieces alone";
    draw();
  }

  const own = field({ label: "Your text", value: text, max: MOST, lines: 2 }, (value) => { text = value; draw(); });
  const merge = button("Load GPT-2's merges, 0.5 MB", load);
  draw();
  stage.append(own, controls(merge, button("Link to this text", () => {
    history.replaceState(null, "", `#text=${encodeURIComponent(whole(text))}`);
    said.textContent = "The address of this page carries your text now. Copy it from the bar of your browser.";
  })), chips, said, controls(h("span", { class: "hint" }, "Examples"), ...EXAMPLES.map(([name, value]) => button(name, () => {
    own.input.value = text = value;
    draw();
  }))));
}
