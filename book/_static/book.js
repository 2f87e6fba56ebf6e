// The few things that a page cannot do with markup alone.
const every = (selector, act) => document.querySelectorAll(selector).forEach(act);

// What a reader did stays in this browser, and nowhere else.
const store = {
  get: (key, without) => {
    try { return JSON.parse(localStorage.getItem(key)) ?? without; } catch { return without; }
  },
  set: (key, value) => {
    try { localStorage.setItem(key, JSON.stringify(value)); } catch { /* storage is switched off */ }
  },
};

// The theme: as the system, light, dark, and round again.
const modes = ["auto", "light", "dark"];
every(".theme-switch-button", (button) => button.addEventListener("click", () => {
  const next = modes[(modes.indexOf(document.documentElement.dataset.mode) + 1) % modes.length];
  chooseTheme(next);
  try { localStorage.setItem("mode", next); } catch { /* storage is switched off */ }
}));

// A drawer closes when one of its links was followed on the same page.
every(".side[popover] a", (link) => link.addEventListener("click", () => {
  const drawer = link.closest("[popover]");
  if (drawer.matches(":popover-open")) drawer.hidePopover();
}));

// Ctrl+K leads to the search field, or to the search page where the field is folded away.
function search() {
  const field = [...document.querySelectorAll("input[type=search]")].find((f) => f.checkVisibility());
  if (field) field.focus();
  else location.href = document.querySelector(".search-link").href;
}
addEventListener("keydown", (event) => {
  if (event.key !== "k" || !(event.ctrlKey || event.metaKey)) return;
  event.preventDefault();
  search();
});

// Guess first, or not: for all pages.
every(".veil-switch", (button) => button.addEventListener("click", () => {
  const on = document.documentElement.classList.toggle("veil");
  store.set("veil", on);
  button.setAttribute("aria-pressed", on);
}));
every(".veil-switch", (button) => button.setAttribute("aria-pressed", document.documentElement.classList.contains("veil")));

// What scrolls sideways can be reached, and so scrolled, with the keyboard.
const reach = new ResizeObserver((seen) => seen.forEach(({ target }) => {
  if (target.scrollWidth > target.clientWidth) target.tabIndex = 0;
  else target.removeAttribute("tabindex");
}));
every("pre, .pst-scrollable-table-container, .text_html, div.math, .cell_output figure", (box) => reach.observe(box));

// A page that was opened at its top shows its first screen, and then is laid out part by part.
const parts = [...document.querySelectorAll(".in-parts article > section > section")];
const soon = (act) => requestAnimationFrame(() => (window.requestIdleCallback ?? setTimeout)(act));
const whole = () => document.documentElement.classList.remove("in-parts");
function layOut() {
  if (parts.length === 0) whole();
  else {
    parts.shift().style.contentVisibility = "visible";
    soon(layOut);
  }
}
addEventListener("load", () => {
  soon(layOut);
  setTimeout(whole, 5000); // where no frame is drawn and nothing is ever idle, all comes at once
});

// On paper every fold is open: styles do it where they can, and here where they cannot.
if (!CSS.supports("selector(::details-content)")) {
  let shut = [];
  addEventListener("beforeprint", () => {
    shut = [...document.querySelectorAll("details:not([open])")];
    shut.forEach((fold) => { fold.open = true; });
  });
  addEventListener("afterprint", () => shut.forEach((fold) => { fold.open = false; }));
}

// The heading that is being read is marked in the list of contents.
const places = new Map();
every("#contents a[href^='#']", (link) => {
  const place = document.getElementById(decodeURIComponent(link.hash.slice(1)));
  if (place) places.set(place, link);
});
const spy = new IntersectionObserver((seen) => seen.forEach(({ target, isIntersecting }) => {
  if (!isIntersecting) return;
  every("#contents [aria-current]", (link) => link.removeAttribute("aria-current"));
  places.get(target).setAttribute("aria-current", "location");
}), { rootMargin: "0px 0px -70%" });
places.forEach((_, place) => spy.observe(place));
