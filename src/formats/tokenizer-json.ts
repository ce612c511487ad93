/** @file The parts of `tokenizer.json` that are read here, and the questions asked of them. It knows nothing about texts. */
import { LowrankError } from "../util/index.ts";
import { byteAlphabet } from "./tokenizer-bytes.ts";
import { isObject } from "./json.ts";

/** A pre-tokenizer, decoder or normalizer: its type, its own settings, and its parts where it is a sequence. */
export interface Component {
  readonly type: string;
  readonly [setting: string]: unknown;
}

export interface AddedToken {
  readonly id: number;
  readonly content: string;
  readonly special: boolean;
  /** Whether the spaces before it, or behind it, belong to it. */
  readonly lstrip?: boolean;
  readonly rstrip?: boolean;
}

export interface TokenizerJson {
  readonly model: Component;
  readonly added_tokens: readonly AddedToken[];
  readonly normalizer: Component | null;
  readonly pre_tokenizer: Component | null;
  readonly post_processor: Component | null;
  readonly decoder: Component | null;
}

const partNames = ["normalizers", "pretokenizers", "decoders"];

/** The components of a sequence, nested ones included, in order; one that is no sequence by itself; none for null. */
export const flatten = (component: Component | null): readonly Component[] => {
  if (component === null) return [];
  if (component.type !== "Sequence") return [component];
  return partNames.flatMap((name) => (component[name] as readonly Component[] | undefined) ?? []).flatMap(flatten);
};

/** The text of a pattern such as `{ "String": " " }`; undefined for a regular expression. */
export const patternText = (component: Component): string | undefined => (component["pattern"] as { String?: string } | undefined)?.String;

/** Every piece of the model's vocabulary with its id, whether it is stored as an object or as a list of pieces with scores. */
export const vocabularyOf = (model: Component): readonly (readonly [string, number])[] => {
  const vocabulary = model["vocab"];
  if (Array.isArray(vocabulary)) return (vocabulary as [string, number][]).map(([piece], id) => [piece, id]);
  return Object.entries(vocabulary as Record<string, number>);
};

/** True where pieces are spelled in the byte-level alphabet. */
export const isByteLevel = ({ decoder, pre_tokenizer: preTokenizer }: TokenizerJson): boolean =>
  [...flatten(decoder), ...flatten(preTokenizer)].some(({ type }) => type === "ByteLevel");

/** True where `▁` in pieces stands for a space. */
export const marksSpaces = ({ decoder, pre_tokenizer: preTokenizer }: TokenizerJson): boolean =>
  [...flatten(decoder), ...flatten(preTokenizer)].some((component) => component.type === "Metaspace" || patternText(component) === "▁");

/** Characters of the byte-level alphabet that a vocabulary without an unknown token lacks; such bytes of a text are dropped. */
export const missingCharacters = (tokenizer: TokenizerJson): readonly string[] => {
  const { model } = tokenizer;
  if (!isByteLevel(tokenizer) || typeof model["unk_token"] === "string") return [];
  const pieces = new Set(vocabularyOf(model).map(([piece]) => piece));
  return [...byteAlphabet.keys()].filter((character) => !pieces.has(character));
};

const isComponent = (value: unknown): value is Component => isObject(value) && typeof value["type"] === "string";

const isAddedToken = (value: unknown): boolean =>
  isObject(value) && Number.isSafeInteger(value["id"]) && (value["id"] as number) >= 0 && typeof value["content"] === "string";

/** Checks the shape of a parsed `tokenizer.json` and fills in what may be left out. */
export const tokenizerJson = (json: Readonly<Record<string, unknown>>, where: string): TokenizerJson => {
  const wrong = (what: string): LowrankError =>
    new LowrankError("invalid-file", what, {
      where,
      fix: "Download it again, or save it with a current version of the tokenizers library.",
    });
  const component = (name: string): Component | null => {
    const value = json[name] ?? null;
    if (value !== null && !isComponent(value)) throw wrong(`"${name}" is not an object with a "type".`);
    return value;
  };
  const model = json["model"];
  if (!isObject(model) || !(isObject(model["vocab"]) || Array.isArray(model["vocab"]))) throw wrong(`"model" has no "vocab".`);
  const added = json["added_tokens"] ?? [];
  if (!Array.isArray(added) || !added.every(isAddedToken)) throw wrong(`"added_tokens" is not a list of tokens with "id" and "content".`);
  return {
    ...json,
    // Files older than the library's version 0.13 name no type; merges tell BPE from WordPiece.
    model: { type: "merges" in model ? "BPE" : "WordPiece", ...model },
    added_tokens: added.map((token: AddedToken) => ({ ...token, special: token.special ?? false })),
    normalizer: component("normalizer"),
    pre_tokenizer: component("pre_tokenizer"),
    post_processor: component("post_processor"),
    decoder: component("decoder"),
  };
};
