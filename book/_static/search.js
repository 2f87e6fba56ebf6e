// Results that say where they lead: chapter and part from the menu, a page's own sentence below.
const about = JSON.parse(document.getElementById("about").textContent);
const out = document.getElementById("search-results");
const root = new URL(document.documentElement.dataset.content_root, location.href).pathname;
const pages = new Map();
let letter = "", part = "";
document.querySelectorAll("#menu .caption, #menu li > a").forEach((one) => {
  if (one.matches(".caption")) {
    letter = one.querySelector(".part")?.textContent ?? "";
    part = one.textContent.trim().slice(letter.length).trim();
  } else pages.set(one.pathname, { name: one.textContent.trim(), part, letter });
});

function told(item) {
  const link = item.querySelector("a"), page = pages.get(link.pathname);
  const object = item.querySelector(":scope > span"); // “ (Python function, in API reference)”
  const [title, heading] = link.textContent.split(" > ");
  const term = /^#term-(.+)/.exec(link.hash)?.[1].replaceAll("-", " "); // of the glossary
  const section = heading ?? term;
  const place = document.createElement("small");
  if (page?.letter) {
    const badge = document.createElement("b");
    Object.assign(badge, { className: "part", textContent: page.letter });
    badge.dataset.part = page.letter;
    place.append(badge, " ");
  }
  if (object) place.append(`${object.textContent.replace(/^ \((Python )?|,.*/g, "")} · `);
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
