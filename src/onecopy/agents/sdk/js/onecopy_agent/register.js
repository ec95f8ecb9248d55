// For Node's --import: the imports of a component lead to the host of a test, and `onecopy_agent`
// to this folder.

import { register } from "node:module";

const hooks = `
const home = ${JSON.stringify(new URL("./", import.meta.url).href)};
const own = { onecopy_agent: "index.js", "onecopy_agent/testing": "testing.js" };

export async function resolve(specifier, context, next) {
  const host = /^onecopy:agent\\/(\\w+)@/.exec(specifier);
  if (host) return { url: "onecopy-host:" + host[1], shortCircuit: true };
  if (specifier in own) return { url: home + own[specifier], shortCircuit: true };
  return next(specifier, context);
}

export async function load(url, context, next) {
  if (!url.startsWith("onecopy-host:")) return next(url, context);
  const name = JSON.stringify(url.slice("onecopy-host:".length));
  const source =
    "export default new Proxy({}, { get: (_, each) => (...given) => { " +
    "const host = globalThis.onecopyHost; " +
    "if (!host) throw new Error('this needs a host: call the agent by Host.run'); " +
    "return host.call(" + name + ", each, given); } });";
  return { format: "module", source, shortCircuit: true };
}
`;

register(`data:text/javascript,${encodeURIComponent(hooks)}`);
