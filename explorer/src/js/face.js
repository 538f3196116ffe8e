// Station 1: where the present face comes from, and what the network says of it.

import { EYES, paintFace } from "./draw.js";
import { $, crosses, define, distance, error, latest, percent, px, read, show } from "./look.js";
import { boxOfEyes, cut, findFace, Follower, toPhoto } from "./search.js";
import { number, set, state } from "./state.js";

const LARGEST = 640; // pixels of the longer side of a photo: enough for a face of an eighth of it
const LIVE_SHARE = 1 / 3; // the smallest window in a camera's image: it must be quick

export function create(app) {
  const buttons = app.ten.truth.map((_, i) => {
    const button = document.createElement("button");
    button.type = "button";
    button.setAttribute("aria-label", `Synthetic face ${i + 1}`);
    const canvas = document.createElement("canvas");
    paintFace(canvas, app.ten.face(i).pixels);
    button.append(canvas);
    button.addEventListener("click", () => {
      stop();
      own = null;
      set({ face: i });
      choose();
    });
    return button;
  });
  $("faces").append(...buttons);

  let own = null; // a face of the visitor, while it is shown
  let live = null; // {video, stream, follower}
  const photo = $("photo");
  const context = photo.getContext("2d", { willReadFrequently: true });

  /** Takes the face that the state names, unless the visitor's own is shown. */
  function choose() {
    const which = Math.round(number("face", 0, app.ten.truth.length - 1));
    if (!own) {
      $("photo-figure").hidden = true;
      $("found").textContent = "";
      app.take(app.ten.face(which));
    }
    buttons.forEach((button, i) => button.setAttribute("aria-pressed", String(!own && i === which)));
  }

  let inView = true; // whether the images of this station can be seen
  const paint = latest(async () => {
    const { face } = app;
    const { scores } = await app.ask(face);
    const { maps, points } = read(scores);
    app.points = points;
    if (face.live && !inView) return; // the next image comes soon
    paintFace($("plain"), face.pixels);
    show("maps", face.pixels, maps, null, 0);
    crosses(show("answer", face.pixels, [], face.truth, 1), points, EYES);
    const rows = points.map((point, k) => [
      ["their left eye", "their right eye"][k],
      `(${point.x.toFixed(1)}, ${point.y.toFixed(1)}), ${percent(point.confidence)} in one place`,
    ]);
    rows.push(["apart", px(distance(...points))]);
    if (face.truth) rows.push(["off the true eyes by", px(error(points, face.truth))]);
    define($("answer-numbers"), rows);
  });
  new IntersectionObserver((entries) => {
    const { isIntersecting } = entries.at(-1);
    const appeared = isIntersecting && !inView;
    inView = isIntersecting;
    if (appeared) paint();
  }).observe($("answers"));

  // ---- photo ------------------------------------------------------------------------------

  function drawPhoto(source, width, height) {
    const scale = Math.min(1, LARGEST / Math.max(width, height));
    const size = [width, height].map((length) => Math.round(length * scale));
    if (photo.width !== size[0] || photo.height !== size[1]) [photo.width, photo.height] = size;
    context.imageSmoothingQuality = "high";
    context.drawImage(source, 0, 0, photo.width, photo.height);
    $("photo-figure").hidden = false;
  }

  function frame(eyes) {
    const box = boxOfEyes(eyes);
    context.lineWidth = Math.max(1.5, photo.width / 250);
    context.strokeStyle = "#f0e442";
    context.strokeRect(box.left + 0.5, box.top + 0.5, box.side, box.side);
    eyes.forEach((eye, k) => {
      context.beginPath();
      context.arc(eye.x + 0.5, eye.y + 0.5, Math.max(3, box.side / 40), 0, 2 * Math.PI);
      context.strokeStyle = `rgb(${EYES[k].join(" ")})`;
      context.stroke();
    });
  }

  const say = (text) => ($("found").textContent = text);

  async function takePhoto(file) {
    stop();
    if (file.type.startsWith("video/")) return takeVideo(file);
    let bitmap;
    try {
      bitmap = await createImageBitmap(file);
    } catch {
      return say(`${file.name || "This"} is no image that the browser can read.`);
    }
    drawPhoto(bitmap, bitmap.width, bitmap.height);
    bitmap.close();
    const found = await findFace(app.lean, photo, 1 / 6, say);
    if (!found) return say("No face found. Try a photo with a larger, upright face.");
    const crop = cut(photo, boxOfEyes(found.eyes));
    frame(found.eyes);
    say(`Found by the network itself: ${percent(found.support)} of the windows around it agree.`);
    own = { pixels: crop, truth: null, name: "yours" };
    choose();
    app.take(own);
  }

  // ---- camera and video -------------------------------------------------------------------

  async function takeVideo(file) {
    const video = document.createElement("video");
    video.src = URL.createObjectURL(file);
    video.loop = true;
    await begin(video, null);
  }

  async function takeCamera() {
    if (live) return stop();
    if (!navigator.mediaDevices?.getUserMedia)
      return say("This page has no camera: it needs https or localhost.");
    try {
      const size = { width: { ideal: 640 }, height: { ideal: 480 }, facingMode: "user" };
      const stream = await navigator.mediaDevices.getUserMedia({ video: size, audio: false });
      const video = document.createElement("video");
      video.srcObject = stream;
      $("camera").setAttribute("aria-pressed", "true");
      $("camera").textContent = "Stop the camera";
      await begin(video, stream);
    } catch (error) {
      stop();
      say(`No camera: ${error.message}`);
    }
  }

  async function begin(video, stream) {
    video.muted = video.playsInline = true;
    live = { video, stream, follower: null };
    await video.play();
    follow(live);
  }

  async function follow(now) {
    let [frames, since] = [0, performance.now()];
    while (live === now) {
      await nextFrame(now.video);
      if (live !== now || !now.video.videoWidth) continue;
      drawPhoto(now.video, now.video.videoWidth, now.video.videoHeight);
      if (!now.follower) {
        say("Looking for a face…");
        const found = await findFace(app.lean, photo, LIVE_SHARE);
        if (!found) continue;
        say("Found by the network itself, and followed.");
        now.follower = new Follower(found.eyes);
        continue;
      }
      const crop = cut(photo, now.follower.box);
      own = { pixels: crop, truth: null, name: "yours", live: true };
      app.take(own);
      const points = await answered();
      const eyes = points.map((point) => toPhoto(point, now.follower.box));
      if (!(await now.follower.move(app.lean, photo, points))) now.follower = null;
      frame(eyes); // last: it is drawn on the photo that the crops are cut from
      frames++;
      const seconds = (performance.now() - since) / 1000;
      if (seconds > 1) {
        app.rate = frames / seconds;
        $("rate").textContent = `${app.rate.toFixed(0)} images a second`;
        [frames, since] = [0, performance.now()];
      }
    }
  }

  /** The points of the present face, after it has been painted. */
  async function answered() {
    await paint();
    return app.points;
  }

  function stop() {
    const now = live;
    live = null;
    now?.stream?.getTracks().forEach((track) => track.stop());
    now?.video.pause();
    if (now?.video.src) URL.revokeObjectURL(now.video.src);
    $("camera").setAttribute("aria-pressed", "false");
    $("camera").textContent = "Your camera";
    $("rate").textContent = "";
  }

  // ---- events -----------------------------------------------------------------------------

  $("file").addEventListener("change", (event) => {
    const [file] = event.target.files;
    event.target.value = "";
    if (file) takePhoto(file);
  });
  $("camera").addEventListener("click", takeCamera);
  document.addEventListener("visibilitychange", () => document.hidden && live?.stream && stop());
  window.addEventListener("pagehide", stop);
  document.addEventListener("paste", (event) => {
    const file = [...event.clipboardData.files].find((one) => one.type.startsWith("image/"));
    if (file) takePhoto(file);
  });
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    $("drop").hidden = false;
  });
  document.addEventListener("dragleave", (event) => event.relatedTarget || ($("drop").hidden = true));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    $("drop").hidden = true;
    const [file] = event.dataTransfer.files;
    if (!file) return;
    if (file.name.endsWith(".safetensors")) app.takeModel(file);
    else takePhoto(file);
  });

  return {
    choose,
    update(keys) {
      if (state.face && keys.has("address") && !own) choose();
      if (keys.has("face") || keys.has("model")) return live?.follower ? undefined : paint();
      if (keys.has("shown")) paint();
    },
  };
}

function nextFrame(video) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, 250); // a video that has stopped sends no more
    const done = () => {
      clearTimeout(timer);
      resolve();
    };
    if (video.requestVideoFrameCallback) video.requestVideoFrameCallback(done);
    else requestAnimationFrame(done);
  });
}
