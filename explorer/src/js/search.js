// Finding a face with the network itself, then following it: hglib/photo/detect.py, shortened.
//
// The network always answers with two points. Where a face is, windows that lie a little differently
// give the same two points of the photo; elsewhere their answers scatter. So every window votes.
// A photo is a canvas; a box is {left, top, side} in photo pixels; eyes are [{x, y}, {x, y}] in
// photo pixels, the subject's left first.

import { decode, softmax } from "./heatmap.js";

export const SIZE = 96;
const MIDDLE = { x: 47.3, y: 36.8 }; // between the eyes of an average face, in a crop
const DISTANCE = 36.2; // between the eyes of an average face, in a crop
const STEP = 32; // window pixels from one window to the next
const OVERHANG = 16; // window pixels beyond the photo's edge
const ZOOM = Math.SQRT2; // from one size of window to the next
const SURE = 0.15; // votes below this confidence do not count
const STRETCH = [0.5, 2]; // eye distances that count, in those of an average face
const TILT = 0.6; // the steepest line through both eyes
const AGREE = 0.2; // eye distances within which two votes mean the same pair
const PART = 16; // windows that are asked at a time, so that the page stays awake
const CANDIDATES = 5;
const ENOUGH = 0.45; // support of a face
const LOST = 0.25; // a followed face is in doubt below this confidence
const CLEAR = 0.5; // below this one more crops are asked at once
const AGAIN = 10; // images after which more crops are asked in any case
const PATIENCE = 15; // images in doubt after which a face is lost
const ASIDE = { x: 10, y: 8 }; // crop pixels by which two more crops are moved: further than AGREE

/** The square in which these eyes lie where an average face has them. */
export function boxOfEyes([left, right]) {
  const scale = Math.max(Math.hypot(left.x - right.x, left.y - right.y), 1e-6) / DISTANCE;
  return {
    left: (left.x + right.x) / 2 + 0.5 - (MIDDLE.x + 0.5) * scale,
    top: (left.y + right.y) / 2 + 0.5 - (MIDDLE.y + 0.5) * scale,
    side: SIZE * scale,
  };
}

export const toPhoto = (point, box) => ({
  x: (point.x + 0.5) * (box.side / SIZE) - 0.5 + box.left,
  y: (point.y + 0.5) * (box.side / SIZE) - 0.5 + box.top,
  confidence: point.confidence,
});

/** The grey levels of a canvas as the eye weighs red, green and blue. */
export function greyOf(context, width, height) {
  const { data } = context.getImageData(0, 0, width, height);
  const grey = new Uint8Array(width * height);
  for (let i = 0; i < grey.length; i++)
    grey[i] = Math.round(0.299 * data[4 * i] + 0.587 * data[4 * i + 1] + 0.114 * data[4 * i + 2]);
  return grey;
}

const scratch = new Map();

function scratchCanvas(name, width, height) {
  if (!scratch.has(name)) {
    const canvas = document.createElement("canvas");
    scratch.set(name, canvas.getContext("2d", { willReadFrequently: true }));
  }
  const context = scratch.get(name);
  if (context.canvas.width !== width || context.canvas.height !== height) {
    context.canvas.width = width;
    context.canvas.height = height;
  }
  return context;
}

/** The crop of a photo as 96 x 96 grey levels; beyond the photo's edge it is mid-grey. */
export function cut(photo, box) {
  const context = scratchCanvas("crop", SIZE, SIZE);
  const scale = SIZE / box.side;
  context.fillStyle = "#808080";
  context.fillRect(0, 0, SIZE, SIZE);
  context.imageSmoothingQuality = "high";
  context.drawImage(
    photo, -box.left * scale, -box.top * scale, photo.width * scale, photo.height * scale,
  ); // prettier-ignore
  return greyOf(context, SIZE, SIZE);
}

/** The two points of every image in the answer of a network, and their confidence. */
export function pointsOf(scores, stride = 2) {
  const [count, eyes, rows, columns] = scores.dims;
  const part = rows * columns;
  return Array.from({ length: count }, (_, n) =>
    Array.from({ length: eyes }, (_, k) => {
      const start = (n * eyes + k) * part;
      return decode(softmax(scores.data.subarray(start, start + part), rows, columns), "soft", stride);
    }),
  );
}

