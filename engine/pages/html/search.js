"use strict";
// Shows of the entries only those that have every word of the search; without script all of them stand there.
const box = document.getElementById("search");
const entries = [...document.querySelectorAll("[data-search]")];
const texts = entries.map((entry) => entry.dataset.search.toLowerCase());
const found = document.getElementById("found");
function look() {
  const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  entries.forEach((entry, number) => {
    const hit = words.every((word) => texts[number].includes(word));
    entry.hidden = !hit;
    shown += hit;
  });
  found.textContent = words.length ? `${shown} of ${entries.length}` : "";
}
if (box) {
  box.parentElement.hidden = false;
  box.addEventListener("input", look);
  look();
}
