// What one cell can see: intervals of pixels, followed from a map back to the image.
//
// All layers of the network are the same along both axes, so one axis is enough. `ways` holds the
// switches: {skips: [bool], below: [bool]}, from the finest step to the coarsest. An interval is
// [first, last] in cells; null where nothing arrives.

export const STEPS = 4; // halvings after the stem
export const SIDE = 96;

/** Everything that is drawn: name, side in cells, channels, and where in the folded hourglass. */
export const LEVELS = [
  { name: "down0", side: 48, channels: 16, step: 0, lane: "down", what: "first features" },
  { name: "down1", side: 24, channels: 32, step: 1, lane: "down", what: "halved once" },
  { name: "down2", side: 12, channels: 64, step: 2, lane: "down", what: "halved twice" },
  { name: "down3", side: 6, channels: 96, step: 3, lane: "down", what: "halved three times" },
  { name: "down4", side: 3, channels: 128, step: 4, lane: "down", what: "the waist, coming in" },
  { name: "waist", side: 3, channels: 128, step: 4, lane: "up", what: "the waist" },
  { name: "up3", side: 6, channels: 96, step: 3, lane: "up", what: "joined at 6 × 6" },
  { name: "up2", side: 12, channels: 64, step: 2, lane: "up", what: "joined at 12 × 12" },
  { name: "up1", side: 24, channels: 32, step: 1, lane: "up", what: "joined at 24 × 24" },
  { name: "up0", side: 48, channels: 16, step: 0, lane: "up", what: "joined at 48 × 48" },
];

const conv3 = (seen) => seen && [seen[0] - 1, seen[1] + 1];
const pool = (seen) => seen && [2 * seen[0], 2 * seen[1] + 1];
const halve = (seen) => seen && [Math.floor(seen[0] / 2), Math.floor(seen[1] / 2)];
const union = (a, b) => (a && b ? [Math.min(a[0], b[0]), Math.max(a[1], b[1])] : a || b);
/** 4 wide, stride 2, padding 1 */
const stem = (seen) => seen && [2 * seen[0] - 1, 2 * seen[1] + 2];
const clip = (seen, side) => seen && [Math.max(0, seen[0]), Math.min(side - 1, seen[1])];

/** Image pixels [first, last] that can change the cells `seen` of the map `down<step>`. */
function throughDown(seen, step) {
  for (let at = step; at > 0; at--) seen = clip(pool(clip(conv3(seen), sideOf(at))), sideOf(at - 1));
  return clip(stem(seen), SIDE);
}

const sideOf = (step) => SIDE / 2 ** (step + 1);

function throughUp(seen, step, ways) {
  if (!seen) return null;
  if (step === STEPS) return throughDown(clip(conv3(seen), sideOf(STEPS)), STEPS);
  const across = ways.skips[step] ? throughDown(clip(conv3(seen), sideOf(step)), step) : null;
  const below = ways.below[step] ? halve(seen) : null;
  return union(across, throughUp(below && clip(conv3(below), sideOf(step + 1)), step + 1, ways));
}

/** The pixels [first, last] of one axis that can change cell `index` of a level, or null. */
export function seenBy(name, index, ways) {
  const level = LEVELS.find((one) => one.name === name);
  const seen = [index, index];
  return level.lane === "down"
    ? throughDown(seen, level.step)
    : throughUp(seen, level.step, ways);
}

export const ALL_ON = { skips: [true, true, true, true], below: [true, true, true, true] };
