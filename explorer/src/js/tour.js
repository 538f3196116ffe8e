// The guided tour: eight stops of a quarter of a minute, each an address of its own.

import { $ } from "./look.js";
import { set, state } from "./state.js";

const CALM = { off: "", hide: "nothing", blur: 0, turn: 0, cell: "", doubt: 0, stride: 4, target: "gaussian" };

/** Station, state, text, and what a small screen must show above the text. */
export const STOPS = [
  ["face", { face: 0 }, "A face goes in as 96 × 96 grey numbers. Out come two maps: orange is bright where the network believes their left eye is, blue for the right one. The crosses are read from the bright spots.", "faces"],
  ["hourglass", { level: "waist" }, "Inside, the face is shrunk to 3 × 3 cells, the waist. Look at the nine big cells: each knows of the whole face, and none could say exactly where an eye is.", "lens"],
  ["hourglass", { level: "up0", off: "s0" }, "The finest skip is off. The eyes are still found, but less exactly: what comes from below was doubled from coarser cells. The skip brings the detail: exactly where.", "inside"],
  ["hourglass", { level: "up0", off: "b0", cell: "15,18" }, "Now the skip is on, and what comes from below is off. Each cell sees the few pixels in the yellow frame. From there, hair looks as good as an eye: the overview is gone. That is why it needs both.", "inside"],
  ["training", { moment: 0 }, "Nobody wrote down what an eye looks like. It began with random numbers; after a few thousand examples the maps are sharp. Drag the slider. Beside it, the network of 2019 paints everything black and waits.", "small"],
  ["points", { point: "40.30,50.80", stride: 4 }, "Why maps? A cell is four pixels wide here, and the point still comes back exactly: the cells around the highest one say how far it lies between them.", "zoom"],
  ["points", { point: "25.00,36.00", doubt: 90 }, "And a map can doubt. If the eye may be in two places, two bare numbers can only say something between them, where no eye is. The map shows both.", "target"],
  ["hide", { hide: "left" }, "One eye is covered. The network still points about where it must be, since it sees the rest of the face. But look at the map: the spot is twice as wide. It says how far to trust it. Now try to fool it yourself.", "easel"],
]; // prettier-ignore

export function go(at) {
  if (at < 0 || at >= STOPS.length) return end();
  const [station, changes] = STOPS[at];
  set({ ...CALM, ...changes, at: station, tour: at + 1 });
}

/** The element that the present stop is about. */
export const lookAt = () => $(STOPS[Number(state.tour) - 1]?.[3] ?? "");

export function end() {
  set({ ...CALM, tour: "" });
}

export function create() {
  $("start-tour").addEventListener("click", () => go(0));
  $("tour-next").addEventListener("click", () => go(Number(state.tour)));
  $("tour-back").addEventListener("click", () => go(Number(state.tour) - 2));
  $("tour-end").addEventListener("click", end);
  document.addEventListener("keydown", (event) => event.key === "Escape" && state.tour && end());

  return {
    update(keys) {
      const at = Number(state.tour);
      const on = Number.isInteger(at) && at >= 1 && at <= STOPS.length;
      const before = $("tour").hidden;
      $("tour").hidden = !on;
      document.body.classList.toggle("touring", on);
      if (!on || !(keys.has("tour") || before)) return;
      $("tour-text").textContent = STOPS[at - 1][2];
      $("tour-count").textContent = `${at} of ${STOPS.length}`;
      $("tour-back").disabled = at === 1;
      $("tour-next").textContent = at === STOPS.length ? "Done" : "Next";
      if (before) $("tour-next").focus({ preventScroll: true });
    },
  };
}
