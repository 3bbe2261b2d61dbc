"use strict";
(() => {
  // A column's header sorts its table: up, down, then back to the report's own order. What is missing stays last.
  const MISSING = new Set(["", "–", "n/a"]);
  const collator = new Intl.Collator("en", { numeric: true });
  const NEXT = { none: "ascending", ascending: "descending", descending: "none" };

  const ownText = ({ firstChild }) => (firstChild && firstChild.nodeName !== "SMALL" ? firstChild.textContent.trim() : "");

  function leadingNumber(text) {
    const plain = text.replace(/−/g, "-").replace(/,(?=\d{3})/g, "");
    const found = plain.match(/^[<>≤≥≈\s]*([+-]?\d+(?:\.\d+)?)/);
    return found ? Number(found[1]) : null;
  }

  function keyOf(row, column, isNumber) {
    const text = ownText(row.cells[column]);
    const number = isNumber ? leadingNumber(text) : null;
    return { row, text, number, rank: MISSING.has(text) ? 2 : isNumber && number === null ? 1 : 0 };
  }

  function sorted(rows, column, isNumber, direction) {
    const sign = direction === "descending" ? -1 : 1;
    const keys = rows.map((row) => keyOf(row, column, isNumber));
    keys.sort((a, b) => {
      if (a.rank !== b.rank || a.rank === 2) return a.rank - b.rank;
      return sign * (a.number !== null ? a.number - b.number : collator.compare(a.text, b.text));
    });
    return keys.map((key) => key.row);
  }

  function makeSortable(table) {
    const body = table.tBodies[0];
    const rows = Array.from(body.rows);
    const headers = Array.from(table.tHead.rows[table.tHead.rows.length - 1].cells);
    if (rows.length < 2) return;
    headers.forEach((header, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...header.childNodes);
      if (!button.textContent) button.setAttribute("aria-label", `column ${column + 1}`);
      header.append(button);
      header.setAttribute("aria-sort", "none");
      button.addEventListener("click", () => {
        const direction = NEXT[header.getAttribute("aria-sort")];
        headers.forEach((other) => other.setAttribute("aria-sort", "none"));
        header.setAttribute("aria-sort", direction);
        const isSorted = direction !== "none";
        table.classList.toggle("sorted", isSorted);
        body.append(...(isSorted ? sorted(rows, column, header.dataset.sort === "number", direction) : rows));
      });
    });
  }

  // The gallery's choices hide the pairs that do not fit all of them.
  function makeFilter(form) {
    const pairs = Array.from(form.parentElement.querySelectorAll(".pair"));
    const selects = Array.from(form.querySelectorAll("select"));
    const output = form.querySelector("output");
    const all = output.textContent;
    function apply() {
      pairs.forEach((pair) => {
        pair.hidden = !selects.every(
          ({ name, value }) => !value || pair.dataset[name] === value || (name === "cases" && pair.dataset.cases.split(" ").includes(value))
        );
      });
      const n_shown = pairs.filter((pair) => !pair.hidden).length;
      output.textContent = n_shown === pairs.length ? all : `${n_shown} of ${all} shown`;
    }
    form.addEventListener("change", apply);
    form.addEventListener("reset", () => setTimeout(apply));
    form.hidden = false;
  }

  document.querySelectorAll("table.sortable").forEach(makeSortable);
  document.querySelectorAll("form.filter").forEach(makeFilter);
})();
