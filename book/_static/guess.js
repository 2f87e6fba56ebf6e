// Guess first: what follows a question stays veiled until a guess is in, or until "just show me".
const kept = store.get("guesses", {});

// What gpt2_tutorial.ledger.reveal says in a notebook.
function told({ measured, low, high }, guess) {
  const truth = Number(measured), gap = guess - truth;
  if (Math.abs(gap) <= 0.02 * Math.abs(truth)) return `Measured ${measured}. You guessed ${guess}: as good as measuring it.`;
  const side = gap > 0 ? "high" : "low";
  return `Measured ${measured}. You guessed ${guess}, which is ${Math.abs(gap).toFixed(3)} too ${side}. ${gap > 0 ? high : low}`;
}

// A number as people write it: a comma for the point, a true minus, a percent sign behind it.
function read(text) {
  const plain = text.trim().replace(/[−–]/g, "-").replace(/\s*(%|nats?)$/, "");
  const pointed = /^[-+]?\d{1,3}(,\d{3})+(\.\d*)?$/.test(plain) ? plain.replaceAll(",", "") : plain.replace(",", ".");
  return /^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i.test(pointed) ? Number(pointed) : NaN;
}

function unveil(form, guess) {
  form.dataset.done = "";
  if (guess === undefined) return;
  form.querySelector("[role=status]").textContent = told(form.dataset, guess);
  form.querySelector("input").value = guess;
}

every("form.guess", (form) => {
  const { name } = form.dataset, said = form.querySelector("[role=status]");
  if (Number.isFinite(kept[name])) unveil(form, kept[name]);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const guess = read(form.querySelector("input").value);
    if (!Number.isFinite(guess)) {
      said.textContent = "That is not a number. Write one such as 2.5, or press “Just show me”.";
      return;
    }
    kept[name] ??= guess; // the first guess is the one that counts
    store.set("guesses", kept);
    unveil(form, guess);
  });
  form.querySelector(".show").addEventListener("click", () => unveil(form));
});

// Whoever follows a link to a veiled place has seen enough to be let in.
function letIn() {
  const place = document.querySelector(":target");
  if (!place) return;
  every("form.guess:not([data-done])", (form) => {
    if (form.compareDocumentPosition(place) & Node.DOCUMENT_POSITION_FOLLOWING
      && form.parentElement.contains(place)) unveil(form);
  });
  place.scrollIntoView();
}
letIn();
addEventListener("hashchange", letIn);
