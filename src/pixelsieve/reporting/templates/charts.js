"use strict";
// Charts of the page: plain SVG from the plain data of each figure.
const SVG = "http://www.w3.org/2000/svg";

function make(name, attributes = {}, parent = null, text = null) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== null) node.textContent = text;
  if (parent) parent.append(node);
  return node;
}

function html(name, attributes = {}, parent = null, text = null) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== null) node.textContent = text;
  if (parent) parent.append(node);
  return node;
}

function ink(colour) {
  if (colour === "ink") return "var(--ink)";
  if (colour === "grey") return "var(--grey)";
  return `var(--c${colour % 6})`;
}

function dashes(series) {
  if (typeof series.colour === "number" && series.colour >= 6) return "1 3";
  return ["none", "5 4", "2 3"][Number(series.dash || 0)];
}

function tell(value) {
  if (typeof value !== "number") return value;
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e5)) return value.toExponential(2).replace("e+", "e");
  return String(Number(value.toPrecision(4)));
}

function linearTicks(low, high, wanted, whole = false) {
  const rough = (high - low) / wanted;
  const power = 10 ** Math.floor(Math.log10(rough));
  const fit = [1, 2, 2.5, 5, 10].map((m) => m * power).find((s) => s >= rough && !(whole && s % 1));
  const step = fit ?? 1;
  const ticks = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) ticks.push(i * step);
  const digits = Math.max(0, Math.ceil(-Math.log10(step) - 1e-9) + (step / power === 2.5 ? 1 : 0));
  return ticks.map((t) => ({ at: t, text: Math.abs(t) >= 1e5 ? tell(t) : t.toFixed(digits).replace("-0.0", "0.0") }));
}

