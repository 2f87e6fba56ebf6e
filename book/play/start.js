// Loads a toy when its place comes near, and puts it where its still picture stands.

/** @param {HTMLElement} figure */
async function open(figure) {
  const still = /** @type {HTMLElement} */ (figure.querySelector(".stage"));
  try {
    const { default: draw } = await import(`./toys/${figure.dataset.play}.js`);
    const stage = /** @type {HTMLElement} */ (still.cloneNode(false));
    stage.inert = false;
    await draw(stage);
    still.replaceWith(stage);
    figure.dataset.ready = "";
  } catch (problem) { // without it the still and its words stay, and they are complete
    figure.dataset.failed = "";
    still.inert = false; // it can be read; its controls are hidden
    console.error(problem);
  }
}

const near = new IntersectionObserver((seen) => seen.forEach(({ target, isIntersecting }) => {
  if (!isIntersecting) return;
  near.unobserve(target);
  open(/** @type {HTMLElement} */ (target));
}), { rootMargin: "600px" });
document.querySelectorAll("figure[data-play]").forEach((figure) => {
  const still = /** @type {HTMLElement} */ (figure.querySelector(".stage"));
  still.inert = true; // a picture of a button takes no press
  near.observe(figure);
});

// A link that carries a text (#text=…) leads to the toy that reads it.
if (location.hash.startsWith("#text=")) document.getElementById("play-live-tokenizer")?.scrollIntoView();
