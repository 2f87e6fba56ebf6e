// Chapter 05: the map of letters while the bigram of two numbers a character is trained.
import { choice, controls, number, plot, s, slider, status } from "../kit.js";

/** @typedef {{ step: number, loss: number, points: number[] }} Frame */

/**
 * The `count` characters that lie nearest to character `one`, the nearest first.
 * @param {number[]} points x and y of every character, in turn
 * @param {number} one
 * @param {number} count
 */
export function neighbours(points, one, count) {
  /** @param {number} i */
  const away = (i) => Math.hypot(points[2 * i] - points[2 * one], points[2 * i + 1] - points[2 * one + 1]);
  const others = Array.from({ length: points.length / 2 }, (_, i) => i).filter((i) => i !== one);
  return others.sort((a, b) => away(a) - away(b)).slice(0, count);
}

/** @param {string} character */
function visible(character) {
  return character === " " ? "␣" : character === "\n" ? "↵" : character;
}

/** @param {string} character */
function sort(character) {
  if ("aeiou".includes(character)) return "b";
  return /[a-z]/.test(character) ? "a" : "c";
}

/** @param {HTMLElement} stage */
export default async function (stage) {
  const answer = await fetch(new URL("../data/letter-map.json", import.meta.url));
  if (!answer.ok) throw new Error(`The map's numbers did not come: ${answer.status}.`);
  /** @type {{ characters: string, frames: Frame[] }} */
  const { characters, frames } = await answer.json();
  let at = 0, chosen = characters.indexOf("a");
  const map = plot({ label: "Characters by their two numbers", x: [-4, 5], y: [-4.5, 3], xTicks: [-4, -2, 0, 2, 4],
    yTicks: [-4, -2, 0, 2], xLabel: "first number", yLabel: "second number", width: 320, height: 280, show: (v) => number(v, 0) });
  const said = status();

  function draw() {
    const { step, loss, points } = frames[at];
    map.clear();
    map.line(frames.slice(0, at + 1).map(({ points }) => [points[2 * chosen], points[2 * chosen + 1]]), "b");
    map.layer.append(...Array.from(characters, (character, i) => s("text", {
      class: `${sort(character)}${i === chosen ? " chosen" : ""}`, "text-anchor": "middle",
      x: map.px(points[2 * i]).toFixed(1), y: (map.py(points[2 * i + 1]) + 4).toFixed(1) }, visible(character))));
    const near = neighbours(points, chosen, 5).map((i) => visible(characters[i])).join(" ");
    said.textContent = `After ${step} steps it pays ${number(loss)} nats. Nearest to ${characters[chosen]}: ${near}`;
  }

  draw();
  stage.append(
    controls(
      slider({ label: "step", min: 0, max: frames.length - 1, step: 1, value: at, show: (i) => String(frames[i].step) },
        (i) => { at = i; draw(); }),
      choice({ label: "Follow", options: ["a", "q", "t", "y", ","].map((c) => [characters.indexOf(c), c]), value: chosen },
        (i) => { chosen = i; draw(); })),
    map, said);
}
