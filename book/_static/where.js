// Where am I: what was read and answered is remembered in this browser and marked in the menu.
const chapter = location.pathname.split("/").pop();
const menu = document.getElementById("menu");
const read = new Set(store.get("read", []));

function mark() {
  const chapters = [...menu.querySelectorAll("a[href]")].filter((link) => /\/?\d\d_\w+\.html$/.test(link.pathname));
  chapters.forEach((link) => link.classList.toggle("read", read.has(link.pathname.split("/").pop())));
  const done = chapters.filter((link) => link.classList.contains("read")).length;
  every(".place", (place) => { place.textContent = done ? `${place.dataset.place} · ${done} read` : place.dataset.place; });
}
mark();

// A chapter is read when its recap was on the screen.
const recap = document.getElementById("recap");
if (recap) {
  new IntersectionObserver((seen, observer) => {
    if (!seen.some(({ isIntersecting }) => isIntersecting)) return;
    observer.disconnect();
    store.set("read", [...read.add(chapter)]);
    mark();
  }).observe(recap.querySelector("h2") ?? recap);
}

// The menu opens where the reader is.
const current = menu.querySelector(".current > a, a[aria-current]");
if (current) menu.scrollTop = current.offsetTop - menu.clientHeight / 2;

// n and p turn the page, / searches: but not for somebody who is typing.
addEventListener("keydown", (event) => {
  const typing = event.target instanceof Element && event.target.closest("input, textarea, select, [contenteditable]");
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  const way = { n: "next", p: "prev" }[event.key];
  const link = way && document.querySelector(`link[rel=${way}]`);
  if (link) location.href = link.href;
  if (event.key === "/") { event.preventDefault(); search(); }
});
