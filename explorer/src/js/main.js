// The page: loads the network, and tells every station that is in view what has changed.

import * as faceStation from "./face.js";
import * as hideStation from "./hide.js";
import * as hourglassStation from "./hourglass.js";
import { $ } from "./look.js";
import { fetchBytes, hasWasm, Network } from "./net.js";
import * as pointsStation from "./points.js";
import { ON } from "./search.js";
import * as state from "./state.js";
import * as tourStation from "./tour.js";
import * as trainingStation from "./training.js";
import { fold, readSafetensors } from "./weights.js";

const PIXELS = 96 * 96;
const NOTEBOOKS = "../notebooks/";

async function load() {
  const json = (address) => fetch(address).then((answer) => answer.json());
  const [graphs, graph, weights, pixels, truth] = await Promise.all([
    json("data/graphs.json"),
    fetchBytes("data/lean.onnx"),
    fetchBytes("data/lean.safetensors"),
    fetchBytes("data/faces.bin"),
    json("data/faces.json"),
  ]);
  const order = graphs.lean.weights;
  const make = (buffer) => Network.make(new Uint8Array(graph), fold(readSafetensors(buffer), order));
  const all = new Uint8Array(pixels);
  const points = truth.map((eyes) => eyes.map(([x, y]) => ({ x, y })));
  const faces = points.map((eyes, i) => ({
    pixels: all.subarray(i * PIXELS, (i + 1) * PIXELS),
    truth: eyes,
    name: `face ${i + 1}`,
  }));
  const ten = { pixels: all, truth: points, face: (i) => faces[i] };
  return { graphs, make, lean: await make(weights), ten };
}

/** Stations that are out of view wait; what they missed they get when they are seen. */
function watch(stations) {
  const missed = new Map([...stations.keys()].map((id) => [id, new Set(["shown", "face"])]));
  const visible = new Set();
  const tell = (id, keys) => {
    if (!visible.has(id)) return keys.forEach((key) => missed.get(id).add(key));
    stations.get(id).update(keys);
  };
  const observer = new IntersectionObserver(
    (entries) => {
      for (const { target, isIntersecting } of entries) {
        visible[isIntersecting ? "add" : "delete"](target.id);
        if (!isIntersecting || !missed.get(target.id).size) continue;
        const keys = missed.get(target.id);
        missed.set(target.id, new Set());
        stations.get(target.id).update(keys);
      }
    },
    { rootMargin: "120px" },
  );
  for (const id of stations.keys()) observer.observe($(id));
  return (keys) => [...stations.keys()].forEach((id) => tell(id, keys));
}

function myModel(app, tell) {
  const pretrained = app.lean;
  const say = (text) => {
    $("my-model").open = true; // a file may also have been dropped
    $("model-text").textContent = text;
  };
  const use = async (network, text) => {
    if (app.lean !== pretrained) await app.lean.release();
    app.lean = network;
    $("our-model").hidden = network === pretrained;
    say(text);
    tell(new Set(["model", "face"]));
  };
  app.takeModel = async (file) => {
    try {
      await use(await app.make(await file.arrayBuffer()), `This is ${file.name}: every station shows it.`);
    } catch (error) {
      say(`${file.name}: ${error.message}.`);
    }
  };
  $("model").addEventListener("change", (event) => {
    const [file] = event.target.files;
    event.target.value = "";
    if (file) app.takeModel(file);
  });
  $("our-model").addEventListener("click", () => use(pretrained, "Back to the pretrained one."));
}

function scroll() {
  const narrow = matchMedia("(max-width: 700px)").matches;
  const section = (narrow && tourStation.lookAt()) || (state.state.at && $(state.state.at));
  if (!section) return;
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  section.scrollIntoView({ behavior: still ? "auto" : "smooth", block: "start" });
}

async function main() {
  if (!hasWasm()) return;
  for (const link of document.querySelectorAll("[data-notebook]"))
    link.href = `${NOTEBOOKS}${link.dataset.notebook}.html`;
  const app = await load();
  state.start();
  document.body.classList.add("live");
  const face = faceStation.create(app);
  const stations = new Map([
    ["face", face],
    ["hourglass", hourglassStation.create(app)],
    ["training", trainingStation.create(app)],
    ["points", pointsStation.create(app)],
    ["hide", hideStation.create(app)],
  ]);
  const tour = tourStation.create(app);
  app.facts = {}; // the last numbers of each station, for the tour
  app.learn = (station, facts) => {
    app.facts[station] = facts;
    tour.update();
  };
  let known = null; // what the network says of the last face: asked once, however many look
  app.ask = (asked) => {
    if (known?.face !== asked || known.network !== app.lean)
      known = { face: asked, network: app.lean, answer: app.lean.run(asked.pixels, ON) };
    return known.answer;
  };
  app.take = (taken) => {
    app.face = taken;
    app.tell?.(new Set(["face"]));
  };
  face.choose();
  app.tell = watch(stations);
  myModel(app, app.tell);
  state.listen((keys) => {
    if (keys.has("face")) {
      keys.delete("face"); // the stations hear of it when the face itself has been taken
      keys.add("address");
    }
    app.tell(keys);
    if (keys.has("address")) face.choose();
    if (tour.update() || keys.has("at")) scroll();
  });
  tour.update();
  if (state.state.at) requestAnimationFrame(scroll);
  window.explorer = app; // for the tests, and for whoever opens the console
}

main().catch((error) => {
  document.body.classList.remove("live");
  const text = document.createElement("p");
  text.textContent = `The network could not be started: ${error.message}`;
  $("fallback").prepend(text);
  console.error(error);
});
