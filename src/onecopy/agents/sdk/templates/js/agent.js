// NAME: an agent in JavaScript. It reaches only what agent.toml grants.

import { kv, log } from "onecopy_agent";

// Answers one event; what comes back is JSON.
export function handle(event) {
  log.step("count");
  const count = kv.conversation.get("count", 0) + 1;
  kv.conversation.set("count", count);

  log.step("answer");
  const { person } = event.payload;
  log.info(`question ${count} of ${person}`);
  return { answer: `${event.settings.greeting}, ${person}!`, questions: count };
}
