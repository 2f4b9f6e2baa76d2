for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0], heads = table.tHead.rows[0].cells;
  const key = (row, i) => row.cells[i].dataset.v ?? row.cells[i].textContent;
  for (const head of heads) head.addEventListener("click", () => {
    const i = head.cellIndex, up = head.getAttribute("aria-sort") === "descending" ? 1 : head.getAttribute("aria-sort") ? -1 : head.classList.contains("n") ? -1 : 1;
    for (const other of heads) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", up > 0 ? "ascending" : "descending");
    const number = head.classList.contains("n");
    const rows = [...body.rows].sort((a, b) => {
      const x = key(a, i), y = key(b, i);
      return up * (number ? parseFloat(x) - parseFloat(y) || 0 : x.localeCompare(y));
    });
    body.append(...rows);
  });
}
const form = document.getElementById("filter");
if (form) {
  form.hidden = false;
  const rows = [...document.querySelectorAll("#rows tbody tr")], count = document.getElementById("shown");
  const apply = () => {
    const words = form.words.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      const d = row.dataset, text = row.textContent.toLowerCase();
      row.hidden = !(words.every(w => text.includes(w)) && (!form.direction.value || d.direction === form.direction.value) &&
        (!form.type.value || d.type === form.type.value) && (!form.temperature?.value || d.temperature === form.temperature.value) &&
        (!form.behind?.checked || d.behind === "1"));
      shown += !row.hidden;
    }
    count.textContent = shown + " of " + rows.length + " rows";
  };
  form.addEventListener("input", apply);
  form.addEventListener("submit", e => e.preventDefault());
  apply();
}
const made = Date.parse(document.getElementById("made").dateTime), age = document.getElementById("age");
if (!isNaN(made)) {
  const hours = (Date.now() - made) / 36e5;
  age.textContent = hours < 1 ? "less than an hour old" : hours < 48 ? Math.round(hours) + " hours old" : Math.round(hours / 24) + " days old";
  if (hours > 36) age.className = "old";
}
