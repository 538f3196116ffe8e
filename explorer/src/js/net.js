// The networks, run by onnxruntime's wasm backend on one thread: any static host will do.

import * as ort from "../ort/ort.wasm.min.mjs";

ort.env.wasm.numThreads = 1; // more would need cross-origin isolation
ort.env.wasm.wasmPaths = new URL("../ort/", import.meta.url).href;
ort.env.logLevel = "error";

const SIDE = 96;

export const hasWasm = () => typeof WebAssembly === "object";

let last = Promise.resolve();

/** The runtime is one program with one stack: every call waits for the one before. */
function inTurn(work) {
  const result = last.then(work);
  last = result.catch(() => {});
  return result;
}

/** One graph with one block of weights. */
export class Network {
  constructor(session) {
    this.session = session;
  }

  /** graph: the bytes of an ONNX file; block: its weights, float32 in the graph's own order. */
  static make(graph, block) {
    const data = new Uint8Array(block.buffer, block.byteOffset, block.byteLength);
    const options = {
      executionProviders: ["wasm"],
      externalData: [{ path: "weights.bin", data }],
    };
    return inTurn(async () => new Network(await ort.InferenceSession.create(graph, options)));
  }

  /** images: grey levels 0..255, any number of 96 x 96; returns {name: {data, dims}}. */
  run(images, switches = null, wanted = undefined) {
    const pixels = new Float32Array(images.length);
    for (let i = 0; i < pixels.length; i++) pixels[i] = images[i] / 255;
    const count = pixels.length / SIDE ** 2;
    const feeds = { images: new ort.Tensor("float32", pixels, [count, 1, SIDE, SIDE]) };
    if (switches) feeds.switches = new ort.Tensor("float32", Float32Array.from(switches), [8]);
    return inTurn(() => this.session.run(feeds, wanted ?? this.session.outputNames));
  }

  release() {
    return inTurn(() => this.session.release());
  }
}

export const fetchBytes = async (address) => {
  const answer = await fetch(address);
  if (!answer.ok) throw new Error(`${address}: ${answer.status}`);
  return answer.arrayBuffer();
};