async function ask(network, crops, boxes) {
  const votes = [];
  for (let start = 0; start < crops.length; start += PART) {
    const some = crops.slice(start, start + PART);
    const pixels = new Uint8Array(some.length * SIZE * SIZE);
    some.forEach((crop, i) => pixels.set(crop, i * SIZE * SIZE));
    const { scores } = await network.run(pixels, ON, ["scores"]);
    pointsOf(scores).forEach((eyes, i) => votes.push(vote(eyes, boxes[start + i])));
    if (start + PART < crops.length) await new Promise((resolve) => setTimeout(resolve));
  }
  return votes;
}

export const ON = [1, 1, 1, 1, 1, 1, 1, 1];

/** What one window says; a pair that is far too near, too wide or too steep counts nothing. */
function vote(eyes, box) {
  const across = eyes[0].x - eyes[1].x;
  const down = eyes[0].y - eyes[1].y;
  const stretch = Math.hypot(across, down) / DISTANCE;
  const possible =
    stretch > STRETCH[0] && stretch < STRETCH[1] && Math.abs(down) < TILT * across;
  const confidence = possible ? Math.min(eyes[0].confidence, eyes[1].confidence) : 0;
  return { eyes: eyes.map((eye) => toPhoto(eye, box)), confidence };
}

/** The windows of one size: their crops and boxes. */
function windows(photo, side) {
  const scale = side / SIZE;
  const count = [photo.width, photo.height].map(
    (length) => Math.max(0, Math.ceil((length / scale + 2 * OVERHANG - SIZE) / STEP - 1e-6)) + 1,
  );
  const size = count.map((n) => SIZE + STEP * (n - 1));
  const corner = [photo.width, photo.height].map((length, i) => (length - size[i] * scale) / 2);
  const level = scratchCanvas("level", size[0], size[1]);
  level.fillStyle = "#808080";
  level.fillRect(0, 0, size[0], size[1]);
  level.imageSmoothingQuality = "high";
  level.drawImage(
    photo, -corner[0] / scale, -corner[1] / scale, photo.width / scale, photo.height / scale,
  ); // prettier-ignore
  const grey = greyOf(level, size[0], size[1]);
  const crops = [];
  const boxes = [];
  for (let row = 0; row < count[1]; row++) {
    for (let column = 0; column < count[0]; column++) {
      const crop = new Uint8Array(SIZE * SIZE);
      for (let y = 0; y < SIZE; y++) {
        const start = (row * STEP + y) * size[0] + column * STEP;
        crop.set(grey.subarray(start, start + SIZE), y * SIZE);
      }
      crops.push(crop);
      boxes.push({
        left: corner[0] + column * STEP * scale, top: corner[1] + row * STEP * scale, side,
      }); // prettier-ignore
    }
  }
  return { crops, boxes };
}

const distance = ([a, b]) => Math.hypot(a.x - b.x, a.y - b.y);

const near = (vote, eyes) =>
  vote.confidence > SURE &&
  vote.eyes.every((eye, k) => Math.hypot(eye.x - eyes[k].x, eye.y - eyes[k].y) < AGREE * distance(eyes));

const median = (values) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)];

const middleOf = (votes) =>
  [0, 1].map((k) => ({
    x: median(votes.map((one) => one.eyes[k].x)),
    y: median(votes.map((one) => one.eyes[k].y)),
  }));

/** Pairs of eyes with the confidence that they gathered, the most first. */
function gather(votes) {
  votes = votes.filter((one) => one.confidence > SURE);
  const pairs = [];
  while (votes.length) {
    const surest = votes.reduce((a, b) => (b.confidence > a.confidence ? b : a));
    const agree = votes.filter((one) => near(one, surest.eyes));
    const total = agree.reduce((sum, one) => sum + one.confidence, 0);
    pairs.push({ total, eyes: middleOf(agree) });
    votes = votes.filter((one) => !agree.includes(one));
  }
  return pairs.sort((a, b) => b.total - a.total);
}

