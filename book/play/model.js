// The page's side of the worker: ask something, get a promise of the answer.

/** @typedef {(ask: string, asked?: object) => Promise<any>} Model */

/** @type {Model | undefined} */
let shared;

/**
 * Open the worker, once for all toys of a page.
 * @returns {Model}
 */
export function openModel() {
  if (shared) return shared;
  const worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
  /** @type {Map<number, [(value: any) => void, (problem: Error) => void]>} */
  const waiting = new Map();
  let last = 0;
  worker.addEventListener("message", ({ data: { id, value, problem } }) => {
    const [resolve, reject] = waiting.get(id) ?? [];
    waiting.delete(id);
    if (problem) reject?.(new Error(problem));
    else resolve?.(value);
  });
  return shared = (ask, asked = {}) => new Promise((resolve, reject) => {
    waiting.set(++last, [resolve, reject]);
    worker.postMessage({ id: last, ask, ...asked });
  });
}

/**
 * Keep the characters that the model knows.
 * @param {string} text
 * @param {string[]} characters
 * @returns {[string, number]} the text, and how many were left out
 */
export function known(text, characters) {
  const all = [...text], kept = all.filter((letter) => characters.includes(letter));
  return [kept.join(""), all.length - kept.length];
}
