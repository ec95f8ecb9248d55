// The agent's logic, tested without WebAssembly: `onecopy agent test`.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { Host } from "onecopy_agent/testing";

import * as agent from "./agent.js";

const payload = JSON.parse(readFileSync(new URL("event.json", import.meta.url), "utf8"));

test("questions are counted", () => {
  const host = new Host();
  const event = { kind: "question", payload, settings: { greeting: "Hello" } };
  const first = host.run(agent, event);
  const second = host.run(agent, event);
  assert.deepEqual(first, { answer: "Hello, Ada!", questions: 1 });
  assert.equal(second.questions, 2);
  assert.deepEqual(host.log.at(-1), ["info", "question 2 of Ada"]);
});
