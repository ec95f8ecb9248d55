// As everything.py.
import {
  entries, http, kv, llm, log, memory, NotGranted, plan, Retry, tool, tools,
} from "onecopy_agent";

const twice = tool(
  "twice",
  "The double of a number.",
  { type: "object", properties: { number: { type: "integer" } }, required: ["number"] },
  ({ number }) => 2 * number,
);

function refused() {
  try {
    return http.get("https://other.test/");
  } catch (error) {
    if (error instanceof NotGranted) return error.message;
    throw error;
  }
}

export function handle(event) {
  if (event.kind === "later") throw new Retry(7, "not now");
  if (event.kind === "broken") return null.x;
  log.step("all");
  log.warning("ä");
  kv.agent.set("a", [1]);
  kv.conversation.set("b", null);
  kv.conversation.delete("b");
  const id = memory.add("notes", "a red bird", { page: 3 });
  const [hit] = memory.search("notes", "red", 1);
  memory.forget("notes", id);
  const response = http.post("https://x.test/y", { query: { q: "a b" }, json: { k: "ü" } });
  return {
    kv: [kv.agent.get("a"), kv.conversation.get("b", "none"), kv.agent.keys("a")],
    hit: [hit.text, hit.metadata, hit.score > 0],
    http: [response.status, response.header("X-A"), response.json()],
    refusal: refused(),
    entries: [entries.names("docs/"), entries.describe("docs/a"), entries.read("docs/a")],
    tools: [tools.granted().map((each) => each.name), tools.call("shout", { text: "hi" })],
    llm: llm.chat("hello").text,
    plan: plan.act("double 4", [twice]).text,
    random: Math.random(),
  };
}
