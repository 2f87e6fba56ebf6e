(() => {
  const root = document.documentElement, night = matchMedia("(prefers-color-scheme: dark)");
  let mode = "auto";
  try { mode = localStorage.getItem("mode") || mode; } catch { /* storage is switched off */ }
  window.chooseTheme = (next) => {
    mode = next;
    root.dataset.mode = mode;
    root.dataset.theme = mode === "auto" ? (night.matches ? "dark" : "light") : mode;
  };
  chooseTheme(mode);
  let veil = "true"; // answers wait for a guess: said before the page is drawn, so nothing jumps
  try { veil = localStorage.getItem("veil") || veil; } catch { /* storage is switched off */ }
  root.classList.toggle("veil", veil === "true");
  // A page that is opened at its top is laid out in parts; book.js brings them, one after the other.
  const [opened] = performance.getEntriesByType("navigation");
  root.classList.toggle("in-parts", opened?.type === "navigate" && !location.hash);
  night.addEventListener("change", () => chooseTheme(mode));
})();
