// Chapter 01's count table: how often each character followed the last `order` ones.

/**
 * @param {string} text
 * @param {number} order
 * @returns {Map<string, Map<string, number>>} by history, by what came
 */
export function counted(text, order) {
  const table = new Map();
  for (let i = order; i < text.length; i++) {
    const history = text.slice(i - order, i);
    let row = table.get(history);
    if (!row) table.set(history, row = new Map());
    row.set(text[i], (row.get(text[i]) ?? 0) + 1);
  }
  return table;
}

/**
 * What each character of a text costs in nats; a history that never came bets on all alike.
 * @param {Map<string, Map<string, number>>} table
 * @param {string} text
 * @param {{ order: number, alpha: number, symbols: number }} options
 */
export function prices(table, text, { order, alpha, symbols }) {
  return [...text].map((letter, i) => {
    const row = i < order ? undefined : table.get(text.slice(i - order, i));
    const total = row ? [...row.values()].reduce((a, b) => a + b, 0) : 0;
    return -Math.log(((row?.get(letter) ?? 0) + alpha) / (total + alpha * symbols));
  });
}
