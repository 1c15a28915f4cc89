"use strict";

// How the keyboard moves among those of some items that are not filtered out.
function walkAmong(items, selector) {
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  const visible = () => items.filter((item) => !item.hidden);

  function go(item) {
    if (!item) return;
    item.focus({ preventScroll: true });
    item.scrollIntoView({ block: "start", behavior: calm.matches ? "auto" : "smooth" });
  }

  function step(by) {
    const shown = visible();
    const here = shown.indexOf(document.activeElement.closest(selector));
    if (here >= 0) return go(shown[Math.min(Math.max(here + by, 0), shown.length - 1)]);
    const below = shown.findIndex((item) => item.getBoundingClientRect().bottom > 120);
    return go(shown[by > 0 || below < 0 ? Math.max(below, 0) : Math.max(below - 1, 0)]);
  }

  return { visible, go, step };
}

(() => {
  const root = document.documentElement;
  root.classList.add("scripted");

  function toggle() {
    const dark = root.dataset.theme
      ? root.dataset.theme === "dark"
      : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
  }

  document.getElementById("theme").addEventListener("click", toggle);
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (event.key === "t" && !event.target.matches("input, select, textarea")) toggle();
  });
})();
