// Whoever has played the guessing game stands on every board of the book, in this browser only.
const mine = store.get("player", null);
if (Number.isFinite(mine)) {
  every("table.scoreboard", (table) => {
    const heads = [...table.querySelectorAll("thead th")].map((head) => head.textContent);
    const at = heads.indexOf("val");
    const row = document.createElement("tr");
    row.className = "mine";
    heads.forEach((head, i) => {
      const cell = document.createElement("td");
      cell.className = table.querySelectorAll("thead th")[i].className;
      cell.textContent = { model: "you, 20 letters", val: mine.toFixed(3), perplexity: Math.exp(mine).toFixed(2) }[head] ?? "–";
      row.append(cell);
    });
    const rows = [...table.querySelectorAll("tbody tr")];
    const after = rows.find((one) => Number(one.children[at]?.textContent) < mine);
    if (at >= 0) table.tBodies[0].insertBefore(row, after ?? null);
  });
}
