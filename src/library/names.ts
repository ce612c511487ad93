/** @file The words for adapters: names, versions, aliases, digests and tags, and what they may look like. It knows nothing about where adapters lie. */
import { LowrankError } from "../util/index.ts";

/** What a text such as `tales`, `tales@2`, `tales:prod` or `sha256:3f2a…` asks for. */
export type AdapterReference =
  | { readonly kind: "latest"; readonly name: string }
  | { readonly kind: "version"; readonly name: string; readonly version: number }
  | { readonly kind: "alias"; readonly name: string; readonly alias: string }
  /** The first digits of a digest, after `sha256:`. */
  | { readonly kind: "digest"; readonly digits: string };

/** The alias that every name has: its highest version. */
export const latest = "latest";

const namePattern = /^[A-Za-z0-9][\w.-]*(\/[A-Za-z0-9][\w.-]*)*$/;
const aliasPattern = /^[A-Za-z][\w.-]*$/;
const longestName = 128;
const longestTag = 256;
const greatestVersion = 999_999_999;

/** True for what an adapter may be called: letters, digits, `.`, `_`, `-`, in parts between slashes. */
export const isName = (text: string): boolean => text.length <= longestName && namePattern.test(text);

/** True for what an alias may be called. */
export const isAlias = (text: string): boolean => text.length <= longestName && aliasPattern.test(text);

/** True for the numbers that versions have. */
export const isVersionNumber = (value: unknown): value is number =>
  Number.isInteger(value) && (value as number) >= 1 && (value as number) <= greatestVersion;

/** Reads a reference; undefined for a text that cannot be one. */
export const parseReference = (text: string): AdapterReference | undefined => {
  const digits = /^(?:sha256:([0-9a-f]{6,64})|([0-9a-f]{64}))$/.exec(text);
  if (digits !== null) return { kind: "digest", digits: digits[1] ?? digits[2] };
  const [, name, mark, rest] = /^([^@:]+)(?:([@:])([^@:]+))?$/.exec(text) ?? [];
  if (name === undefined || !isName(name)) return undefined;
  if (mark === undefined) return { kind: "latest", name };
  if (mark === "@") return /^[1-9]\d{0,8}$/.test(rest) ? { kind: "version", name, version: Number(rest) } : undefined;
  if (rest === latest) return { kind: "latest", name };
  return isAlias(rest) ? { kind: "alias", name, alias: rest } : undefined;
};

const refuse = (what: string, text: string, fix: string): never => {
  // A hostile name may be endless or hold anything.
  const shown = JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text);
  throw new LowrankError("invalid-argument", `${shown} cannot be ${what}.`, { fix });
};

/** The name itself, or an `invalid-argument` error. */
export const checkName = (text: string): string =>
  isName(text)
    ? text
    : refuse(
        "the name of an adapter",
        text,
        `Use letters, digits, ".", "_" and "-", in parts between slashes, ${longestName} characters at most.`,
      );

/** The alias itself, or an `invalid-argument` error; `latest` is always the highest version and cannot be set. */
export const checkAlias = (text: string): string => {
  if (text === latest) return refuse("set as an alias", text, "It always stands for the highest version.");
  return isAlias(text) ? text : refuse("an alias", text, 'Use a letter, then letters, digits, ".", "_" and "-".');
};

/** A tag's key and value; plain tags have the value "". */
export const splitTag = (tag: string): readonly [key: string, value: string] => {
  const at = tag.indexOf("=");
  return at === -1 ? [tag, ""] : [tag.slice(0, at), tag.slice(at + 1)];
};

/** True for `key=value` or a plain word, on one line. */
export const isTag = (text: string): boolean =>
  text.length <= longestTag && /^[^\s=\p{Cc}][^=\p{Cc}]*(=[^\p{Cc}]+)?$/u.test(text) && text.trim() === text;

/** The tag itself, `key=value` or plain, or an `invalid-argument` error. */
export const checkTag = (text: string): string =>
  isTag(text) ? text : refuse("a tag", text, `Use a word or key=value on one line, ${longestTag} characters at most.`);
