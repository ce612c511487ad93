/** @file Writes JSON whose numbers look as they did in the text that they were read from. It knows nothing about what keys mean. */
import { isObject, sortedJson } from "./json.ts";

const token = /"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*|[{}[\],:]/g;

/** The numbers of a JSON text whose spelling is not JavaScript's own, such as 30.0 and 1e-05, by their path. */
const spellings = (json: string): Map<string, string> => {
  const found = new Map<string, string>();
  const path: (string | number)[] = [];
  let key = "";
  const place = (): string => JSON.stringify(path);
  for (const [part] of json.matchAll(token)) {
    if (part === "{") path.push("");
    else if (part === "[") path.push(0);
    else if (part === "}" || part === "]") path.pop();
    else if (part === "," && typeof path.at(-1) === "number") path[path.length - 1] = Number(path.at(-1)) + 1;
    else if (part === ":") path[path.length - 1] = key;
    else if (part.startsWith('"')) key = JSON.parse(part) as string;
    else if (part !== "," && part !== JSON.stringify(Number(part))) found.set(place(), part);
  }
  return found;
};

/**
 * The same as `sortedJson`, but a number that `original` has at the same place with the same value is spelled as there. Readers with
 * types take 30.0 for a float and 30 for an integer.
 */
export const spelledJson = (value: Readonly<Record<string, unknown>>, original: string): string => {
  const texts = spellings(original);
  // Stands around a number's own text until the whole is written, and nowhere else in it.
  let mark = "\u0000";
  while (JSON.stringify(value).includes(JSON.stringify(mark).slice(1, -1))) mark += "\u0000";
  const marked = (part: unknown, path: readonly (string | number)[]): unknown => {
    if (typeof part === "number") {
      const text = texts.get(JSON.stringify(path));
      return text !== undefined && Number(text) === part ? `${mark}${text}${mark}` : part;
    }
    if (Array.isArray(part)) return part.map((one, index) => marked(one, [...path, index]));
    if (isObject(part)) return Object.fromEntries(Object.entries(part).map(([key, one]) => [key, marked(one, [...path, key])]));
    return part;
  };
  const escaped = JSON.stringify(mark).slice(1, -1).replaceAll("\\", "\\\\");
  return sortedJson(marked(value, []) as Record<string, unknown>).replaceAll(new RegExp(`"${escaped}([^"]*)${escaped}"`, "g"), "$1");
};
