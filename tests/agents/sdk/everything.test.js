// everything.js under Node, with the host for tests: as test_component.py has it in WebAssembly.

import assert from "node:assert/strict";
import { test } from "node:test";

import { NotGranted, plan, tool, Unavailable } from "onecopy_agent";
import { completion, Host, toolCall } from "onecopy_agent/testing";

import * as agent from "./everything.js";

function given() {
  const host = new Host();
  const parameters = { type: "object" };
  host.tools.push({ name: "shout", parameters, run: ({ text }) => text.toUpperCase() });
  host.entries = { "docs/a": "A", other: "B" };
  host.http.serve((sent) => {
    if (sent.url === "https://other.test/") throw new NotGranted("add to agent.toml: …");
    return { status: 201, headers: { "X-A": "1" }, json: { sent: sent.json(), url: sent.url } };
  });
  host.llm.reply("hi", completion("", [toolCall("twice", { number: 4 })]), "eight");
  return host;
}

test("every function of the host is reached", () => {
  const host = given();
  const { random, ...answer } = host.run(agent, { id: "1", kind: "all" });
  assert.ok(random > 0 && random < 1);
  assert.deepEqual(answer, {
    kv: [[1], "none", ["a"]],
    hit: ["a red bird", { page: 3 }, true],
    http: [201, "1", { sent: { k: "ü" }, url: "https://x.test/y?q=a%20b" }],
    refusal: "add to agent.toml: …",
    entries: [["docs/a"], "A", "A"],
    tools: [["shout"], "HI"],
    llm: "hi",
    plan: "eight",
  });
  assert.deepEqual(host.log, [["step", "all"], ["warning", "ä"], ["step", "tool twice"]]);
  assert.equal(host.llm.requests.at(-1).messages.at(-1).content, "8");
});

test("what was not given is not granted", () => {
  const ended = (run) => {
    try {
      run();
    } catch (error) {
      return error.cause;
    }
    return null;
  };
  const told = ended(() => new Host().run(agent, { kind: "all" }));
  assert.equal(told.kind, "NotGranted");
  const later = ended(() => new Host().run(agent, { kind: "later" }));
  assert.deepEqual(later, { message: "not now", kind: "Retry", retry_after: 7 });
});

test("mistakes of a model are told to it", () => {
  const parameters = {
    type: "object",
    properties: { number: { type: "integer" }, unit: { enum: ["m", "km"] } },
    required: ["number"],
    additionalProperties: false,
  };
  const double = tool("double", "", parameters, ({ number }) => 2 * number);
  for (const [given, said] of [
    ["{cut", "the arguments are no JSON object"],
    [{}, "the value lacks 'number'"],
    [{ number: 1.5 }, "number is no integer"],
    [{ number: 1, unit: "mile" }, "unit is none of m,km"],
    [{ number: 1, size: 1 }, "the value has an unknown 'size'"],
  ]) {
    const host = new Host();
    host.llm.reply(completion("", [toolCall("double", given)]), "sorry");
    const { steps } = host.run(() => plan.act("…", [double]), {});
    assert.deepEqual([steps[0].result, steps[0].failed], [`error: double: ${said}`, true]);
  }
});

test("answers come in their order and the last one stays", () => {
  const host = new Host();
  host.http.reply("GET", "https://x.test/", { error: new Unavailable("down") });
  host.http.reply("GET", "https://x.test/", { status: 204 });
  assert.throws(() => host.http.send({ method: "GET", url: "https://x.test/", headers: [] }));
  for (let n = 0; n < 2; n++) {
    const reply = host.http.send({ method: "GET", url: "https://x.test/", headers: [] });
    assert.equal(reply.status, 204);
  }
});
