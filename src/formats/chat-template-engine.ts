/** @file Makes the npm Jinja engine do what transformers' does: generation marks, a given day, Python's `strip`. It knows nothing about chats. */
import { Template } from "@huggingface/jinja";

// Noncharacters: Unicode reserves them for use inside a program, so texts have no business with them.
/** Stand in rendered text where `{% generation %}` and `{% endgeneration %}` were. */
export const generationBegin = "\ufdd0";
export const generationEnd = "\ufdd1";

const tag = /\{%(-?)\s*(end)?generation\s*(-?)%\}/g;
const comment = /\{#.*?#\}/gs;

/** True where a template marks what the assistant writes. */
export const hasGenerationTags = (source: string): boolean => source.replaceAll(comment, "").search(tag) !== -1;

/** The engine drops the tags, so each becomes a block that writes a mark and trims the blanks around it in the same way. */
const withMarks = (source: string): string =>
  source
    .replaceAll(comment, (text) => text.replaceAll(tag, ""))
    .replaceAll(tag, (_tag, left: string, closing: string | undefined, right: string) => {
      const mark = closing === undefined ? generationBegin : generationEnd;
      return `{%${left} if true %}${mark}{% endif ${right}%}`;
    });

const twoDigits = (value: number): string => String(value).padStart(2, "0");

// The engine's own follows the machine's language and clock, and a run must not change when it is resumed elsewhere on another day.
const strftime = (date: Date, format: string): string => {
  const named = (options: Intl.DateTimeFormatOptions): string => new Intl.DateTimeFormat("en-US", options).format(date);
  const parts: Readonly<Record<string, () => string>> = {
    Y: () => String(date.getFullYear()),
    y: () => twoDigits(date.getFullYear() % 100),
    m: () => twoDigits(date.getMonth() + 1),
    d: () => twoDigits(date.getDate()),
    b: () => named({ month: "short" }),
    B: () => named({ month: "long" }),
    a: () => named({ weekday: "short" }),
    A: () => named({ weekday: "long" }),
    H: () => twoDigits(date.getHours()),
    M: () => twoDigits(date.getMinutes()),
    S: () => twoDigits(date.getSeconds()),
    "%": () => "%",
  };
  return format.replaceAll(/%(.)/g, (text, letter: string) => parts[letter]?.() ?? text);
};

// What Python's str.strip takes for blank; JavaScript's trim takes U+FEFF too and leaves U+0085 and U+001C to U+001F.
const blanks =
  "\t\n\v\f\r\u001c\u001d\u001e\u001f \u0085\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000";

type Strip = (text: unknown, characters?: unknown) => string;

const pythonStrip =
  (left: boolean, right: boolean): Strip =>
  (text, characters = blanks) => {
    if (typeof text !== "string" || typeof characters !== "string") throw new TypeError("strip() takes texts");
    const letters = Array.from(text);
    let start = 0;
    let end = letters.length;
    if (left) while (start < end && characters.includes(letters[start])) start++;
    if (right) while (end > start && characters.includes(letters[end - 1])) end--;
    return letters.slice(start, end).join("");
  };

/** Functions that take the place of the engine's methods, which ignore their arguments, and of the filter `trim`. */
const methods: Readonly<Record<string, Strip>> = {
  strip: pythonStrip(true, true),
  lstrip: pythonStrip(true, false),
  rstrip: pythonStrip(false, true),
  trim: pythonStrip(true, true),
};

const functionOf = (method: string): string => `python_${method}`;
const dateFunction = "strftime_of_date";

interface Node {
  type?: string;
  value?: unknown;
  callee?: Node;
  property?: Node;
  object?: Node;
  filter?: Node;
  operand?: Node;
  args?: Node[];
}

const call = (node: Node, name: Node, args: Node[]): void => {
  name.value = functionOf(String(name.value));
  Object.assign(node, { type: "CallExpression", callee: name, args });
};

const names = (node: Node | undefined, ...wanted: readonly string[]): node is Node =>
  node?.type === "Identifier" && wanted.includes(String(node.value));

/** Turns `text.strip(characters)` and `text | trim` into calls of ours, everywhere in a parsed template. */
const replaceMethods = (node: Node): void => {
  const { property, object } = (node.type === "CallExpression" && node.callee) || {};
  if (names(property, "strip", "lstrip", "rstrip")) call(node, property, [object!, ...node.args!]);
  if (node.type === "FilterExpression" && names(node.filter, "trim")) call(node, node.filter, [node.operand!]);
  const children = node instanceof Map ? [...node.entries()].flat() : Object.values(node);
  for (const child of children) if (typeof child === "object" && child !== null) replaceMethods(child as Node);
};

/** A parsed template as a function of its variables and the day that it takes for today. */
export const compileTemplate = (source: string): ((variables: Readonly<Record<string, unknown>>, date: Date) => string) => {
  const template = new Template(withMarks(source).replaceAll(/\bstrftime_now\b/g, dateFunction));
  replaceMethods(template.parsed as Node);
  const functions = Object.fromEntries(Object.entries(methods).map(([name, method]) => [functionOf(name), method]));
  return (variables, date) => template.render({ ...functions, [dateFunction]: (format: string) => strftime(date, format), ...variables });
};
