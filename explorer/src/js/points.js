// Station 4: a point becomes a map, and the map a point again.

import { average, decode, findPeak, METHODS, render, toMap } from "./heatmap.js";
import { diamond, dot, overlay, paintCells, ring } from "./draw.js";
import { $, distance, framed, px } from "./look.js";
import { DEFAULTS, number, set, state } from "./state.js";
import { holds } from "./tour.js";

const SIDE = 96;
const ZOOM = 9; // cells
const EXPERT = ["target", "sigma", "alpha"]; // settings that are folded away
const NAMES = {
  argmax: ["highest cell (argmax)", [213, 94, 0]],
  quarter: ["a quarter towards the neighbour", [204, 121, 167]],
  taylor: ["parabola through ln h (Taylor)", [86, 180, 233]],
  newton: ["parabola through (ln h)² (Newton)", [0, 158, 115]],
  soft: ["centre of mass, 7 × 7 cells", [230, 159, 0]],
};

function settings() {
  const [x, y] = state.point.split(",").map(Number);
  const inside = (value) => (Number.isFinite(value) ? Math.min(95.4, Math.max(-0.4, value)) : 47.5);
  const gaussian = state.target !== "exponential";
  return {
    point: { x: inside(x), y: inside(y) },
    stride: 2 ** Math.round(Math.log2(number("stride", 1, 16))),
    sigma: gaussian ? number("sigma", 0.5, 4) : null,
    alpha: gaussian ? null : number("alpha", 0.02, 0.5),
    doubt: number("doubt", 0, 100) / 100,
  };
}

/** The second place that the map holds possible: across the middle of the image. */
const other = ({ x, y }) => ({ x: (x + 40) % 95, y: Math.min(90, Math.max(5, 100 - y)) });

function mapOf({ point, stride, sigma, alpha, doubt }) {
  const map = render(point, { stride, sigma, alpha });
  if (doubt) {
    const second = render(other(point), { stride, sigma, alpha });
    map.cells.forEach((_, i) => (map.cells[i] = Math.max(map.cells[i], 0.97 * doubt * second.cells[i])));
  }
  return map;
}

