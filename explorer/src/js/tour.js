// The guided tour: eight steps of a quarter of a minute, each an address of its own. A step may ask
// the visitor to try something; what came of it is said in the numbers that the station computed.

import { $ } from "./look.js";
import { set, state } from "./state.js";

const PLAIN = { off: "", hide: "nothing", blur: 0, turn: 0, cell: "", doubt: 0, stride: 4, target: "gaussian", moment: 11 }; // prettier-ignore

/**
 * at: station; set: state; look: what a small screen shows above the text. With something to try
 * also trial: the state that it leads to, and press: what is to be pressed. Texts with numbers in
 * them take what the station has computed.
 */
export const STEPS = [
  {
    at: "face", set: {}, look: "faces",
    text: () => "A face goes in as 96 × 96 grey numbers. Out come two heat maps, one for each eye: the brighter a cell, the more likely the eye is there. The crosses are read from the maps.",
  },
  {
    at: "hourglass", set: { level: "waist", cell: "1,1" }, look: "lens",
    text: () => "Inside, the maps are halved four times, to 3 × 3 cells: the waist. The marked cell sees the whole face, but is 32 pixels wide: it can know what is there, not exactly where.",
  },
  {
    at: "hourglass", set: { level: "up0" }, look: "inside", trial: { off: "s0" }, press: "switch-s0",
    text: () => "What is a skip for? Try it: press “skip 48”, which switches the finest skip off, and look at the points.",
    result: ({ here, ten }) => `Without it: ${here}${ten ? `, over the ten faces ${ten}` : ""}. Found, but less exactly: all that is left was doubled from coarser maps. That is what a skip is for: it carries fine detail past the waist, so that the map says exactly where.`,
  },
  {
    at: "hourglass", set: { level: "up0", cell: "15,18" }, look: "inside", trial: { off: "b0" }, press: "switch-b0",
    text: () => "The skip is on again. Is the skip enough by itself? Press the upper “↑ double”: nothing from below is added any more.",
    result: ({ here, swapped }) => `No: ${here}. Each cell sees only the 8 × 8 pixels in the yellow frame: hair looks like an eye${swapped ? `, one eye like the other (${swapped} of 20 points lie nearer to the wrong one)` : ""}. From below comes what it is, through the skip exactly where.`,
  },
  {
    at: "training", set: { moment: 0 }, look: "small", trial: { moment: 11 }, press: "play",
    text: () => "A network begins with random numbers. Press Play, or drag the slider, and see a small hourglass learn from images.",
    result: ({ images, small, original, highest }) => `After ${images} images: ${small} off on new faces. The network of 2019, on the right: ${original}, no cell above ${highest}. In its loss, 0 everywhere is nearly right.`,
  },
  {
    at: "points", set: { point: "40.30,50.80" }, look: "zoom",
    text: ({ cell, off }) => `Why a map, and not two numbers? Is a map not coarse? A cell is ${cell} pixels wide here, and the centre of mass of the cells is still only ${off} off.`,
  },
  {
    at: "hide", set: {}, look: "covered", trial: { hide: "left" }, press: "hide-left",
    text: () => "Does the network know when it guesses? Press “Cover their left eye” and look at the orange spot.",
    result: ({ off, times }) => `It guesses from the rest of the face, ${off} off. Two numbers would look as they did before. The map shows the guess: its spot is ${times} times as wide.`,
  },
  {
    at: "hide", set: { face: 2 }, look: "covered", trial: { turn: 180 }, press: "turn",
    text: () => "It never saw a face upside down. Move the slider “turn” all the way to the right, and look at the blue spots.",
    result: ({ two, shares, apart, between }) => `${two ? `The blue map holds two places, ${apart} apart, with ${shares}: it does not know. Two numbers can name one place: the mean (the diamond between them), ${between} from the nearer, where no eye is.` : "Look at the blue map: how many places does it hold?"} So a heat map beats two numbers: it says where, how sure, and whether there is a second place.`,
  },
]; // prettier-ignore

/** What a station's numbers hold for: these parts of the state. */
const KEYS = { hourglass: ["off"], training: ["moment"], points: ["doubt"], hide: ["hide", "turn"] };
export const holds = (station) => KEYS[station].map((key) => state[key]).join();

const current = () => STEPS[Number(state.tour) - 1];
/** Whether the present state is that of the trial; of a number also what lies above it. */
const tried = ({ trial = {} }) =>
  Object.entries(trial).every(([key, value]) =>
    typeof value === "number" ? Number(state[key]) >= value : state[key] === value,
  );

function go(at) {
  if (at < 0 || at >= STEPS.length) return end();
  set({ ...PLAIN, face: 0, ...STEPS[at].set, at: STEPS[at].at, tour: at + 1 });
}

const end = () => set({ ...PLAIN, tour: "" });

/** What is to be pressed, or else what the present step is about; null without a tour. */
export function lookAt() {
  const step = current();
  return step ? $(tried(step) ? step.look : step.press) : null;
}

export function create(app) {
  const next = () => (tried(current()) ? go(Number(state.tour)) : set(current().trial));
  $("start-tour").addEventListener("click", () => go(0));
  $("tour-next").addEventListener("click", next);
  $("tour-back").addEventListener("click", () => go(Number(state.tour) - 2));
  $("tour-end").addEventListener("click", end);
  document.addEventListener("keydown", (event) => event.key === "Escape" && state.tour && end());

  /** The text of a step, or null while the station still computes. */
  function textOf(step) {
    const say = tried(step) ? (step.result ?? step.text) : step.text;
    if (!say.length) return say();
    const known = app.facts[step.at];
    return known?.of === holds(step.at) ? say(known) : null;
  }

  let looked = null;

  return {
    /** Shows the present step; true when there is something else to look at. */
    update() {
      const step = current();
      const moved = looked !== lookAt();
      looked = lookAt();
      const before = $("tour").hidden;
      $("tour").hidden = !step;
      document.body.classList.toggle("touring", Boolean(step));
      document.querySelector(".asked")?.classList.remove("asked");
      if (!step) return false;
      const at = Number(state.tour);
      const text = textOf(step);
      if (text !== null && text !== $("tour-text").textContent) $("tour-text").textContent = text;
      $("tour-count").textContent = `${at} of ${STEPS.length}`;
      $("tour-back").disabled = at === 1;
      $("tour-next").textContent = !tried(step) ? "Show me" : at === STEPS.length ? "Done" : "Next";
      if (!tried(step)) $(step.press).classList.add("asked");
      if (before) $("tour-next").focus({ preventScroll: true });
      return moved;
    },
  };
}