const RAISED = { "-": "⁻", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸", 9: "⁹" };

function logTicks(low, high) {
  const first = Math.floor(Math.log10(low)), last = Math.ceil(Math.log10(high));
  const few = last - first <= 2;
  const skip = Math.max(1, Math.round((last - first) / 5));
  const ticks = [];
  for (let p = first; p <= last; p++) {
    for (const m of few ? [1, 2, 5] : [1]) {
      const at = m * 10 ** p;
      if (at < low * 0.999 || at > high * 1.001 || (!few && (p - first) % skip)) continue;
      const power = Math.abs(p) > 3 ? `10${[...String(p)].map((c) => RAISED[c]).join("")}` : null;
      ticks.push({ at, text: power && m === 1 ? power : tell(at) });
    }
  }
  return ticks;
}

function scaleOf(axis, values, from, to, wanted) {
  if (axis.scale === "category") {
    const step = (to - from) / axis.categories.length;
    const place = (v) => from + (axis.categories.indexOf(v) + 0.5) * step;
    return { place, ticks: axis.categories.map((c) => ({ at: c, text: c })), step };
  }
  let low = axis.low ?? Math.min(...values), high = axis.high ?? Math.max(...values);
  if (axis.scale === "log") {
    if (!(low < high)) [low, high] = [low / 2, high * 2];
    if (axis.low === undefined) low /= 1.15;
    if (axis.high === undefined) high *= 1.15;
    const [a, b] = [Math.log10(low), Math.log10(high)];
    return { place: (v) => from + ((Math.log10(v) - a) / (b - a)) * (to - from), ticks: logTicks(low, high) };
  }
  if (!(low < high)) [low, high] = [low - 0.5, high + 0.5];
  const margin = 0.05 * (high - low);
  if (axis.low === undefined && !axis.tight) low -= margin;
  if (axis.high === undefined && !axis.tight) high += margin;
  return { place: (v) => from + ((v - low) / (high - low)) * (to - from), ticks: linearTicks(low, high, wanted, axis.whole) };
}

function drawChart(chart, holder, hidden) {
  const width = Math.max(260, Math.round(holder.clientWidth || 320));
  const category = chart.x.scale === "category";
  const height = chart.layout === "wide" ? Math.min(440, Math.max(260, width * 0.52)) : 230;
  const shown = chart.series.filter((s) => !hidden.has(s.name) && s.points.length);
  const svg = make("svg", { class: "chart", viewBox: `0 0 ${width} ${height}`, role: "img", tabindex: 0 });
  svg.setAttribute("aria-label", `${chart.title ? chart.title + ": " : ""}${chart.y.label} against ${chart.x.label}`);
  const every = (chart.series.some((s) => !hidden.has(s.name)) ? shown : chart.series).flatMap((s) => s.points);
  const ys = every.flatMap((p) => [p[1], p[2], p[3]]).filter((v) => Number.isFinite(v) && (chart.y.scale !== "log" || v > 0));
  if (!ys.length) { make("text", { x: 10, y: 30 }, svg, "nothing to draw"); return svg; }
  const labelled = chart.y.label && !(chart.title || "").startsWith(chart.y.label);
  const top = 8, left = labelled ? 62 : 48, right = width - 8;
  const long = category && chart.x.categories.some((c) => c.length * 6.2 > (right - left) / chart.x.categories.length);
  const longest = category ? Math.max(...chart.x.categories.map((c) => c.length)) : 0;
  const bottom = height - (long ? 38 + 3 * longest : 40);
  const y = scaleOf(chart.y, ys, bottom, top, chart.layout === "wide" ? 7 : 5);
  const x = scaleOf(chart.x, every.map((p) => p[0]), left, right, Math.max(5, Math.floor(width / 80)));
  for (const tick of y.ticks) {
    const at = y.place(tick.at);
    make("line", { class: "gridline", x1: left, x2: right, y1: at, y2: at }, svg);
    make("text", { x: left - 6, y: at + 4, "text-anchor": "end" }, svg, tick.text);
  }
  for (const tick of x.ticks) {
    const at = x.place(tick.at);
    if (!category) make("line", { class: "gridline", x1: at, x2: at, y1: top, y2: bottom }, svg);
    const turned = long ? { "text-anchor": "end", transform: `rotate(-28 ${at + 6} ${bottom + 14})`, x: at + 6 } : { "text-anchor": "middle", x: at };
    make("text", { ...turned, y: bottom + 16 }, svg, tick.text);
  }
  make("line", { class: "axis", x1: left, x2: right, y1: bottom, y2: bottom }, svg);
  make("text", { class: "label", x: right, y: height - 3, "text-anchor": "end" }, svg, chart.x.label);
  if (labelled) {
    make("text", { class: "label", transform: `translate(11 ${top}) rotate(-90)`, "text-anchor": "end" }, svg, chart.y.label);
  }
  const clip = `clip${drawChart.count = (drawChart.count || 0) + 1}`;
  make("rect", { x: left, y: top - 4, width: right - left, height: bottom - top + 4 }, make("clipPath", { id: clip }, svg));
  const plot = make("g", { "clip-path": `url(#${clip})` }, svg);
  for (const at of chart.marks || []) {
    const px = x.place(at);
    make("line", { class: "mark", x1: px, x2: px, y1: top, y2: bottom }, plot);
  }
  shown.forEach((series, number) => drawSeries(series, plot, x, y, bottom, category ? (number - (shown.length - 1) / 2) * Math.min(7, (0.7 * x.step) / shown.length) : 0));
  hover(svg, chart, shown, x, y, { top, bottom, left, right, width });
  return svg;
}

function drawSeries(series, plot, x, y, bottom, shift) {
  const colour = ink(series.colour);
  const positive = (p) => Number.isFinite(p[1]) && (y.place(p[1]) === y.place(p[1])) && Number.isFinite(y.place(p[1]));
  const line = (points) => points.map((p, i) => `${i ? "L" : "M"}${(x.place(p[0]) + shift).toFixed(1)} ${y.place(p[1]).toFixed(1)}`).join("");
  const stroke = { fill: "none", stroke: colour, "stroke-width": series.thin ? 1.1 : 2, "stroke-dasharray": dashes(series), "stroke-linejoin": "round" };
  if (series.draw === "step") {
    let path = "";
    series.points.slice(0, -1).forEach((p, i) => {
      const from = x.place(p[0]).toFixed(1), to = x.place(series.points[i + 1][0]).toFixed(1);
      const at = p[1] > 0 ? y.place(p[1]).toFixed(1) : bottom + 4;
      path += `${i ? "L" : "M"}${from} ${at}L${to} ${at}`;
    });
    make("path", { ...stroke, d: path, "stroke-width": 1.6 }, plot);
    return;
  }
  const points = series.points.filter(positive);
  if (series.draw === "line") make("path", { ...stroke, d: line(points), opacity: series.thin ? 0.85 : 1 }, plot);
  if (series.draw === "front") make("path", { ...stroke, d: line(points), "stroke-width": 1.2 }, plot);
  if (series.draw === "errors") {
    // No line across a category without a point.
    const at = (p) => Math.round((x.place(p[0]) - x.place(points[0][0])) / x.step);
    const parts = [];
    for (const p of points) {
      if (!parts.length || at(p) !== at(parts.at(-1).at(-1)) + 1) parts.push([]);
      parts.at(-1).push(p);
    }
    make("path", { ...stroke, d: parts.map(line).join(""), "stroke-width": 1.1, opacity: 0.4 }, plot);
  }
  if (series.draw === "line") return;
  for (const p of points) {
    const px = x.place(p[0]) + shift;
    if (Number.isFinite(p[2]) && Number.isFinite(p[3])) {
      make("line", { x1: px, x2: px, y1: y.place(p[2]), y2: y.place(p[3]), stroke: colour, "stroke-width": 1.5 }, plot);
    }
    drawMarker(series, px, y.place(p[1]), plot);
  }
}

// Baselines are grey: the first a square, the second an open diamond; all others are discs.
function drawMarker(series, cx, cy, parent) {
  const colour = ink(series.colour), kind = series.draw === "errors" ? Number(series.dash || 0) : 0;
  if (kind === 0) make("circle", { cx, cy, r: series.draw === "errors" ? 2.6 : 4, fill: colour }, parent);
  else if (kind === 1) make("rect", { x: cx - 2.6, y: cy - 2.6, width: 5.2, height: 5.2, fill: colour }, parent);
  else make("path", { d: `M${cx} ${cy - 3.8}l3.8 3.8l-3.8 3.8l-3.8 -3.8z`, fill: "var(--paper)", stroke: colour, "stroke-width": 1.3 }, parent);
}

const tip = () => document.getElementById("tip");

function hover(svg, chart, shown, x, y, box) {
  const cursor = make("line", { class: "cursor", y1: box.top, y2: box.bottom, visibility: "hidden" }, svg);
  const scatter = shown.every((s) => s.draw === "points" || s.draw === "front");
  const leave = () => { tip().hidden = true; cursor.setAttribute("visibility", "hidden"); };
  const move = (event) => {
    const frame = svg.getBoundingClientRect();
    const px = ((event.clientX - frame.left) / frame.width) * box.width;
    const py = ((event.clientY - frame.top) / frame.width) * box.width;
    if (px < box.left - 5 || px > box.right + 5 || py > box.bottom + 4) return leave();
    const rows = [];
    let head = null, best = Infinity;
    for (const series of shown) {
      for (const p of series.points) {
        const d = scatter ? Math.hypot(x.place(p[0]) - px, y.place(p[1]) - py) : Math.abs(x.place(p[0]) - px);
        if (d < best) { best = d; head = p; }
      }
    }
    if (!head || (scatter && best > 40)) return leave();
    for (const series of shown) {
      const p = scatter ? (series.points.includes(head) ? head : null) : nearest(series, head[0], x, px);
      if (p) rows.push([series, p]);
    }
    const box2 = tip();
    box2.replaceChildren();
    html("b", {}, box2, scatter ? head[4] || "" : `${chart.x.label}: ${tell(head[0])}`);
    const limit = 12;
    for (const [series, p] of rows.slice(0, limit)) {
      const row = html("div", {}, box2);
      html("i", { style: `background:${ink(series.colour)}` }, row);
      const range = Number.isFinite(p[2]) ? ` (${tell(p[2])} to ${tell(p[3])})` : "";
      const more = scatter ? `, ${chart.x.label} ${tell(p[0])}` : p[4] ? `, ${p[4]}` : "";
      row.append(`${series.name}${series.tell ? ", " + series.tell : ""}: ${tell(p[1])}${range}${more}`);
    }
    if (rows.length > limit) html("div", {}, box2, `and ${rows.length - limit} more`);
    box2.hidden = false;
    const edge = document.documentElement.clientWidth - box2.offsetWidth - 8;
    box2.style.left = `${Math.max(8, Math.min(edge, event.clientX + 14)) + window.scrollX}px`;
    box2.style.top = `${event.clientY + 16 + window.scrollY}px`;
    const at = scatter ? x.place(head[0]) : x.place(head[0]);
    cursor.setAttribute("x1", at);
    cursor.setAttribute("x2", at);
    cursor.setAttribute("visibility", "visible");
  };
  svg.addEventListener("pointermove", move);
  svg.addEventListener("pointerdown", move);
  svg.addEventListener("pointerleave", leave);
}

function nearest(series, at, x, px) {
  if (series.draw === "step") {
    const points = series.points;
    for (let i = 0; i + 1 < points.length; i++) if (x.place(points[i + 1][0]) >= px) return points[i];
    return null;
  }
  let found = null, best = 12;
  for (const p of series.points) {
    const d = Math.abs(x.place(p[0]) - x.place(at));
    if (d < best) { best = d; found = p; }
  }
  return found;
}

function drawFigure(figure, choices) {
  const caption = figure.querySelector("figcaption");
  const bar = html("div", { class: "bar" });
  const grid = html("div", { class: "grid" });
  figure.insertBefore(bar, caption);
  figure.insertBefore(grid, caption);
  const hidden = new Set();
  let chosen = choices.length - 1;
  const draw = () => {
    grid.replaceChildren();
    grid.classList.toggle("pairs", choices[chosen].charts.some((c) => c.layout === "pair"));
    for (const chart of choices[chosen].charts) {
      const cell = html("div", chart.layout === "wide" ? { class: "wide" } : {}, grid);
      if (chart.title) html("h4", {}, cell, chart.title);
      cell.append(drawChart(chart, cell, hidden));
    }
  };
  const legend = () => {
    bar.querySelector(".legend")?.remove();
    const names = new Map();
    for (const chart of choices[chosen].charts) for (const s of chart.series) if (!names.has(s.name)) names.set(s.name, s);
    if (names.size < 2) return;
    const box = html("div", { class: "legend" }, bar);
    for (const [name, series] of names) {
      const button = html("button", { type: "button", "aria-pressed": String(!hidden.has(name)) }, box);
      const key = make("svg", { viewBox: "0 0 26 10", "aria-hidden": "true" }, button);
      if (series.draw === "points") make("circle", { cx: 13, cy: 5, r: 4, fill: ink(series.colour) }, key);
      else make("line", { x1: 1, x2: 25, y1: 5, y2: 5, stroke: ink(series.colour), "stroke-width": 2.5, "stroke-dasharray": dashes(series) }, key);
      if (series.draw === "errors") drawMarker(series, 13, 5, key);
      button.append(name);
      button.addEventListener("click", () => {
        if (!hidden.delete(name)) hidden.add(name);
        button.setAttribute("aria-pressed", String(!hidden.has(name)));
        draw();
      });
    }
  };
  if (choices.length > 1) {
    const box = html("div", { class: "choices" }, bar);
    choices.forEach((choice, i) => {
      const button = html("button", { type: "button", "aria-pressed": String(i === chosen) }, box, choice.label);
      button.addEventListener("click", () => {
        chosen = i;
        box.querySelectorAll("button").forEach((b, j) => b.setAttribute("aria-pressed", String(j === i)));
        legend();
        draw();
      });
    });
  }
  legend();
  draw();
  return draw;
}