export function create(app) {
  const canvas = $("target");

  const paint = framed(() => {
    const now = settings();
    const map = mapOf(now);
    paintCells(canvas, map.cells, map.columns, map.rows, 1);
    const marks = overlay($("target-marks"));
    ring(marks, now.point, 4.5);
    const answers = METHODS.map((method) => decode(map, method, now.stride));
    const mean = average(map, now.stride);
    diamond(marks, mean);
    zoom(map, now, answers);
    tabulate(answers, mean, now.point);
    describe(map, now, answers.at(-1));
    explain(now, mean, answers.at(-1));
    const [off, between] = [answers.at(-1), mean].map((one) => px(distance(one, now.point)));
    app.learn("points", { of: holds("points"), cell: now.stride, off, between });
  });

  /** The cells around the highest one, enlarged, with the point and what is read. */
  function zoom(map, { point, stride }, answers) {
    const { x, y } = findPeak(map);
    const cells = new Float32Array(ZOOM * ZOOM);
    const reach = (ZOOM - 1) / 2;
    for (let row = 0; row < ZOOM; row++)
      for (let column = 0; column < ZOOM; column++) {
        const [a, b] = [x + column - reach, y + row - reach];
        const inside = a >= 0 && b >= 0 && a < map.columns && b < map.rows;
        cells[row * ZOOM + column] = inside ? map.cells[b * map.columns + a] : 0;
      }
    paintCells($("zoom"), cells, ZOOM, ZOOM, 1);
    const marks = overlay($("zoom-marks"), ZOOM);
    const place = (at) => ({ x: toMap(at.x, stride) - x + reach, y: toMap(at.y, stride) - y + reach });
    ring(marks, place(point), 0.4, 0.07);
    answers.forEach((answer, i) => dot(marks, place(answer), NAMES[METHODS[i]][1], 0.17 - 0.02 * i));
  }

  function tabulate(answers, mean, point) {
    const rows = answers.map((answer, i) => [...NAMES[METHODS[i]], answer, ""]);
    rows.push(["mean of the whole map", [240, 228, 66], mean, "diamond"]);
    const errors = rows.map((row) => distance(row[2], point));
    const least = Math.min(...errors);
    $("decoders").replaceChildren(...rows.map(([name, colour, { x, y }, shape], i) => {
      const row = document.createElement("tr");
      row.className = errors[i] < least + 5e-4 ? "best" : "";
      const head = document.createElement("th");
      head.scope = "row";
      const key = document.createElement("i");
      key.className = shape;
      key.style.background = `rgb(${colour.join(" ")})`;
      head.append(key, name);
      row.append(head, ...[x.toFixed(2), y.toFixed(2), errors[i].toFixed(3)].map((text) => {
        const cell = document.createElement("td");
        cell.textContent = text;
        return cell;
      }));
      return row;
    })); // prettier-ignore
  }

  function describe(map, { point, stride, sigma, alpha }, soft) {
    $("target-text").textContent =
      `the point is (${point.x.toFixed(2)}, ${point.y.toFixed(2)}); the map has ${map.columns} × ${map.rows} cells, ` +
      (stride === 1 ? "one for each pixel" : `each ${stride} × ${stride} pixels`) +
      `; read from the map: ${px(distance(soft, point))} off`;
    if (EXPERT.some((key) => state[key] !== DEFAULTS[key])) $("readings").open = true;
    $("sigma-row").hidden = sigma === null;
    $("alpha-row").hidden = alpha === null;
    for (const radio of document.getElementsByName("shape"))
      radio.checked = radio.value === (sigma === null ? "exponential" : "gaussian");
    if (sigma !== null) $("sigma").value = sigma;
    if (alpha !== null) $("alpha").value = alpha;
    $("sigma-text").textContent = `${(sigma ?? 1.5).toFixed(1)} cells`;
    $("alpha-text").textContent = `${(alpha ?? 0.1).toFixed(2)} a pixel`;
    $("stride").value = Math.log2(stride);
    $("stride").setAttribute("aria-valuetext", `${stride} pixels a cell`);
    $("stride-text").textContent = `${stride} px a cell`;
  }

  function explain({ doubt, point }, mean, soft) {
    $("doubt").value = 100 * doubt;
    $("doubt-text").textContent = doubt ? `${Math.round(100 * doubt)} %` : "none";
    $("doubt-says").textContent = doubt
      ? `Now the eye may be in either of two places. A network that must answer two numbers says ` +
        `something between them, ${px(distance(mean, point))} off, where no eye is (the diamond). The map shows both places, ` +
        `and reading its highest spot is ${px(distance(soft, point))} off.`
      : "Move the slider “second place”: what if the eye may be in either of two places?";
  }

  const move = (x, y) => {
    const inside = (value) => Math.min(95.4, Math.max(-0.4, value)).toFixed(2);
    set({ point: `${inside(x)},${inside(y)}` });
  };
  const drag = (event) => {
    const box = canvas.getBoundingClientRect();
    move(((event.clientX - box.left) / box.width) * SIDE - 0.5, ((event.clientY - box.top) / box.height) * SIDE - 0.5);
  };
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    drag(event);
  });
  canvas.addEventListener("pointermove", (event) => event.buttons && drag(event));
  canvas.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!by) return;
    event.preventDefault();
    const step = event.shiftKey ? 2 : 0.1;
    const { point } = settings();
    move(point.x + step * by[0], point.y + step * by[1]);
  });
  for (const key of ["sigma", "alpha", "doubt"])
    $(key).addEventListener("input", (event) => set({ [key]: event.target.value }));
  $("stride").addEventListener("input", (event) => set({ stride: 2 ** event.target.value }));
  for (const radio of document.getElementsByName("shape"))
    radio.addEventListener("change", () => set({ target: radio.value }));

  return {
    update(keys) {
      const own = ["point", "target", "sigma", "alpha", "stride", "doubt", "shown"];
      if (own.some((key) => keys.has(key))) paint();
    },
  };
}
