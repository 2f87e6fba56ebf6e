// A button on every piece of code; of a dialogue with Python it copies what was typed.
const typed = (text) => {
  const lines = text.split("\n").filter((line) => /^(>>>|\.\.\.)( |$)/.test(line));
  return lines.length ? lines.map((line) => line.slice(4)).join("\n") : text;
};
document.querySelectorAll("div.highlight").forEach((box) => {
  if (box.closest(".cell_output")) return;
  const button = document.createElement("button");
  button.type = "button";
  button.className = "button copy";
  button.textContent = "Copy";
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(typed(box.querySelector("pre").textContent.trimEnd()));
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });
  box.append(button);
});
