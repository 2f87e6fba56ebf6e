// Chapter 13: the model of chapter 12 writes; its bets as bars, and the knobs that cut them.
import { bars, button, controls, field, h, number, random, slider, status } from "../kit.js";
import { known, openModel } from "../model.js";
import { draw as drawn } from "../sampling.js";

const START = "ROMEO:\n", SHOWN = 8, LONGEST = 2000;

/** @param {string} letter */
const seen = (letter) => ({ " ": "␣", "\n": "↵" })[letter] ?? letter;

/** @param {HTMLElement} stage */
export default function (stage) {
  const said = status("The 810,000 numbers of chapter 12's model come to your browser when you ask for them.");
  const load = button("Load the model (1.6 MB)", () => opened());
  stage.append(said, controls(load));

  async function opened() {
    load.disabled = true;
    said.textContent = "Loading …";
    const model = openModel();
    /** @type {string[]} */
    let characters;
    try {
      characters = await model("characters");
    } catch (problem) {
      said.textContent = problem instanceof Error ? problem.message : String(problem);
      load.disabled = false;
      return;
    }
    live(model, characters);
  }

  /** @param {import("../model.js").Model} model @param {string[]} characters */
  async function live(model, characters) {
    let text = START, left = 0, turn = 0;
    /** @type {Record<string, number>} */
    const knobs = { temperature: 1, topK: characters.length, topP: 1 };
    /** @type {Float64Array} */
    let bets = new Float64Array();
    const rng = random(1);
    const board = bars("its bets on the next character, after the knobs", []);
    const typed = field({ label: "the text so far: write into it", value: text, max: LONGEST, lines: 4 }, (next) => {
      [text, left] = known(next, characters);
      show();
    });

    async function show() {
      const mine = ++turn; // an older answer that comes late is not shown
      const next = await model("bets", { text: text || "\n", knobs });
      if (mine !== turn) return;
      bets = next;
      const best = [...bets.keys()].sort((a, b) => bets[b] - bets[a]).slice(0, SHOWN);
      board.update(best.map((id) => ({ label: seen(characters[id]), share: bets[id], text: number(bets[id], 3) })));
      const alive = bets.filter((p) => p > 0).length;
      const out = left ? ` ${left} characters that Shakespeare never used are left out.` : "";
      said.textContent = `${alive} of ${characters.length} characters may come next. The favourite is ${seen(characters[best[0]])}.${out}`;
    }
    /** @param {number} letters */
    async function write(letters) {
      for (let i = 0; i < letters && text.length < LONGEST; i++) {
        text += characters[drawn(bets, rng())];
        typed.input.value = text;
        await show();
      }
    }
    /** @param {string} label @param {string} key @param {[number, number, number]} range */
    const knob = (label, key, [min, max, step], digits = 2) => slider(
      { label, min, max, step, value: knobs[key], show: (v) => number(v, digits) },
      (value) => { knobs[key] = value; show(); });

    await show();
    stage.replaceChildren(typed,
      controls(button("One letter", () => write(1)), button("Forty letters", () => write(40)),
        button("Step back", () => { text = text.slice(0, -1); typed.input.value = text; show(); }),
        button("Start again", () => { text = START; typed.input.value = text; show(); })),
      h("div", { class: "pair" },
        h("div", {}, knob("temperature", "temperature", [0, 2, 0.05]), knob("top-k", "topK", [1, characters.length, 1], 0), knob("top-p", "topP", [0.05, 1, 0.01])),
        board), said);
    typed.input.focus();
  }
}
