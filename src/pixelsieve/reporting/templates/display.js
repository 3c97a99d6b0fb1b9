// What the network sees: mean charges, and a browser of single clusters.
const VIRIDIS = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]];
const GROUPS = { signal_kept: "signal, kept", signal_lost: "signal, lost", bib_dropped: "BIB, dropped", bib_kept: "BIB, kept" };
const LOWEST_E = 10, LOWEST_MEAN_E = 1;
const dark = window.matchMedia("(prefers-color-scheme: dark)");

function heat(share) {
  const at = (dark.matches ? share : 1 - share) * (VIRIDIS.length - 1);
  const i = Math.min(Math.floor(at), VIRIDIS.length - 2);
  const mix = VIRIDIS[i].map((v, k) => Math.round(v + (VIRIDIS[i + 1][k] - v) * (at - i)));
  return `rgb(${mix.join(" ")})`;
}

// Numbers of columns and rows stand at every fifth pixel.
function drawPixels(pixels, lowest, highest, label, pitch, text) {
  const rows = pixels.length, columns = pixels[0].length;
  const svg = make("svg", { class: "pixels", viewBox: `${-3.1 * text} -0.2 ${columns + 3.1 * text + 0.2} ${rows + 2.9 * text + 0.2}`, role: "img", "aria-label": label });
  const size = { "font-size": text };
  for (let c = 0; c < columns; c += 5) make("text", { ...size, x: c + 0.5, y: rows + 1.1 * text, "text-anchor": "middle" }, svg, c);
  for (let r = 0; r < rows; r += 5) make("text", { ...size, x: -0.3 * text, y: rows - r - 0.5 + 0.35 * text, "text-anchor": "end" }, svg, r);
  const of = pitch.map((um) => (um ? ` of ${um} µm` : ""));
  make("text", { ...size, x: columns, y: rows + 2.5 * text, "text-anchor": "end" }, svg, `column${of[0]} (x)`);
  make("text", { ...size, transform: `translate(${-2.1 * text} 0) rotate(-90)`, "text-anchor": "end" }, svg, `row${of[1]} (y)`);
  make("path", { d: `M0 0H${columns}V${rows}H0Z`, fill: "none", stroke: "var(--rule)", "stroke-width": 0.06 }, svg);
  pixels.forEach((line, r) => line.forEach((charge, c) => {
    if (charge <= 0 || charge < lowest) return;
    const share = Math.max(0, Math.min(1, Math.log(charge / lowest) / Math.log(highest / lowest)));
    const one = make("rect", { x: c + 0.03, y: rows - 1 - r + 0.03, width: 0.94, height: 0.94, fill: heat(share) }, svg);
    make("title", {}, one, `row ${r}, column ${c}: ${tell(charge)} e`);
  }));
  return svg;
}

function tellTime(ns) {
  return Math.abs(ns) < 0.1 ? `${tell(1000 * ns)} ps` : `${tell(ns)} ns`;
}

function highestOf(images) {
  return Math.max(2 * LOWEST_E, ...images.flat(2));
}

function scaleBar(holder, lowest, highest) {
  const bar = html("div", { class: "scale" }, holder);
  bar.append(`${lowest} e`);
  const stops = [0, 0.25, 0.5, 0.75, 1].map(heat).join(", ");
  html("span", { style: `background:linear-gradient(90deg, ${stops})` }, bar);
  bar.append(`${tell(highest)} e, log`);
}

function drawMeans(holder, seen) {
  holder.replaceChildren();
  const images = Object.values(seen.groups).map((g) => g.mean_e).filter(Boolean);
  const highest = highestOf(images);
  for (const [key, name] of Object.entries(GROUPS)) {
    const group = seen.groups[key];
    const box = html("div", {}, holder);
    html("h4", {}, box, `Mean of ${name}`);
    html("p", {}, box, `${group.clusters} clusters`);
    if (group.mean_e) box.append(drawPixels(group.mean_e, LOWEST_MEAN_E, highest, `mean charge of ${name}`, seen.pitch_um, 0.85));
  }
  const last = html("div", { style: "grid-column:1/-1" }, holder);
  scaleBar(last, LOWEST_MEAN_E, highest);
}

