(() => {
  const cards = [...document.querySelectorAll(".card")];

  addEventListener("beforeprint", () => {
    document.querySelectorAll("details:not([open])").forEach((part) => {
      part.open = true;
      part.dataset.closed = "";
    });
  });
  addEventListener("afterprint", () => {
    document.querySelectorAll("details[data-closed]").forEach((part) => {
      part.open = false;
      delete part.dataset.closed;
    });
  });
  if (!cards.length) return;

  const [search, row, verdict, task, kind, all] = [
    "search", "row", "verdict-of", "task", "kind", "all-rows",
  ].map((name) => document.getElementById(name));
  const count = document.getElementById("count");
  const nothing = document.getElementById("nothing");
  const words = cards.map((card) => card.textContent.toLowerCase());

  const { visible, go, step } = walkAmong(cards, ".card");
  const answerOf = (card) =>
    [...card.querySelectorAll(".answers tbody tr")].find((line) => line.dataset.row === row.value);

  function fits(card, place, asked) {
    const answer = answerOf(card);
    const seen = verdict.value === "" || (answer && answer.dataset.verdict === verdict.value);
    const told = asked.every((word) => words[place].includes(word));
    const ofTask = task.value === "" || card.dataset.task === task.value;
    return seen && told && ofTask && (kind.value === "" || card.dataset.kind === kind.value);
  }

  function showRows(card) {
    const chosen = answerOf(card);
    card.querySelectorAll(".answers tbody tr").forEach((line) => {
      line.hidden = "extra" in line.dataset && !all.checked && line !== chosen;
      line.classList.toggle("picked-row", line === chosen);
    });
    const badge = card.querySelector(".badge");
    const word = chosen ? chosen.dataset.verdict : "";
    badge.className = `badge said ${word}`;
    badge.textContent = word || "not asked";
  }

  function filter() {
    const asked = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    cards.forEach((card, place) => {
      card.hidden = !fits(card, place, asked);
      showRows(card);
    });
    const left = visible().length;
    count.textContent =
      left < cards.length ? `${left} of ${cards.length} questions` : `${left} questions`;
    nothing.hidden = left > 0;
  }

  function clear() {
    search.value = verdict.value = task.value = kind.value = "";
    filter();
  }

  const keys = {
    j: () => step(1),
    k: () => step(-1),
    "/": () => {
      search.focus();
      search.select();
    },
    Escape: clear,
  };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (event.target === search && event.key === "Enter") go(visible()[0]);
    else if (event.target === search && event.key === "Escape") {
      if (search.value) clear();
      else search.blur();
    } else if (event.target.matches("input, select") || !(event.key in keys)) return;
    else keys[event.key]();
    event.preventDefault();
  });

  search.addEventListener("input", filter);
  [row, verdict, task, kind, all].forEach((part) => part.addEventListener("change", filter));
  document.getElementById("clear").addEventListener("click", () => {
    clear();
    search.focus();
  });
  filter();
})();
