// The component's side of the world `agent`; the build makes a module that calls `world`.

import { GiveUp, Retry, log } from "onecopy_agent";

// Math.random was seeded when the component was built: seeded anew from the event and the clock,
// runs differ, and the same run is the same again. xoshiro128**, by Blackman and Vigna.
function seeded(text) {
  const state = new Uint32Array([0x9e3779b9, 0x243f6a88, 0xb7e15162, 0xdeadbeef]);
  for (let i = 0; i < text.length; i++) {
    const at = i & 3;
    state[at] = Math.imul(state[at] ^ text.charCodeAt(i), 0x01000193);
    state[(at + 1) & 3] ^= state[at] >>> 13;
  }
  const rotated = (value, by) => (value << by) | (value >>> (32 - by));
  return () => {
    const result = Math.imul(rotated(Math.imul(state[1], 5), 7), 9) >>> 0;
    const next = state[1] << 9;
    state[2] ^= state[0];
    state[3] ^= state[1];
    state[1] ^= state[2];
    state[0] ^= state[3];
    state[2] ^= next;
    state[3] = rotated(state[3], 11);
    return result / 4294967296;
  };
}

export function world(module) {
  const handle = module.handle ?? module.default;
  if (typeof handle !== "function") throw new Error("the agent exports no function `handle`");
  return (text) => {
    Math.random = seeded(`${text}${Date.now()}`);
    try {
      const event = { fields: {}, settings: {}, attempt: 1, ...JSON.parse(text) };
      return JSON.stringify(handle(event) ?? null);
    } catch (error) {
      throw ended(error);
    }
  };
}

function ended(error) {
  const shown = { message: String(error?.message ?? error), kind: error?.name ?? "Error" };
  if (error instanceof Retry) shown.retry_after = error.seconds;
  else if (error instanceof GiveUp) shown.retry = false;
  else log.error(`${shown.kind}: ${shown.message}\n${error?.stack ?? ""}`);
  return JSON.stringify(shown);
}
