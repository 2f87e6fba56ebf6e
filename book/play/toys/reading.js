// Chapter 12: what each letter of the reader's text costs the model, and where its heads look.
import { button, controls, field, grid, number, slider, status } from "../kit.js";
import { known, openModel } from "../model.js";
import { mean } from "./guesser.js";

const START = "What is the city but the people?", LONGEST = 64;

/** @param {string} letter */
const seen = (letter) => ({ " ": "␣", "\n": "↵" })[letter] ?? letter;

/** @param {HTMLElement} stage */
export default function (stage) {
  const said = status("The model and the text that the table counted are loaded when you ask for them.");
  const load = button("Load model and table (2.6 MB)", opened);
  stage.append(said, controls(load));

  async function opened() {
    load.disabled = true;
    said.textContent = "Loading …";
    const model = openModel();
    try {
      const characters = await model("characters");
      await model("table", { text: START });
      live(model, characters);
    } catch (problem) {
      said.textContent = problem instanceof Error ? problem.message : String(problem);
      load.disabled = false;
    }
  }

  /** @param {import("../model.js").Model} model @param {string[]} characters */
  async function live(model, characters) {
    let text = START, left = 0, turn = 0, place = 20, layer = 0, head = 0;
    /** @type {{ nats: number[], looks: Float64Array[][][], table: number[] }} */
    let found = { nats: [], looks: [], table: [] };
    const strip = grid({ caption: "nats paid for each letter; and how much the head takes from each", columns: [], rows: [] });
    const typed = field({ label: "your text: 2 to 64 letters", value: text, max: LONGEST }, (next) => {
      [text, left] = known(next, characters);
      read();
    });
    const where = slider({ label: "read at letter", min: 1, max: LONGEST, step: 1, value: place + 1, show: (v) => number(v, 0) },
      (value) => { place = value - 1; draw(); });

    async function read() {
      const mine = ++turn;
      if (text.length < 2) {
        said.textContent = "Write at least two letters that Shakespeare used.";
        return;
      }
      const [{ nats, looks }, table] = await Promise.all([model("read", { text }), model("table", { text })]);
      if (mine !== turn) return;
      found = { nats, looks, table };
      draw();
    }

    function draw() {
      const letters = [...text], at = Math.min(place, letters.length - 1);
      const look = found.looks[at]?.[layer]?.[head] ?? [];
      /** @param {(i: number) => number | undefined} paid */
      const row = (paid) => letters.map((_, i) => {
        const nats = paid(i);
        return nats === undefined ? { text: "" } : { text: number(nats, 1), share: Math.min(1, nats / 6) };
      });
      strip.update(letters.map(seen), [
        { label: "the model", cells: row((i) => found.nats[i - 1]) },
        { label: "counts, 4 characters", cells: row((i) => (i ? found.table[i] : undefined)) },
        { label: `layer ${layer}, head ${head}`, cells: letters.map((_, i) => (i > at ? { text: "", kind: "off" }
          : { text: number(100 * look[i], 0), share: look[i], kind: i === at ? "marked" : "" })) },
      ]);
      const [ours, counts] = [mean(found.nats), mean(found.table.slice(1))];
      const out = left ? ` ${left} characters that it does not know are left out.` : "";
      said.textContent = `Mean: the model ${number(ours)}, the table ${number(counts)} nats. At ${seen(letters[at])} `
        + `this head takes ${number(100 * Math.max(...look), 0)} % from ${seen(letters[look.indexOf(Math.max(...look))])}.${out}`;
    }

    await read();
    stage.replaceChildren(typed, strip, said, controls(where,
      slider({ label: "layer", min: 0, max: 3, step: 1, value: 0, show: (v) => number(v, 0) }, (v) => { layer = v; draw(); }),
      slider({ label: "head", min: 0, max: 3, step: 1, value: 0, show: (v) => number(v, 0) }, (v) => { head = v; draw(); })));
    typed.input.focus();
  }
}
