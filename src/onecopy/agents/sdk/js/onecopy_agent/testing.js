// A host in the same process, so that agents are tested under Node, outside of WebAssembly:
//
//     node --import …/onecopy_agent/register.js --test       (or `onecopy agent test`)
//
// What it stores it really stores; what comes from elsewhere is what the test gives. Nothing else
// is granted.

import { world } from "./component.js";

class Refusal {
  constructor(code, message) {
    this.code = code;
    this.message = message;
  }
}

function notGranted(lines) {
  return new Refusal("not-granted", `add to agent.toml: ${lines}`);
}

class Http {
  sent = [];
  #replies = new Map();
  #serve = null;

  // Answers requests of this method and URL, query included; the last answer stays.
  reply(method, url, { status = 200, json, text = "", headers = {}, error } = {}) {
    const body = json === undefined ? text : JSON.stringify(json);
    const given = { status, headers: Object.entries(headers), body };
    const key = `${method} ${url}`;
    this.#replies.set(key, [...(this.#replies.get(key) ?? []), error ?? given]);
  }

  // Lets a function answer: it gets the request, and returns { status, headers, json or text }.
  serve(answer) {
    this.#serve = answer;
  }

  send(request) {
    const parsed = request.body ? () => JSON.parse(request.body) : () => null;
    const headers = Object.fromEntries(request.headers);
    this.sent.push({ ...request, headers, json: parsed });
    const given = this.#replies.get(`${request.method} ${request.url}`);
    if (given) return thrown(given.length > 1 ? given.shift() : given[0]);
    if (!this.#serve) throw notGranted(`[[grants.http]] for ${request.method} ${request.url}`);
    const { status = 200, headers: named = {}, json, text = "" } = this.#serve(this.sent.at(-1));
    const body = json === undefined ? text : JSON.stringify(json);
    return { status, headers: Object.entries(named), body };
  }
}

class Llm {
  requests = [];
  #replies = [];
  #serve = null;

  // Answers the next chats: with a text, a completion, or an error to throw.
  reply(...replies) {
    this.#replies.push(...replies);
  }

  serve(answer) {
    this.#serve = answer;
  }

  chat(text) {
    const request = JSON.parse(text);
    this.requests.push(request);
    if (!this.#replies.length && !this.#serve) throw notGranted("[grants.llm]");
    const reply = thrown(this.#replies.length ? this.#replies.shift() : this.#serve(request));
    return JSON.stringify(typeof reply === "string" ? completion(reply) : reply);
  }
}

class Memory {
  texts = [];
  #last = 0;

  add(collection, text, metadata) {
    this.texts.push({ collection, id: String(++this.#last), text, metadata });
    return String(this.#last);
  }

  search(collection, query, count) {
    const wanted = words(query);
    return this.texts
      .filter((each) => each.collection === collection)
      .map(({ id, text, metadata }) => ({ id, text, metadata, score: shared(wanted, words(text)) }))
      .sort((a, b) => b.score - a.score)
      .slice(0, count);
  }

  forget(collection, id) {
    this.texts = this.texts.filter((each) => each.collection !== collection || each.id !== id);
  }
}

const words = (text) => new Set(text.toLowerCase().match(/\w+/g) ?? []);
const shared = (a, b) => [...a].filter((each) => b.has(each)).length / Math.sqrt(a.size * b.size || 1);

function thrown(reply) {
  if (reply instanceof Error || reply instanceof Refusal) throw reply;
  return reply;
}

// What a model says that wants a tool called.
export function toolCall(name, given, id = "call-1") {
  const raw = typeof given === "string" ? given : JSON.stringify(given);
  return { id, type: "function", function: { name, arguments: raw } };
}

// A chat completion as the OpenAI API has it.
export function completion(content = "", toolCalls = []) {
  const message = { role: "assistant", content };
  if (toolCalls.length) message.tool_calls = toolCalls;
  const finish = toolCalls.length ? "tool_calls" : "stop";
  const usage = { prompt_tokens: 10, completion_tokens: 5 };
  return { choices: [{ index: 0, message, finish_reason: finish }], usage };
}

export class Host {
  http = new Http();
  llm = new Llm();
  memory = new Memory();
  kv = { agent: {}, conversation: {} };
  tools = [];
  entries = {};
  log = [];
  calls = [];

  // Calls an agent as a run does, and returns what it answers; an error of the run is thrown as an
  // Error whose `cause` is the JSON that the host would get.
  run(module, event) {
    globalThis.onecopyHost = this;
    try {
      const handle = world(typeof module === "function" ? { handle: module } : module);
      return JSON.parse(handle(JSON.stringify(event)));
    } catch (error) {
      if (typeof error !== "string") throw error;
      const ended = JSON.parse(error);
      throw new Error(ended.message, { cause: ended });
    } finally {
      delete globalThis.onecopyHost;
    }
  }

  call(interface_, name, given) {
    if (interface_ === "log") return void this.log.push(name === "step" ? ["step", ...given] : given);
    this.calls.push([`${interface_}.${name}`, given]);
    return this[`_${interface_}`](name, given);
  }

  _http(name, [request]) {
    return this.http[name](request);
  }

  _llm(name, [text]) {
    return this.llm[name](text);
  }

  _memory(name, given) {
    return this.memory[name](...given);
  }

  _kv(name, [scope, key, value]) {
    const values = this.kv[scope];
    if (name === "get") return values[key] ?? null;
    if (name === "keys") return Object.keys(values).filter((each) => each.startsWith(key)).sort();
    if (name === "set") values[key] = value;
    else delete values[key];
    return undefined;
  }

  _tools(name, [tool, text]) {
    if (name === "describe") {
      return JSON.stringify(this.tools.map(({ run, ...shown }) => ({ type: "function", function: shown })));
    }
    const found = this.tools.find((each) => each.name === tool);
    if (!found) throw notGranted(`[[grants.tools]] name = "${tool}"`);
    const result = found.run(JSON.parse(text));
    return typeof result === "string" ? result : JSON.stringify(result);
  }

  _entries(name, [entry]) {
    if (name === "names") return Object.keys(this.entries).filter((each) => each.startsWith(entry));
    if (!(entry in this.entries)) throw notGranted(`[grants.entries] names = ["${entry}"]`);
    return name === "read" ? this.entries[entry] : JSON.stringify(this.entries[entry]);
  }
}
