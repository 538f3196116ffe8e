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
    text: () => "Inside, the maps are halved four times, to 3 × 3 cells: the waist. The marked cell takes in the whole face, but stands for a block of 32 × 32 pixels: it can know what is there, not exactly where.",
  },
  {
    at: "hourglass", set: { level: "up0" }, look: "inside", trial: { off: "s0" }, press: "switch-s0",
    text: () => "What is a skip for? Press “skip 48”, which switches the finest skip off, and look at the points.",
    result: ({ here, ten }) => `Without it: ${here}${ten ? `, over the ten faces ${ten}` : ""}. Found, but less exactly. That is what a skip is for: it carries fine detail past the waist.`,
  },
  {
    at: "hourglass", set: { level: "up0", cell: "15,18" }, look: "inside", trial: { off: "b0" }, press: "switch-b0",
    text: () => "The skip is on again. Is it enough alone? Press the upper “↑ double”: nothing from below is added any more.",
    result: ({ here, swapped }) => `No: ${here}. Each cell sees only the 8 × 8 pixels in the yellow frame: hair looks like an eye${swapped ? `, one eye like the other (${swapped} of 20 points nearer to the wrong one)` : ""}. What comes up from below says what it is; the skip says exactly where.`,
  },
  {
    at: "training", set: { moment: 0 }, look: "small", trial: { moment: 11 }, press: "play",
    text: () => "A network begins with random numbers. Press Play, or drag the slider, and see a small hourglass learn.",
    result: ({ images, small, original }) => `After ${images} images: ${small} off on new faces. The network of 2019, on the right: ${original}. Its training counts every cell alike: nearly all should be dark, so an all-dark answer already looks good, and it stays there long.`,
  },
  {
    at: "points", set: { point: "40.30,50.80" }, look: "zoom",
    text: ({ cell, off }) => `Is a map not too coarse? No: a cell is ${cell} pixels wide, yet the point is read ${off} off, because neighbouring cells share the brightness. Drag the point.`,
  },
  {
    at: "hide", set: {}, look: "covered", trial: { hide: "left" }, press: "hide-left",
    text: () => "Does the network know when it guesses? Press “Cover their left eye” and look at the orange spot.",
    result: ({ off, times }) => `It guesses from the rest of the face, ${off} off. Two numbers alone would not say that this is a guess. The map does: its spot is ${times} times as wide.`,
  },
  {
    at: "hide", set: { face: 2 }, look: "covered", trial: { turn: 180 }, press: "turn",
    text: () => "Another face. The network never saw one upside down. Move the slider “turn” fully to the right, and look at the blue spots.",
    result: ({ two, shares, apart, between }) => `${two ? `The blue map holds two places, ${apart} apart, with ${shares}: it does not know. Two numbers can name one only: the mean (the yellow diamond), ${between} from the nearer, where no eye is.` : "Look at the blue map: how many places does it hold?"} So a heat map beats two numbers: it says where, how sure, and any second place. That was it; now try your own photo.`,
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
  if (at >= STEPS.length) return finish();
  set({ ...PLAIN, face: 0, ...STEPS[at].set, at: STEPS[at].at, tour: at + 1 });
}

const end = () => set({ ...PLAIN, tour: "" });
/** After the last step: to the first station, which takes a photo. */
const finish = () => set({ ...PLAIN, face: 0, tour: "", at: "face" });

/** What is to be pressed, or else what the present step is about; null without a tour. */
export function lookAt() {
  const step = current();
  return step ? $(tried(step) ? step.look : step.press) : null;
}

export function create(app) {
  /** On, or what the step asks for; training runs as by Play, and a second press ends it. */
  const next = () => {
    if (tried(current())) return go(Number(state.tour));
    if (current().press !== "play" || app.playing()) return set(current().trial);
    app.play();
    label(current());
  };
  const label = (step) => {
    const asks = step.press === "play" && app.playing() ? "To the end" : "Show me";
    $("tour-next").textContent = !tried(step) ? asks : step === STEPS.at(-1) ? "Done" : "Next";
  };
  $("play").addEventListener("click", () => current() && label(current()));
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
      if (document.activeElement === $("tour-back") && at === 1) $("tour-next").focus({ preventScroll: true });
      $("tour-back").hidden = at === 1;
      label(step);
      if (!tried(step)) $(step.press).classList.add("asked");
      if (before) $("tour-next").focus({ preventScroll: true });
      return moved;
    },
  };
}
