(() => {
  const search = document.getElementById("search");
  const count = document.getElementById("count");
  const nothing = document.getElementById("nothing");
  const records = [...document.querySelectorAll(".record")];
  const texts = records.map((record) => record.textContent.toLowerCase());

  const { visible, go, step } = walkAmong(records, ".record");

  function filter() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    records.forEach((record, place) => {
      record.hidden = !words.every((word) => texts[place].includes(word));
    });
    const left = visible().length;
    count.textContent = words.length ? `${left} of ${records.length} records` : `${left} records`;
    nothing.hidden = left > 0;
  }

  function clear() {
    search.value = "";
    filter();
  }

  const keys = {
    j: () => step(1),
    k: () => step(-1),
    ArrowRight: () => step(1),
    ArrowLeft: () => step(-1),
    "/": () => {
      search.focus();
      search.select();
    },
    Escape: clear,
  };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (event.target === search) {
      if (event.key === "Enter") go(visible()[0]);
      else if (event.key !== "Escape") return;
      else if (search.value) clear();
      else search.blur();
    } else {
      const scrolls = event.key.startsWith("Arrow") && event.target.matches(".prompt");
      if (!(event.key in keys) || scrolls) return;
      keys[event.key]();
    }
    event.preventDefault();
  });

  search.addEventListener("input", filter);
  document.getElementById("clear").addEventListener("click", () => {
    clear();
    search.focus();
  });
  filter();
})();
