// Station 2: every level of the network for the present face, and a switch on every way up.

import { LEVELS, STEPS, seenBy } from "./anatomy.js";
import { channel, EYES, overlay, paintCells, seen } from "./draw.js";
import { $, crosses, error, latest, percent, px, read, show } from "./look.js";
import { ON, pointsOf } from "./search.js";
import { number, set, state } from "./state.js";
import { holds } from "./tour.js";

const level = () => LEVELS.find((one) => one.name === state.level) ?? LEVELS.at(-1);

/** The switches as the graph takes them: skips, then what comes from below. */
export function switches() {
  const off = new Set(state.off.split(","));
  return ON.map((_, i) => (off.has(`${i < STEPS ? "s" : "b"}${i % STEPS}`) ? 0 : 1));
}

const ways = () => {
  const all = switches().map(Boolean);
  return { skips: all.slice(0, STEPS), below: all.slice(STEPS) };
};

function toggle(name) {
  const off = new Set(state.off.split(",").filter(Boolean));
  if (!off.delete(name)) off.add(name);
  set({ off: [...off].sort().join(",") });
}

const element = (tag, className, text = "") => {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text;
  return made;
};

/** The folded hourglass: tiles to scale in two lanes, skips between them. */
function build() {
  const glass = $("glass");
  glass.append(
    element("p", "lane", "down: look at more"), element("p", "lane", ""),
    element("p", "lane", "up: say where"),
  ); // prettier-ignore
  for (let step = 0; step <= STEPS; step++) {
    const [down, up] = ["down", "up"].map((lane) => LEVELS.find((l) => l.step === step && l.lane === lane));
    glass.append(tile(down), step < STEPS ? skip(step, down.side) : across(), tile(up));
    if (step < STEPS) glass.append(fall(), element("span", ""), rise(step, down.side));
  }
}

function tile({ name, side, channels, what }) {
  const button = element("button", "tile");
  button.type = "button";
  button.id = `tile-${name}`;
  button.setAttribute("aria-label", `${what}: ${channels} maps of ${side} by ${side} cells`);
  button.title = `${what}: ${channels} maps of ${side} × ${side} cells`;
  const canvas = document.createElement("canvas");
  canvas.style.width = canvas.style.height = `calc(${side} * var(--cell))`;
  button.append(canvas);
  const choose = () => set({ level: name, cell: "" });
  button.addEventListener("click", choose);
  button.addEventListener("pointerenter", (event) => event.pointerType === "mouse" && choose());
  return button;
}

function skip(step, side) {
  const row = element("div", "across");
  row.id = `skip-${step}`;
  row.append(switchButton(`s${step}`, `skip ${side}`, `carries ${side} by ${side} cells across`));
  return row;
}

const across = () => element("div", "across plain");
const fall = () => element("div", "fall", "↓ halve");

function rise(step, side) {
  const row = element("div", "rise");
  row.append(switchButton(`b${step}`, "↑ double", `from below to ${side} by ${side} cells`));
  return row;
}

function switchButton(name, text, label) {
  const button = element("button", "switch", text);
  button.type = "button";
  button.id = `switch-${name}`;
  button.setAttribute("aria-label", `${text}, ${label}`);
  button.addEventListener("click", () => toggle(name));
  return button;
}

