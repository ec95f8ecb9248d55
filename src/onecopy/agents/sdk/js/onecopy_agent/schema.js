// Whether a value fits a JSON Schema, as far as tools need it: types, fields, items, choices.

const IS = {
  string: (value) => typeof value === "string",
  integer: Number.isInteger,
  number: (value) => typeof value === "number",
  boolean: (value) => typeof value === "boolean",
  null: (value) => value === null,
  array: Array.isArray,
  object: (value) => typeof value === "object" && value !== null && !Array.isArray(value),
};

// Returns where it does not fit and why; the empty text where it fits.
export function mismatch(value, schema, at = "") {
  const name = at || "the value";
  if (schema.anyOf) {
    return schema.anyOf.some((each) => !mismatch(value, each, at)) ? "" : `${name} fits none of its types`;
  }
  if (schema.enum) return schema.enum.includes(value) ? "" : `${name} is none of ${schema.enum}`;
  const kinds = [schema.type ?? []].flat();
  if (kinds.length && !kinds.some((each) => IS[each]?.(value))) return `${name} is no ${kinds.join(" or ")}`;
  if (Array.isArray(value)) return first(value, (each, i) => mismatch(each, schema.items ?? {}, `${at}[${i}]`));
  return IS.object(value) ? ofFields(value, schema, at) : "";
}

function ofFields(value, { properties = {}, required = [], additionalProperties: others = {} }, at) {
  const name = at || "the value";
  const missing = required.find((each) => !Object.hasOwn(value, each));
  if (missing !== undefined) return `${name} lacks '${missing}'`;
  return first(Object.entries(value), ([key, each]) => {
    const known = Object.hasOwn(properties, key) ? properties[key] : others;
    if (known === false) return `${name} has an unknown '${key}'`;
    return typeof known === "object" ? mismatch(each, known, at ? `${at}.${key}` : key) : "";
  });
}

function first(values, wrong) {
  for (const [i, each] of values.entries()) {
    const found = wrong(each, i);
    if (found) return found;
  }
  return "";
}
