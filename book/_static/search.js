// Results that say where they lead: chapter and part from the menu, a page's own sentence below.
const about = JSON.parse(document.getElementById("about").textContent);
const out = document.getElementById("search-results");
const root = new URL(document.documentElement.dataset.content_root, location.href).pathname;
const pages = new Map([...document.querySelectorAll("#menu li > a")].map((link) => {
  const caption = link.closest("ul").previousElementSibling;
  const letter = caption?.querySelector(".part")?.textContent ?? "";
  const part = caption?.textContent.slice(letter.length).trim() ?? "";
  return [link.pathname, { name: link.textContent.trim(), part, letter }];
}));

function told(item) {
  const link = item.querySelector("a"), page = pages.get(link.pathname);
  const object = item.querySelector("span"); // a name in the package: “ (Python function, in The API)”
  const [title, section] = link.textContent.split(" > ");
  const place = document.createElement("small");
  if (page?.letter) {
    const letter = document.createElement("b");
    Object.assign(letter, { className: "part", textContent: page.letter });
    letter.dataset.part = page.letter;
    place.append(letter, " ");
  }
  if (object) place.append(`${object.textContent.replace(/^ \(|,.*/g, "")} · `);
  place.append((section || object ? page?.name : page?.part) ?? "Front page");
  object?.remove();
  link.textContent = section ?? title;
  item.append(place);
  const words = about[link.pathname.slice(root.length).replace(/\.html$/, "")];
  if (section || object || !words) return;
  const sentence = document.createElement("p");
  sentence.textContent = words;
  item.append(sentence);
}

new MutationObserver(() => {
  out.querySelector(".search-summary")?.setAttribute("role", "status");
  out.querySelectorAll("ul.search > li:not(.told)").forEach((item) => {
    item.classList.add("told");
    told(item);
  });
}).observe(out, { childList: true, subtree: true });

// Sphinx looks its sentences up here.
Object.assign(Documentation.TRANSLATIONS, {
  "Search Results": "Found",
  "Search finished, found ${resultCount} page(s) matching the search query.":
    "Places: ${resultCount}. The arrow keys go up and down, Enter opens one.",
  "Your search did not match any documents. Please make sure that all words are spelled correctly and that you've selected enough categories.":
    "Nothing found. Try one word, or the beginning of a word.",
});

// Up and down go through the results, from the field and back to it.
addEventListener("keydown", (event) => {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  const stops = [document.querySelector("main input[type=search]"), ...out.querySelectorAll("li > a")];
  const next = stops[stops.indexOf(document.activeElement) + step];
  if (!step || !stops.includes(document.activeElement) || !next) return;
  event.preventDefault();
  next.focus();
});
