// Chapter 15: a save is killed at any moment; what lies on the disk, and what the next start finds.
import { choice, controls, grid, slider, status } from "../kit.js";

/** @typedef {"whole" | "half" | "empty"} Written */
/** @typedef {Record<string, Record<string, Written>>} Disk */
/** @typedef {{ doing: string, disk: Disk }} Moment */

const FILES = ["model.safetensors", "state.json", "manifest.json"];
const NEW = "step_00000003", ASIDE = `.${NEW}.part`;

/** @param {number} many @returns {Record<string, Written>} */
const first = (many) => Object.fromEntries(FILES.slice(0, many).map((name) => [name, "whole"]));

/**
 * What lies on the disk at each moment of `checkpoint.save`, which writes aside; it keeps two.
 * @returns {Moment[]}
 */
function aside() {
  const old = { step_00000001: first(3), step_00000002: first(3) };
  const writing = FILES.flatMap((name, i) => [
    { doing: `while ${name} is written aside`, disk: { ...old, [ASIDE]: { ...first(i), [name]: /** @type {Written} */ ("half") } } },
    { doing: `when ${name} is written aside`, disk: { ...old, [ASIDE]: first(i + 1) } }]);
  const named = { ...old, [NEW]: first(3) }, { step_00000001: _, ...two } = named;
  const { [FILES[0]]: __, ...rest } = first(3);
  return [
    { doing: "before the save", disk: old },
    { doing: "when a folder aside is made", disk: { ...old, [ASIDE]: {} } },
    ...writing,
    { doing: "when all of it is synced", disk: { ...old, [ASIDE]: first(3) } },
    { doing: "right after the rename", disk: named },
    { doing: "when the names are synced", disk: named },
    { doing: "while step 1 is deleted", disk: { ...named, step_00000001: rest } },
    { doing: "after the save", disk: two },
  ];
}

/**
 * The same for `torch.save` straight onto the old file.
 * @returns {Moment[]}
 */
function straight() {
  return [
    { doing: "before the save", disk: { "last.pt": { "step 2": "whole" } } },
    { doing: "when last.pt is opened to be written", disk: { "last.pt": { "step 3": "empty" } } },
    { doing: "while last.pt is written", disk: { "last.pt": { "step 3": "half" } } },
    { doing: "after the save", disk: { "last.pt": { "step 3": "whole" } } },
  ];
}

/** @param {"aside" | "straight"} how @returns {Moment[]} */
export const moments = (how) => (how === "aside" ? aside() : straight());

/**
 * The step from which the next start goes on: of the newest that is whole, or null.
 * @param {Disk} disk
 */
export function found(disk) {
  const steps = Object.entries(disk).flatMap(([name, files]) => {
    if (name === "last.pt") return Object.keys(files).filter((step) => files[step] === "whole");
    return name.startsWith("step_") && FILES.every((file) => files[file] === "whole") ? [name] : [];
  }).map((text) => Number(text.replace(/\D+/, "")));
  return steps.length ? Math.max(...steps) : null;
}

/** @param {string} name */
const short = (name) => name.replace(/^(\.?)step_0*(\d+)/, (_, dot, step) => `${dot && "aside: "}step ${step}`).replace(".part", "");

/** @param {HTMLElement} stage */
export default function (stage) {
  let how = /** @type {"aside" | "straight"} */ ("aside"), at = 2;
  const line = grid({ caption: "all moments of the save, and the step that the next start finds", columns: [], rows: [] });
  const disk = grid({ caption: "on the disk after the kill", columns: [], rows: [] }), said = status();
  const where = slider({ label: "killed at moment", min: 0, max: 12, step: 1, value: at, show: String },
    (value) => { at = value; draw(); });

  function draw() {
    const all = moments(how), { doing, disk: left } = all[at], step = found(left);
    line.update(all.map((_, i) => String(i)), [{ label: "finds", cells: all.map((moment, i) => {
      const one = found(moment.disk);
      return { text: String(one ?? "✗"), share: one === 3 ? 1 : one === 2 ? 0.25 : 0, kind: i === at ? "marked" : "" };
    }) }]);
    const columns = how === "aside" ? FILES : ["what is in it"];
    disk.update(columns.map((name) => name.split(".")[0]), Object.entries(left).map(([name, files]) => ({
      label: short(name),
      cells: how === "aside"
        ? FILES.map((file) => ({ text: files[file] ?? "–", share: { whole: 0.6, half: 0.2, empty: 0 }[files[file]] ?? 0, kind: file in files ? "" : "off" }))
        : Object.entries(files).map(([of, written]) => ({ text: written === "empty" ? "empty: 0 bytes" : `${of}, ${written}`, share: written === "whole" ? 0.6 : 0 })),
    })));
    const goes = step === null ? "There is nothing left to go on from: step 2 is gone, and step 3 is not there."
      : `The next start goes on from step\u00a0${step}.`;
    said.textContent = `Killed ${doing}. ${goes}`;
  }

  draw();
  stage.append(
    controls(choice({ label: "Step 3 is written", options: [["aside", "aside, then renamed"], ["straight", "straight onto the old file"]], value: how },
      (value) => {
        how = value;
        const input = /** @type {HTMLInputElement} */ (where.querySelector("input"));
        input.max = String(moments(how).length - 1);
        where.set(at = Math.min(at, moments(how).length - 1));
        draw();
      }), where),
    line, disk, said);
}
