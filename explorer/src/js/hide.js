// Station 5: hide the eyes, and see the doubt in the maps.

import { average } from "./heatmap.js";
import { diamond, EYES } from "./draw.js";
import { blur, dab, glasses, turn, turnPoint } from "./edit.js";
import { $, crosses, distance, error, latest, percent, px, read, show } from "./look.js";
import { ON } from "./search.js";
import { number, set, state } from "./state.js";

const BRUSH = 4.5; // pixels
const APART = 1.5; // pixels from which the mean of a map is shown beside its spot
const COVER = 8.5; // pixels: the eye, its lids and its brow's lower edge

export function create(app) {
  let strokes = []; // what was painted by hand: [x, y] in pixels
  const calm = new Map(); // face name -> the answer when nothing is hidden

  function hidden(pixels, eyes) {
    const out = Uint8Array.from(pixels);
    const wanted = { left: [0], right: [1], both: [0, 1] }[state.hide] ?? [];
    for (const k of wanted) dab(out, eyes[k].x, eyes[k].y, COVER);
    if (state.hide === "glasses") glasses(out, eyes);
    return out;
  }

  const run = latest(async () => {
    const { face } = app;
    if (!calm.has(face)) {
      calm.clear();
      calm.set(face, read((await app.lean.run(face.pixels, ON, ["scores"])).scores).points);
    }
    const reference = face.truth ?? calm.get(face);
    const angle = number("turn", -180, 180);
    const turned = turn(hidden(face.pixels, reference), angle);
    for (const [x, y] of strokes) dab(turned, x, y, BRUSH);
    const pixels = blur(turned, number("blur", 0, 6));
    const truth = reference.map((point) => turnPoint(point, angle));
    const { maps, points } = read((await app.lean.run(pixels, ON, ["scores"])).scores);
    const marks = show("easel", pixels, maps, truth);
    const means = maps.map((map) => average(map, 2));
    means.forEach((mean, k) => distance(mean, points[k]) > APART && diamond(marks, mean, 2));
    crosses(marks, points, EYES);
    tell(points, means, truth, Boolean(face.truth));
  });

  function tell(points, means, truth, known) {
    const bars = $("bars");
    const names = ["their left eye", "their right eye"];
    bars.replaceChildren(...points.flatMap((point, k) => {
      const label = document.createElement("span");
      label.className = `key ${["left", "right"][k]}`;
      label.textContent = names[k];
      const meter = document.createElement("meter");
      Object.assign(meter, { min: 0, max: 1, low: 0.35, high: 0.7, optimum: 1, value: point.confidence });
      meter.setAttribute("aria-label", `confidence, ${names[k]}`);
      const text = document.createElement("span");
      const off = distance(point, truth[k]);
      text.textContent = `${percent(point.confidence)} sure, ${known ? "off" : "moved"} by ${px(off)}`;
      return [label, meter, text];
    })); // prettier-ignore
    $("hide-says").textContent = sentence(points, means, truth);
    for (const button of document.querySelectorAll("[data-hide]"))
      button.setAttribute("aria-pressed", String(button.dataset.hide === state.hide));
    for (const key of ["blur", "turn"]) $(key).value = number(key, -180, 180);
    $("blur-text").textContent = `${state.blur} px`;
    $("turn-text").textContent = `${state.turn}°`;
  }

  function sentence(points, means, truth) {
    const k = points[0].confidence <= points[1].confidence ? 0 : 1;
    const sure = points[k].confidence;
    const off = error(points, truth);
    if (sure > 0.8 && off < 3) return "Both maps are one small bright spot: the network is sure, and right.";
    if (sure > 0.8) return `Sure, and ${px(off)} off: its confidence is no promise. It never saw such a face.`;
    const gap = distance(points[k], means[k]);
    const between = gap > 3
      ? ` The mean of all places it holds possible (the diamond), the best that two bare numbers could say, lies ${px(gap)} from the spot it chose.`
      : ""; // prettier-ignore
    return `It is in doubt: the ${["orange", "blue"][k]} map is spread out, and only ${percent(sure)} of it lies around its highest cell.${between}`;
  }

  const canvas = $("easel-marks");
  const paint = (event) => {
    const box = canvas.getBoundingClientRect();
    strokes.push([event.clientX - box.left, event.clientY - box.top].map((v) => (v / box.width) * 96 - 0.5));
    run();
  };
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    paint(event);
  });
  canvas.addEventListener("pointermove", (event) => event.buttons && paint(event));
  for (const button of document.querySelectorAll("[data-hide]"))
    button.addEventListener("click", () => {
      const again = state.hide === button.dataset.hide;
      set({ hide: again ? "nothing" : button.dataset.hide });
    });
  $("clear").addEventListener("click", () => {
    strokes = [];
    set({ hide: "nothing", blur: 0, turn: 0 });
    run();
  });
  for (const key of ["blur", "turn"])
    $(key).addEventListener("input", (event) => set({ [key]: event.target.value }));

  return {
    update(keys) {
      if (keys.has("face")) strokes = app.face.live ? strokes : [];
      if (["face", "hide", "blur", "turn", "shown", "model"].some((key) => keys.has(key))) run();
    },
  };
}
