// Quizzes that can be clicked, made from the folded answers that stand on the page.
const answers = store.get("quizzes", {});
const here = location.pathname.split("/").pop();
const quizzes = [];

// "a) one · b) two" with any markup between, cut into its options.
function cut(paragraph) {
  const options = [];
  for (const node of paragraph.childNodes) {
    const pieces = node.nodeType === Node.TEXT_NODE ? node.data.split(/(?:^| · )([a-d])\) /) : [node.cloneNode(true)];
    pieces.forEach((piece, i) => {
      if (i % 2) options.push({ letter: piece, content: [] });
      else if (piece !== "") options.at(-1)?.content.push(piece);
    });
  }
  return options;
}

// The reasons by letter, without the letter; the right one is bold.
function reasons(fold) {
  return new Map([...fold.querySelectorAll("li")].map((item) => {
    const copy = (item.querySelector("p") ?? item).cloneNode(true);
    const first = document.createTreeWalker(copy, NodeFilter.SHOW_TEXT).nextNode();
    const letter = first.data[0];
    first.data = first.data.replace(/^[a-d]\) (Right\.)?\s*/, "");
    return [letter, { why: [...copy.childNodes], right: /^[a-d]\) Right\./.test(item.textContent) }];
  }));
}

function count() {
  const tried = quizzes.filter(({ key }) => answers[key]);
  const right = tried.filter(({ key, isRight }) => isRight(answers[key]));
  return `${right.length} of ${quizzes.length} right at the first try`;
}

every("details", (fold) => {
  const number = /^Answers to (\d+)$/.exec(fold.querySelector("summary").textContent)?.[1];
  const written = fold.previousElementSibling, question = written?.previousElementSibling;
  const options = number && written ? cut(written) : [];
  if (options.length < 2) return;
  const known = reasons(fold), key = `${here} ${number}`;
  const isRight = (letter) => known.get(letter)?.right === true;
  quizzes.push({ key, isRight });
  const list = document.createElement("ul"), said = document.createElement("p");
  list.className = "options";
  said.setAttribute("role", "status");
  const choose = (letter, first = false) => {
    list.querySelectorAll("button").forEach((button) => {
      const chosen = button.dataset.letter === letter;
      button.setAttribute("aria-pressed", chosen);
      if (chosen) button.classList.add(isRight(letter) ? "right" : "wrong");
    });
    const why = (known.get(letter)?.why ?? []).map((node) => node.cloneNode(true));
    said.replaceChildren(isRight(letter) ? "✓ Right. " : "✗ No. ", ...why, first ? ` (${count()})` : "");
  };
  for (const { letter, content } of options) {
    const item = document.createElement("li"), button = document.createElement("button");
    Object.assign(button, { type: "button", className: "option" });
    button.dataset.letter = letter;
    button.setAttribute("aria-pressed", "false");
    const text = document.createElement("span");
    text.append(...content);
    button.append(`${letter}) `, text);
    button.addEventListener("click", () => {
      const first = !answers[key];
      answers[key] ??= letter;
      store.set("quizzes", answers);
      choose(letter, first);
    });
    item.append(button);
    list.append(item);
  }
  if (question) list.setAttribute("aria-label", `Answers to choose from: ${question.textContent}`);
  written.replaceWith(list);
  fold.before(said);
  fold.classList.add("answers"); // on paper it stays
  if (answers[key]) choose(answers[key]); // from an earlier visit
});