/** Crops around a pair, moved: how many of them find the same pair, and how surely. */
async function lookCloser(network, photo, eyes) {
  const box = boxOfEyes(eyes);
  const pixel = box.side / SIZE;
  const boxes = [];
  for (const scale of [0.8, 1.2])
    for (const x of [-18, 0, 18])
      for (const y of [-18, 0, 18])
        boxes.push({
          left: box.left + (MIDDLE.x + 0.5) * pixel * (1 - scale) + x * pixel,
          top: box.top + (MIDDLE.y + 0.5) * pixel * (1 - scale) + y * pixel,
          side: box.side * scale,
        });
  const votes = await ask(network, boxes.map((one) => cut(photo, one)), boxes);
  const agree = votes.filter((one) => near(one, eyes));
  const support = agree.reduce((sum, one) => sum + one.confidence, 0) / votes.length;
  return { eyes: agree.length ? middleOf(agree) : eyes, support };
}

/**
 * The face of a photo with the most support, or null: {eyes, support}.
 * smallest: the side of the smallest window, as a share of the photo's longer side.
 */
export async function findFace(network, photo, smallest = 1 / 6, say = () => {}) {
  const least = Math.max(SIZE / 2, Math.max(photo.width, photo.height) * smallest);
  const sides = [Math.min(photo.width, photo.height)];
  while (sides.at(-1) / ZOOM >= least) sides.push(sides.at(-1) / ZOOM);
  const votes = [];
  for (const [i, side] of sides.entries()) {
    say(`looking with windows of ${Math.round(side)} px (${i + 1} of ${sides.length})`);
    const { crops, boxes } = windows(photo, side);
    votes.push(...(await ask(network, crops, boxes)));
  }
  let best = null;
  for (const { eyes } of gather(votes).slice(0, CANDIDATES)) {
    const face = await lookCloser(network, photo, eyes);
    if (face.support >= ENOUGH && face.support > (best?.support ?? 0)) best = face;
  }
  return best;
}

/**
 * Whether three crops mean the same pair of the photo. One is not enough: of an even wall the
 * network says the same two places of any crop, and surely. eyes: what it says of the crop `box`,
 * in crop pixels; the other two crops are asked here.
 */
export async function isFace(network, photo, box, eyes) {
  const pixel = box.side / SIZE;
  const boxes = [-1, 1].map((way) => ({
    left: box.left + way * ASIDE.x * pixel, top: box.top + way * ASIDE.y * pixel, side: box.side,
  })); // prettier-ignore
  const votes = await ask(network, boxes.map((one) => cut(photo, one)), boxes);
  votes.push(vote(eyes, box));
  const pair = middleOf(votes);
  return votes.every((one) => one.confidence >= LOST && near(one, pair));
}

/**
 * Follows one face from image to image: the box of the last answer is where it is looked for.
 * One crop an image is enough while it is clear; a new face, a doubtful answer and every tenth
 * image have to pass `isFace`.
 */
export class Follower {
  constructor(eyes) {
    this.box = boxOfEyes(eyes);
    this.doubts = 0;
    this.since = AGAIN; // images since the last check: a new face has had none
  }

  /** Takes the new answer (crop pixels) for this photo; false when the face has been lost. */
  async move(network, photo, eyes) {
    const { confidence } = vote(eyes, this.box);
    let sure = confidence >= LOST;
    this.since++;
    if (sure && (this.doubts || confidence < CLEAR || this.since >= AGAIN)) {
      sure = await isFace(network, photo, this.box, eyes);
      this.since = 0;
    }
    this.doubts = sure ? 0 : this.doubts + 1;
    if (sure) {
      const next = boxOfEyes(eyes.map((eye) => toPhoto(eye, this.box)));
      for (const key of ["left", "top", "side"]) this.box[key] += 0.6 * (next[key] - this.box[key]);
    }
    return this.doubts < PATIENCE;
  }
}
