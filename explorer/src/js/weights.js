// Weights for a graph: from a safetensors file, or from a row of float16 numbers.
//
// A graph lists its weights as [name, shape] in the order in which they lie in one block of
// float32. A checkpoint of hglib holds convolutions and the BatchNorms that follow them; the graph
// has convolutions alone, so the second are folded into the first.

const EPSILON = 1e-5; // torch's BatchNorm
const LARGEST_HEADER = 2 ** 20; // bytes

/** The float32 tensors of a safetensors file, by name. Throws an Error that says what is wrong. */
export function readSafetensors(buffer) {
  const view = new DataView(buffer);
  const length = buffer.byteLength > 8 ? Number(view.getBigUint64(0, true)) : Infinity;
  if (length > LARGEST_HEADER || 8 + length > buffer.byteLength)
    throw new Error("this is no safetensors file");
  let header;
  try {
    header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, length)));
  } catch {
    throw new Error("this is no safetensors file: its header is no JSON");
  }
  const tensors = {};
  for (const [name, about] of Object.entries(header)) {
    if (name === "__metadata__" || about.dtype !== "F32") continue;
    const [start, end] = about.data_offsets.map((at) => 8 + length + at);
    if (end > buffer.byteLength) throw new Error(`the file ends in the middle of ${name}`);
    tensors[name] = new Float32Array(buffer.slice(start, end));
    tensors[name].shape = about.shape;
  }
  return tensors;
}

/** The block of a graph from a checkpoint's tensors, every BatchNorm folded into its convolution. */
export function fold(tensors, order) {
  return join(order.map(([name, shape]) => foldOne(tensors, name, shape)));
}

function foldOne(tensors, name, shape) {
  const [, row, index, part] = name.match(/^(?:(.*)\.)?(\d+)\.(weight|bias)$/);
  const place = row === undefined ? "" : `${row}.`;
  const norm = `${place}${Number(index) + 1}`;
  const folded = !name.startsWith("heads.");
  const take = (wanted, size) => {
    const tensor = tensors[wanted] ?? tensors[`model/${wanted}`];
    if (!tensor) throw new Error(`this is not our default network: it lacks ${wanted}`);
    const count = size.reduce((a, b) => a * b, 1);
    if (tensor.length !== count)
      throw new Error(`${wanted} has ${tensor.length} numbers; our default network has ${count}`);
    return tensor;
  };
  if (!folded) return take(name, shape);
  const outputs = [shape[0]];
  const variance = take(`${norm}.running_var`, outputs);
  const scale = take(`${norm}.weight`, outputs).map((g, i) => g / Math.sqrt(variance[i] + EPSILON));
  if (part === "weight") {
    const weight = take(name, shape);
    return weight.map((value, i) => value * scale[Math.floor((i * shape[0]) / weight.length)]);
  }
  const mean = take(`${norm}.running_mean`, outputs);
  return take(`${norm}.bias`, outputs).map((value, i) => value - mean[i] * scale[i]);
}

function join(parts) {
  const block = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    block.set(part, offset);
    offset += part.length;
  }
  return block;
}

export const countWeights = (order) =>
  order.reduce((sum, [, shape]) => sum + shape.reduce((a, b) => a * b, 1), 0);

/** float16 to float32. */
export function fromHalf(halves) {
  return Float32Array.from(halves, (bits) => {
    const sign = bits & 0x8000 ? -1 : 1;
    const exponent = (bits >> 10) & 31;
    const fraction = bits & 1023;
    if (exponent === 0) return sign * 2 ** -14 * (fraction / 1024);
    if (exponent === 31) return fraction ? NaN : sign * Infinity;
    return sign * 2 ** (exponent - 15) * (1 + fraction / 1024);
  });
}
