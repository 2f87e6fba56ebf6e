// Chapter 01: what tables of longer memory pay on the text they counted, and on new text.
import { controls, h, number, plot, slider, status } from "../kit.js";

/** @typedef {{ alphas: number[], cells: number[], train: number[][], val: number[][] }} Measured */

const V = 65;

/**
 * Both curves over the order for one α, and where the validation loss is lowest.
 * @param {Measured} measured
 * @param {number} alpha
 */
export function curves({ alphas, train, val }, alpha) {
  const at = alphas.indexOf(alpha), [learned, fresh] = [train, val].map((rows) => rows.map((row) => row[at]));
  return { train: learned, val: fresh, best: fresh.indexOf(Math.min(...fresh)) };
}

/** @param {HTMLElement} stage */
export default async function (stage) {
  /** @type {Measured} */
  const measured = await (await fetch(new URL("../data/orders.json", import.meta.url))).json();
  const { alphas, cells } = measured, last = cells.length - 1;
  let order = 4, alpha = 0.03;
  const picture = plot({ label: "Loss over the order: the training loss falls, the validation loss falls and then rises",
    x: [-0.3, last + 0.3], y: [0, 4.5], xLabel: "order: characters of memory", yLabel: "nats per character",
    xTicks: cells.map((_, i) => i), yTicks: [0, 1, 2, 3, 4], width: 320, height: 250 });
  const said = status(), size = h("p", {});

  function draw() {
    const { train, val, best } = curves(measured, alpha), gap = val[order] - train[order];
    picture.clear();
    picture.line([[-0.3, Math.log(V)], [last + 0.3, Math.log(V)]], "c");
    picture.text(-0.2, Math.log(V) + 0.09, "knows nothing: 4.17", "c");
    picture.line([[order, train[order]], [order, val[order]]], "gap");
    picture.line(train.map((loss, i) => [i, loss]), "a");
    picture.line(val.map((loss, i) => [i, loss]), "b");
    picture.dot(order, train[order], "a");
    picture.dot(order, val[order], "b", 6);
    picture.text(order + (order < last - 1 ? 0.15 : -1.8), Math.max((train[order] + val[order]) / 2, train[order] + 0.15), gap < 0.3 ? "" : `gap ${number(gap)}`);
    picture.text(-0.1, 0.6, "solid: training", "a");
    picture.text(-0.1, 0.2, "dashed: validation", "b");
    const turns = order === best ? "With this α, no order pays less on new text."
      : order < best ? "More memory still helps." : `More memory than ${best} hurts on new text, with this α.`;
    said.textContent = `Order ${order}, α = ${alpha}: training ${number(train[order], 3)}, validation ${number(val[order], 3)}, gap ${number(gap, 3)}. ${turns}`;
    size.textContent = `The table has ${(V ** (order + 1)).toLocaleString("en")} cells. ${cells[order].toLocaleString("en")} of them are not 0.`;
  }

  draw();
  stage.append(
    controls(slider({ label: "order", min: 0, max: last, step: 1, value: order, show: String }, (value) => { order = value; draw(); }),
      slider({ label: "α", min: 0, max: alphas.length - 1, step: 1, value: alphas.indexOf(alpha), show: (at) => String(alphas[at]) },
        (at) => { alpha = alphas[at]; draw(); })),
    picture, said, size);
}
