// Where the model computes, so that the page never waits: chapter 12's GPT and chapter 01's table.
import { counted, prices } from "./counts.js";
import { GPT, logitsAfter, softmax } from "./gpt.js";
import { bets } from "./sampling.js";
import { readWeights } from "./weights.js";

const ORDER = 4, ALPHA = 0.03; // the best count table of chapter 01, with the α that it chose

/** @param {string} name */
async function fetched(name) {
  const answer = await fetch(new URL(name, import.meta.url));
  if (!answer.ok) throw new Error(`${name} could not be loaded (${answer.status}). Reload the page.`);
  return answer;
}

/** @type {Promise<{ gpt: GPT, characters: string[], ids: Map<string, number> }> | undefined} */
let loading;
/** @type {Promise<Map<string, Map<string, number>>> | undefined} */
let table;

function opened() {
  return loading ??= (async () => {
    const config = await (await fetched("model/config.json")).json();
    const characters = await (await fetched("model/characters.json")).json();
    const file = await (await fetched("model/model.safetensors")).arrayBuffer();
    const ids = new Map(characters.map((/** @type {string} */ c, /** @type {number} */ i) => [c, i]));
    return { gpt: new GPT(config, readWeights(file)), characters, ids };
  })();
}

/** @type {Record<string, (asked: any) => Promise<any>>} */
const answers = {
  characters: async () => (await opened()).characters,
  /** Bets on what comes after `text`: one for each character. */
  bets: async ({ text, knobs }) => {
    const { gpt, ids } = await opened(), known = [...text].map((c) => ids.get(c) ?? 0);
    return bets(logitsAfter(gpt, known), knobs, known);
  },
  /** What each character of `text` costs after the first, and where each head looks. */
  read: async ({ text }) => {
    const { gpt, ids } = await opened(), known = [...text].map((c) => ids.get(c) ?? 0);
    gpt.forget();
    /** @type {number[]} */
    const nats = [];
    const looks = known.map((id, i) => {
      const p = softmax(gpt.read([id]));
      if (i + 1 < known.length) nats.push(-Math.log(p[known[i + 1]]));
      return gpt.shares; // by layer, by head: a share for each place so far
    });
    return { nats, looks };
  },
  /** What the same characters cost the count table. */
  table: async ({ text }) => {
    table ??= fetched("shakespeare.txt").then(async (answer) => counted(await answer.text(), ORDER));
    const { characters } = await opened();
    return prices(await table, text, { order: ORDER, alpha: ALPHA, symbols: characters.length });
  },
};

addEventListener("message", async ({ data: { id, ask, ...asked } }) => {
  try {
    postMessage({ id, value: await answers[ask](asked) });
  } catch (problem) {
    postMessage({ id, problem: problem instanceof Error ? problem.message : String(problem) });
  }
});
