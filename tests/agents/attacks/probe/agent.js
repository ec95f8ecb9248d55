// Does what its payload says: a list of [name, ...arguments]; what a call is refused is an answer.

import { entries, http, kv, llm, log, memory, tools } from "onecopy_agent";

function nested(depth) {
  let value = [];
  for (let each = 0; each < depth; each++) value = [value];
  return value;
}

const can = {
  get: (scope, key) => kv[scope].get(key, null),
  set: (scope, key, value) => kv[scope].set(key, value) ?? "set",
  keys: (scope) => kv[scope].keys(""),
  add: (collection, text) => memory.add(collection, text) && "added",
  search: (collection, query) => memory.search(collection, query, 9).map((hit) => hit.text),
  fetch: (url) => http.get(url).text,
  chat: (text) => llm.chat(text).text,
  say(count, size) {
    for (let each = 0; each < count; each++) log.info("y".repeat(size));
    return "said";
  },
  tools: () => tools.granted().map((each) => each.name),
  use: (name, given) => tools.call(name, given),
  read: (name) => entries.read(name),
  // What the engine's own stack is for.
  parse: (depth) => JSON.parse("[".repeat(depth) + "]".repeat(depth)).length,
  write: (depth) => JSON.stringify(nested(depth)).length,
  answer: (depth) => nested(depth),
  compare: (depth) => String(nested(depth)).length,
  size: () => 1,
  fill: (size) => new Uint8Array(size).fill(7).length,
};

function tried([name, ...given]) {
  try {
    return can[name](...given);
  } catch (error) {
    return { refused: `${error.code ?? error.name}: ${error.message}` };
  }
}

export function handle({ payload }) {
  return payload.whole ? can[payload.whole[0]](...payload.whole.slice(1)) : (payload.do ?? []).map(tried);
}
