// An agent that returns at once, or asks for a value first, and waits.

import { kv } from "onecopy_agent";

export function handle(event) {
  return event.payload === "wait" ? kv.agent.get("key") : {};
}
