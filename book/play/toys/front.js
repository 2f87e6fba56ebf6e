// Front door: the model of chapter 12 bets on the next letter, and writes when it is asked to.
import { bars, button, choice, controls, h, number, status } from "../kit.js";
import { openModel } from "../model.js";
import { draw as drawn } from "../sampling.js";

/** @typedef {{ text: string, bets: [string, number][] }} Start */

const AT_ONCE = 240, KEPT = 1000, LINES = 9, SHOWN = 6, PAUSE = 20; // letters, letters, lines, bars, ms
const LOAD = "Let it write (loads 1.6 MB)", WRITE = "Let it write", STOP = "Stop";

/** @param {string} letter */
const seen = (letter) => ({ " ": "␣", "\n": "↵" })[letter] ?? letter;

/**
 * The lines of a text that fit.
 * @param {string} text
 * @param {number} lines
 */
export function tail(text, lines = LINES) {
  const all = text.split("\n");
  return all.length > lines ? `…\n${all.slice(1 - lines).join("\n")}` : text;
}

/** @param {HTMLElement} stage */
export default async function (stage) {
  /** @type {{ starts: Start[] }} */
  const { starts } = await (await fetch(new URL("../data/front.json", import.meta.url))).json();
  /** @type {{ model: import("../model.js").Model, characters: string[] } | undefined} */
  let live;
  let start = starts[0], text = start.text, turn = 0, writing = 0; // the turn that writes, or none

  const written = h("span"), next = h("mark", {}, "?");
  const board = bars("what it bets on next", []);
  const said = status();
  const go = button(LOAD, () => {
    if (!writing) return void write();
    stop();
    said.textContent = "It waits for you.";
  });

  /** @param {[string, number][]} best */
  function show(best) {
    written.textContent = tail(text);
    board.update(best.map(([letter, p], i) => ({ label: seen(letter), share: p, text: number(p), kind: i ? "" : "true" })));
  }

  /** @param {Start} chosen */
  function begin(chosen) {
    start = chosen;
    stop();
    text = start.text;
    show(start.bets);
    const [letter, p] = start.bets[0];
    said.textContent = `Its favourite is ${seen(letter)}, and it puts ${number(100 * p, 0)} % on it.`;
  }

  function stop() {
    writing = 0;
    go.textContent = live ? WRITE : LOAD;
  }

  async function write() {
    const mine = writing = ++turn;
    go.textContent = STOP;
    said.textContent = live ? "Writing …" : "The model comes to your browser …";
    try {
      const model = openModel();
      live ??= { model, characters: await model("characters") };
    } catch (problem) {
      said.textContent = problem instanceof Error ? problem.message : String(problem);
      return stop();
    }
    if (writing !== mine) return; // stopped while it came: the button says so already
    said.textContent = "Writing …";
    const { model, characters } = live;
    for (let i = 0; ; i++) {
      const bets = /** @type {Float64Array} */ (await model("bets", { text, knobs: {} }));
      if (writing !== mine) return; // stopped, or begun anew, while it was thinking
      const best = [...bets.keys()].sort((a, b) => bets[b] - bets[a]).slice(0, SHOWN);
      show(best.map((id) => [characters[id], bets[id]]));
      if (i === AT_ONCE) break;
      await new Promise((resolve) => setTimeout(resolve, PAUSE));
      if (writing !== mine) return;
      text = (text + characters[drawn(bets, Math.random())]).slice(-KEPT);
    }
    stop();
    said.textContent = "Written for you, letter by letter, by drawing from its bets. Nobody has read it before.";
  }

  begin(starts[0]);
  stage.append(
    choice({ label: "a beginning", options: starts.map((start, i) => [i, start.text.trim()]), value: 0 },
      (i) => begin(starts[i])),
    h("div", { class: "pair" }, h("p", { class: "passage" }, written, next), board),
    controls(go, button("Begin again", () => begin(start))), said);
}
