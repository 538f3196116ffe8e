// Station 5: hide the eyes, and see in the maps how sure the network is.

import { average, places, spread } from "./heatmap.js";
import { diamond, EYES } from "./draw.js";
import { bar, blur, dab, glasses, turn, turnPoint } from "./edit.js";
import { $, crosses, distance, error, latest, percent, px, read, show } from "./look.js";
import { ON } from "./search.js";
import { number, set, state } from "./state.js";
import { holds } from "./tour.js";

const BRUSH = 4.5; // pixels
const APART = 1.5; // pixels from which the mean of a map is shown beside its spot
const BAR = 20; // pixels above and below the eyes
const NARROW = 1.9; // pixels: a spot as it should be
const WIDE = 5; // pixels: from here on it is no spot
const SECOND = 0.25; // share of a map from which its second place is named
const FAR = 12; // pixels between two places
const NAMES = ["their left eye", "their right eye"];
const COVER = 8.5; // pixels: the eye, its lids and its brow's lower edge

const element = (tag, text) => Object.assign(document.createElement(tag), { textContent: text });

export function create(app) {
  let strokes = []; // what was painted by hand: [x, y] in pixels
  let plain = null; // the answer when nothing is hidden, and of which face and network

  function hidden(pixels, eyes) {
    const out = Uint8Array.from(pixels);
    const wanted = { left: [0], right: [1] }[state.hide] ?? [];
    for (const k of wanted) dab(out, eyes[k].x, eyes[k].y, COVER);
    if (state.hide === "glasses") glasses(out, eyes);
    const middle = (eyes[0].y + eyes[1].y) / 2;
    if (state.hide === "both") bar(out, middle - BAR, middle + BAR);
    return out;
  }

  const run = latest(async () => {
    const { face } = app;
    const of = holds("hide");
    if (plain?.face !== face || plain.network !== app.lean) {
      const { scores } = await app.ask(face);
      plain = { face, network: app.lean, ...read(scores) };
    }
    const reference = face.truth ?? plain.points;
    const angle = number("turn", -180, 180);
    const turned = turn(hidden(face.pixels, reference), angle);
    for (const [x, y] of strokes) dab(turned, x, y, BRUSH);
    const pixels = blur(turned, number("blur", 0, 6));
    const truth = reference.map((point) => turnPoint(point, angle));
    const { maps, points } = read((await app.lean.run(pixels, ON, ["scores"])).scores);
    const marks = show("covered", pixels, maps, truth);
    const means = maps.map((map) => average(map, 2));
    means.forEach((mean, k) => distance(mean, points[k]) > APART && diamond(marks, mean, 2));
    crosses(marks, points, EYES);
    tell(points, maps, truth, Boolean(face.truth));
    const times = (spread(maps[0], 2) / usual(0)).toFixed(1);
    app.learn("hide", { of, off: px(distance(points[0], truth[0])), times, ...pairOf(maps[1]) });
  });

  /** The two likeliest places of a map, in words: whether they are two at all, and their mean. */
  function pairOf(map) {
    const [first, second] = places(map, 2);
    const mean = average(map, 2);
    return {
      two: second.share > SECOND && distance(first, second) > FAR,
      shares: [first, second].map((one) => percent(one.share)).sort().reverse().join(" and "),
      apart: px(distance(first, second)),
      between: px(Math.min(distance(mean, first), distance(mean, second))),
    }; // prettier-ignore
  }

  function tell(points, maps, truth, known) {
    const wide = maps.map((map) => spread(map, 2));
    $("bars").replaceChildren(...points.flatMap((point, k) => {
      const label = element("span", NAMES[k]);
      label.className = `key ${["left", "right"][k]}`;
      const meter = document.createElement("meter");
      Object.assign(meter, { min: 0, max: 12, low: 1.8, high: 5, optimum: 0, value: wide[k] });
      meter.setAttribute("aria-label", `width of the spot, ${NAMES[k]}`);
      const off = `${known ? "off" : "moved"} by ${px(distance(point, truth[k]))}`;
      const width = element("span", "spot width");
      width.className = "meter";
      width.append(meter);
      return [label, width, element("span", `${px(wide[k])} wide; ${percent(point.confidence)} in one place; ${off}`)];
    })); // prettier-ignore
    $("hide-says").textContent = sentence(points, wide, maps, truth);
    for (const button of document.querySelectorAll("[data-hide]"))
      button.setAttribute("aria-pressed", String(button.dataset.hide === state.hide));
    for (const key of ["blur", "turn"]) $(key).value = number(key, -180, 180);
    $("blur-text").textContent = `${state.blur} px`;
    $("turn-text").textContent = `${state.turn}°`;
  }

  function sentence(points, wide, maps, truth) {
    const k = wide[0] >= wide[1] ? 0 : 1;
    const off = error(points, truth);
    const colour = ["orange", "blue"][k];
    if (wide[k] < NARROW)
      return off < 3
        ? "Both maps are one small bright spot: the network is sure, and right."
        : `Two small spots, and ${px(off)} off: sure and wrong. It never saw such a face, and a map is no promise.`;
    if (wide[k] < WIDE)
      return `The ${colour} spot is ${(wide[k] / usual(k)).toFixed(1)} times as wide as when nothing is hidden: the network guesses from the rest of the face. You would still get two numbers, and nothing in them would say that this is a guess.`;
    const { two, shares, apart, between } = pairOf(maps[k]);
    if (two)
      return `The ${colour} map holds two places, ${apart} apart, with ${shares}. Two numbers can name one place only: the mean (the diamond between them), ${between} from the nearer one.`;
    const gap = distance(points[k], average(maps[k], 2));
    return `The ${colour} map is spread over the face: do not trust it.` +
      (gap > APART ? ` The mean of all places that it holds possible (the diamond), the best that two numbers could say, lies ${px(gap)} from the spot it chose.` : ""); // prettier-ignore
  }

  const usual = (k) => spread(plain.maps[k], 2);

  const canvas = $("covered-marks");
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
