// The state of the page, in its address: whoever gets the address sees the same.

export const DEFAULTS = {
  at: "", // station
  face: "0", // one of ours; a visitor's own is never in the address
  off: "", // switches that are off: s0..s3 for skips, b0..b3 for what comes from below
  level: "up0",
  channel: "mean",
  cell: "", // column,row
  moment: "11",
  point: "40.30,50.80",
  target: "gaussian",
  sigma: "1.5",
  alpha: "0.1",
  stride: "4",
  doubt: "0",
  hide: "nothing", // nothing, eye, glasses
  blur: "0",
  turn: "0",
  tour: "", // step of the tour
};

const listeners = [];
export const state = { ...DEFAULTS };

function read() {
  const text = location.hash.slice(1);
  if (text && !text.includes("=")) return; // a plain anchor
  const given = new URLSearchParams(text);
  for (const key of Object.keys(DEFAULTS)) state[key] = given.get(key) ?? DEFAULTS[key];
}

function write() {
  const changed = Object.entries(state).filter(([key, value]) => value !== DEFAULTS[key]);
  const text = new URLSearchParams(changed).toString().replaceAll("%2C", ",");
  history.replaceState(null, "", text ? `#${text}` : location.pathname + location.search);
}

/** Change some of it: {key: value}. Whoever listens learns which keys changed. */
export function set(changes) {
  const keys = Object.keys(changes).filter((key) => state[key] !== String(changes[key]));
  if (!keys.length) return;
  for (const key of keys) state[key] = String(changes[key]);
  write();
  tell(keys);
}

export const listen = (call) => listeners.push(call);
const tell = (keys) => listeners.forEach((call) => call(new Set(keys)));

/** A number of the state, or its default where the address holds something else. */
export function number(key, least, most) {
  const value = Number(state[key]);
  const good = state[key] !== "" && Number.isFinite(value) && value >= least && value <= most;
  return good ? value : Number(DEFAULTS[key]);
}

export function start() {
  read();
  window.addEventListener("hashchange", () => {
    read();
    tell(Object.keys(DEFAULTS));
  });
}
