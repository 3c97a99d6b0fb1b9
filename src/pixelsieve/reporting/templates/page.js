// The page: contents, tables that sort, figures that follow the width, copying of the command.
const data = JSON.parse(document.getElementById("data").textContent);

function listContents() {
  const list = document.getElementById("contents");
  const runs = document.querySelectorAll("article.run");
  if (document.getElementById("joint")) link("joint", "All runs", "of");
  runs.forEach((run) => {
    if (runs.length > 1) link(run.id, run.querySelector(".run-title").textContent, "of");
    run.querySelectorAll("section").forEach((s) => link(s.id, s.dataset.title, ""));
  });
  function link(id, title, kind) {
    html("a", { href: `#${id}`, class: kind }, html("li", {}, list), title);
  }
}

function sortTables() {
  for (const table of document.querySelectorAll("table.sort")) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => head.querySelector("button")?.addEventListener("click", () => {
      const falling = head.getAttribute("aria-sort") === "ascending" || (!head.hasAttribute("aria-sort") && head.classList.contains("num"));
      heads.forEach((h) => h.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", falling ? "descending" : "ascending");
      const body = table.tBodies[0];
      const value = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent.trim();
      const order = [...body.rows].sort((a, b) => {
        const [x, y] = [value(a), value(b)];
        const [p, q] = [Number(x), Number(y)];
        const both = x !== "" && y !== "" && !Number.isNaN(p) && !Number.isNaN(q);
        return (both ? p - q : x.localeCompare(y)) * (falling ? -1 : 1);
      });
      body.append(...order);
    }));
  }
}

function copyCommands() {
  for (const button of document.querySelectorAll(".copy")) {
    button.addEventListener("click", async () => {
      const code = button.parentElement.querySelector("code");
      try {
        await navigator.clipboard.writeText(code.textContent);
        button.textContent = "Copied";
      } catch {
        getSelection().selectAllChildren(code);
        button.textContent = "Selected";
      }
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    });
  }
}

const redraw = [];
for (const figure of document.querySelectorAll("[data-charts]")) redraw.push(drawFigure(figure, data[figure.dataset.charts]));
const pixels = [];
for (const holder of document.querySelectorAll("[data-means]")) {
  const draw = () => drawMeans(holder, data[holder.dataset.means]);
  draw();
  pixels.push(draw);
}
for (const holder of document.querySelectorAll("[data-display]")) pixels.push(startDisplay(holder, data[holder.dataset.display]));
listContents();
sortTables();
copyCommands();
let width = document.documentElement.clientWidth, waiting = 0;
window.addEventListener("resize", () => {
  if (width === document.documentElement.clientWidth) return;
  width = document.documentElement.clientWidth;
  clearTimeout(waiting);
  waiting = setTimeout(() => redraw.forEach((draw) => draw()), 120);
});
dark.addEventListener("change", () => pixels.forEach((draw) => draw()));