function startDisplay(holder, seen) {
  const bar = html("div", { class: "bar" }, holder);
  const box = html("div", { class: "choices" }, bar);
  const steps = html("div", { class: "steps" }, bar);
  const before = html("button", { type: "button", "aria-label": "previous cluster" }, steps, "←");
  const place = html("span", { class: "place" }, steps);
  const after = html("button", { type: "button", "aria-label": "next cluster" }, steps, "→");
  const stage = html("div", { class: "stage", tabindex: "-1" }, holder);
  const all = Object.values(seen.groups).flatMap((g) => g.displays.map((d) => d.pixels_e));
  const highest = all.length ? highestOf(all) : 2 * LOWEST_E;
  let key = Object.keys(GROUPS).find((k) => seen.groups[k].displays.length), at = 0;
  const draw = () => {
    const shown = seen.groups[key].displays;
    stage.replaceChildren();
    const one = shown[at];
    place.textContent = `${at + 1} of ${shown.length}`;
    const left = html("div", {}, stage);
    left.append(drawPixels(one.pixels_e, LOWEST_E, highest, `${GROUPS[key]}, test row ${one.row}`, seen.pitch_um, 0.5));
    scaleBar(left, LOWEST_E, highest);
    const right = html("div", {}, stage);
    html("h4", {}, right, `${GROUPS[key]}, row ${one.row} of the test split`);
    const facts = html("dl", { class: "facts" }, right);
    const rows = [["z", one.z_global_mm, "mm"], ["y", one.y_local_mm, "mm"], ["charge", one.charge_e, "e"], ["pixels", one.pixels, ""], ["time", one.time_ns, "ns"], ["true time", one.true_time_ns, "ns"], ["true transverse momentum", one.true_pt_gev, "GeV"]];
    for (const [name, value, unit] of rows) {
      if (value === null) continue;
      const item = html("div", {}, facts);
      html("dt", {}, item, name);
      html("dd", {}, item, unit === "ns" ? tellTime(value) : `${tell(value)} ${unit}`);
    }
    const table = html("table", {}, right);
    table.innerHTML = "<thead><tr><th scope='col'>network (first seed)</th><th scope='col' class='num'>score</th><th scope='col'></th></tr></thead>";
    const body = html("tbody", {}, table);
    seen.networks.forEach((network, i) => {
      const line = html("tr", {}, body);
      html("th", { scope: "row" }, line, network.bits ? `${network.approach}, ${network.bits}${typeof network.bits === "string" ? "" : " bits"}` : network.approach);
      html("td", { class: "num" }, line, tell(one.scores[i]));
      html("td", {}, line, one.scores[i] >= network.threshold - 5e-5 ? "kept" : "dropped");
    });
  };
  const choose = (next) => {
    key = next;
    at = 0;
    box.querySelectorAll("button").forEach((b) => b.setAttribute("aria-pressed", String(b.dataset.group === key)));
    draw();
  };
  for (const [name, title] of Object.entries(GROUPS)) {
    if (!seen.groups[name].displays.length) continue;
    const button = html("button", { type: "button", "data-group": name }, box, title);
    button.addEventListener("click", () => choose(name));
  }
  const step = (by) => {
    const n = seen.groups[key].displays.length;
    at = (at + by + n) % n;
    draw();
  };
  before.addEventListener("click", () => step(-1));
  after.addEventListener("click", () => step(1));
  holder.addEventListener("keydown", (event) => {
    if (event.key === "ArrowLeft") step(-1);
    if (event.key === "ArrowRight") step(1);
  });
  if (key) choose(key);
  return draw;
}