export function create(app) {
  build();
  let answer = null; // of the present face with the present switches
  let shown = null; // that face
  let plain = null; // the same with everything on
  let usual = null; // over the ten faces with everything on, and of which network

  const run = latest(async () => {
    const face = app.face;
    const of = holds("hourglass");
    const now = switches();
    plain = await app.ask(face);
    const result = now.every(Boolean) ? plain : await app.lean.run(face.pixels, now);
    [answer, shown] = [result, face];
    paint();
    app.learn("hourglass", { of, ...(face.truth ? await measure(now) : sayMoved()) });
  });

  function paint() {
    for (const { name } of LEVELS) {
      const [, , rows, columns] = answer[name].dims;
      paintCells($(`tile-${name}`).firstChild, channel(answer[name]), columns, rows);
    }
    const { maps, points } = read(answer.scores);
    crosses(show("inside", shown.pixels, maps, shown.truth), points, EYES);
    paintLens();
  }

  function paintLens() {
    const { name, side, channels, what } = level();
    $("channel").max = channels - 1;
    const which = state.channel === "mean" ? -1 : number("channel", -1, channels - 1);
    $("channel").value = which;
    $("channel-text").textContent = which < 0 ? "mean" : `${which + 1} of ${channels}`;
    paintCells($("lens"), channel(answer[name], which), side, side);
    for (const one of LEVELS)
      $(`tile-${one.name}`).setAttribute("aria-pressed", String(one.name === name));
    paintCell(what, channels);
  }

  function paintCell(what = level().what, channels = level().channels) {
    const { name, side } = level();
    const [column, row] = state.cell.split(",").map(Number);
    const lens = overlay($("lens-marks"), side);
    const inside = overlay($("inside-marks"));
    const { points } = read(answer.scores);
    const valid = state.cell && [column, row].every((at) => Number.isInteger(at) && at >= 0 && at < side);
    $("lens-title").textContent = `${what[0].toUpperCase()}${what.slice(1)}: ${channels} maps of ${side} × ${side}.`;
    let text = "Move over it to see what one cell can see.";
    if (valid) {
      lens.lineWidth = side / 70;
      lens.strokeStyle = "#f0e442";
      lens.strokeRect(column - 0.5, row - 0.5, 1, 1);
      const [columns, rows] = [seenBy(name, column, ways()), seenBy(name, row, ways())];
      seen(inside, rows, columns);
      text = rows && columns
        ? `This cell sees ${columns[1] - columns[0] + 1} × ${rows[1] - rows[0] + 1} of the 96 × 96 pixels: the yellow frame.`
        : "Nothing of the image reaches this cell: all ways to it are off."; // prettier-ignore
    }
    for (const k of [0, 1]) crosses(inside, [points[k]], [EYES[k]]);
    $("lens-text").textContent = text;
  }

  /** Mean error over the ten faces, and how many of their points lie nearer to the wrong eye. */
  async function overTen(now) {
    const { scores } = await app.lean.run(app.ten.pixels, now, ["scores"]);
    const found = pointsOf(scores);
    const mean = found.reduce((sum, points, i) => sum + error(points, app.ten.truth[i]), 0) / found.length;
    const swapped = found.flatMap((points, i) => points.filter((point, k) =>
      error([point], [app.ten.truth[i][1 - k]]) < error([point], [app.ten.truth[i][k]]))).length; // prettier-ignore
    return { mean, swapped };
  }

  async function measure(now) {
    const [after, before] = [answer, plain].map((one) => error(read(one.scores).points, shown.truth));
    if (usual?.network !== app.lean) usual = { network: app.lean, ...(await overTen(ON)) };
    const { mean, swapped } = now.every(Boolean) ? usual : await overTen(now);
    const ten = change(usual.mean, mean);
    const wrong = swapped ? `${swapped} of 20 points lie` : "no point lies";
    $("effect").replaceChildren(strong(`${change(before, after)} off`, after > before + 2),
      element("span", "", `over the ten faces ${ten} on average; ${wrong} nearer to the wrong eye`)); // prettier-ignore
    return { here: `${change(before, after)} off the true eyes`, ten, swapped };
  }

  const change = (before, after) =>
    Math.abs(after - before) > 0.005 ? `${px(before)} → ${px(after)}` : px(after);

  function sayMoved() {
    const [now, before] = [answer, plain].map((one) => read(one.scores).points);
    const moved = error(now, before);
    const sure = Math.min(...now.map((point) => point.confidence));
    $("effect").replaceChildren(strong(moved < 0.005 ? "as it should be" : `moved by ${px(moved)}`, moved > 5),
      element("span", "", `at least ${percent(sure)} of a map in one place`)); // prettier-ignore
    return { here: `the points moved by ${px(moved)}`, ten: null, swapped: 0 };
  }

  const strong = (text, bad) => element("strong", bad ? "bad" : "", text);

  function paintSwitches() {
    switches().forEach((on, i) => {
      const name = `${i < STEPS ? "s" : "b"}${i % STEPS}`;
      $(`switch-${name}`).setAttribute("aria-pressed", String(Boolean(on)));
      if (i < STEPS) $(`skip-${i}`).classList.toggle("off", !on);
    });
    for (const button of document.querySelectorAll("[data-off]"))
      button.setAttribute("aria-pressed", String(button.dataset.off === state.off));
  }

  const lens = $("lens");
  lens.addEventListener("pointermove", (event) => {
    const { side } = level();
    const box = lens.getBoundingClientRect();
    const at = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
    set({ cell: at.map((share) => Math.min(side - 1, Math.max(0, Math.floor(share * side)))).join(",") });
  });
  lens.addEventListener("pointerleave", () => set({ cell: "" }));
  lens.addEventListener("keydown", (event) => {
    const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!move) return;
    event.preventDefault();
    const { side } = level();
    const middle = Math.floor(side / 2);
    const from = state.cell ? state.cell.split(",").map(Number) : [middle - move[0], middle - move[1]];
    set({ cell: from.map((at, i) => Math.min(side - 1, Math.max(0, at + move[i]))).join(",") });
  });
  $("channel").addEventListener("input", (event) =>
    set({ channel: event.target.value < 0 ? "mean" : event.target.value }));
  for (const button of document.querySelectorAll("[data-off]"))
    button.addEventListener("click", () => set({ off: button.dataset.off, level: "up0" }));

  return {
    update(keys) {
      paintSwitches();
      if (!answer || keys.has("face") || keys.has("off") || keys.has("model")) return run();
      if (keys.has("level") || keys.has("channel")) return paintLens();
      if (keys.has("cell")) return paintCell();
    },
  };
}
