// Chapter 00 and the front door: Shannon's game against three guessers of the book.
import { bars, button, controls, field, h, number, slider, status } from "../kit.js";

/** @typedef {{ before: string, letters: string, bigram: number[], kneser_ney: number[], gpt: number[] }} Passage */

const SYMBOLS = 65; // different characters in Shakespeare's text
const RIVALS = /** @type {const} */ ([["bigram", "bigram counts"], ["kneser_ney", "Kneser–Ney"], ["gpt", "the GPT of chapter 12"]]);

/**
 * The price of one bet: `sure` on the guess, the rest shared out evenly over the 64 others.
 * @param {string} guess
 * @param {number} sure
 * @param {string} truth
 */
export function price(guess, sure, truth) {
  const p = guess === truth ? sure : (1 - sure) / (SYMBOLS - 1);
  return -Math.log(Math.max(p, 1e-12)); // whoever is sure to the end, and wrong, would pay infinity
}

/** @param {number[]} nats */
export const mean = (nats) => nats.reduce((a, b) => a + b, 0) / Math.max(1, nats.length);

/** @param {string} letter */
const seen = (letter) => ({ " ": "␣", "\n": "↵" })[letter] ?? letter;

/** @param {HTMLElement} stage */
export default async function (stage) {
  /** @type {{ passages: Passage[] }} */
  const { passages } = await (await fetch(new URL("../data/guesser.json", import.meta.url))).json();
  let at = 0, sure = 0.5;
  /** @type {number[]} */
  let paid = [];
  const passage = () => passages[at], done = () => paid.length === passage().letters.length;

  const before = h("span"), guessed = h("mark"), text = h("p", { class: "passage" }, before, guessed);
  const board = bars("mean price in nats per letter, so far", []);
  const said = status("Which letter comes next? Type it, say how sure you are, and bet.");
  const letter = field({ label: "next letter", value: "", max: 1 }, () => {});
  const card = h("p", { class: "card", hidden: true });
  const bet = button("Bet", play);
  letter.input.addEventListener("keydown", (event) => {
    if (/** @type {KeyboardEvent} */ (event).key === "Enter") play();
  });

  function play() {
    const guess = letter.input.value.slice(0, 1) || " ";
    if (done()) return;
    const i = paid.length, truth = passage().letters[i];
    paid.push(price(guess, sure, truth));
    letter.input.value = "";
    const rival = number(passage().gpt[i]);
    said.textContent = `You bet ${number(100 * sure, 0)} % on ${seen(guess)}, and ${seen(truth)} came: `
      + `${number(paid[i])} nats. The GPT paid ${rival}.`;
    if (done()) finish();
    draw();
  }

  function draw() {
    before.textContent = `… ${passage().before}`;
    guessed.textContent = passage().letters.slice(0, paid.length) + (done() ? "" : "?");
    const rows = [["you", mean(paid)], ...RIVALS.map(([key, name]) => [name, mean(passage()[key].slice(0, paid.length))])];
    board.update(rows.map(([label, nats], i) => ({
      label: String(label), share: Number(nats) / 5, text: paid.length ? number(Number(nats)) : "–", kind: i ? "" : "true" })));
    bet.disabled = done();
  }

  function finish() {
    const mine = mean(paid), beaten = RIVALS.filter(([key]) => mine < mean(passage()[key]));
    const result = `I guessed 20 letters of Shakespeare for ${number(mine)} nats a letter. `
      + RIVALS.map(([key, name]) => `${name}: ${number(mean(passage()[key]))}`).join(", ") + ".";
    try { localStorage.setItem("player", JSON.stringify(mine)); } catch { /* storage is switched off */ }
    card.hidden = false;
    card.replaceChildren(
      beaten.length ? `You beat ${beaten.map(([, name]) => name).join(" and ")}. ` : "All three did better this time. ",
      "Your row now stands on every board of the book, in this browser only. ",
      button("Copy the result", async () => {
        await navigator.clipboard?.writeText(result);
        said.textContent = `Copied: ${result}`;
      }));
  }

  /** @param {number} next */
  function deal(next) {
    at = next;
    paid = [];
    card.hidden = true;
    said.textContent = "Which letter comes next? Type it, say how sure you are, and bet.";
    draw();
  }

  draw();
  stage.append(text,
    controls(letter, slider({ label: "how sure", min: 0.02, max: 0.99, step: 0.01, value: sure, show: (v) => `${number(100 * v, 0)} %` },
      (value) => { sure = value; }), bet, button("Another passage", () => deal((at + 1) % passages.length))),
    said, board, card);
}
