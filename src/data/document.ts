/** @file A text, or a pair of them, as token ids with the special tokens that the tokenizer puts around them. It knows nothing about labels. */
import type { Tokenizer } from "../formats/index.ts";
import { LowrankError } from "../util/index.ts";

/** One text, or two that belong together. */
export type Texts = readonly [first: string, second?: string];

export interface Document {
  readonly ids: Int32Array;
  /** Kinds of the tokens, such as 0 for the first text and 1 for the second. */
  readonly types: Int32Array;
  /** Tokens that were too many. */
  readonly cutTokens: number;
}

/** Lengths of two parts that fit into `room` together: the longer one is cut down to the other, then both, as the tokenizers library does. */
const fittingLengths = (first: number, second: number, room: number): readonly [number, number] => {
  const [shorter, longer] = [Math.min(first, second), Math.max(first, second)];
  const kept = Math.min(longer, Math.max(shorter, room - shorter));
  const [small, large] = shorter + kept <= room ? [shorter, kept] : [Math.floor(room / 2), Math.ceil(room / 2)];
  return first <= second ? [small, large] : [large, small];
};

/** Where a part begins in the whole, at or after a place. */
const findPart = (whole: readonly number[], part: readonly number[], from: number): number => {
  for (let at = from; at + part.length <= whole.length; at++) if (part.every((id, index) => whole[at + index] === id)) return at;
  return -1;
};

/**
 * Encodes texts as a classifier reads them, cut to `maxLength` tokens; special tokens at the end stay. Throws `invalid-argument` where they
 * alone are more.
 */
export const encodeDocument = (tokenizer: Tokenizer, [first, second]: Texts, maxLength: number): Document => {
  const { ids, types } = tokenizer.encodePair(first, second);
  if (ids.length <= maxLength) return { ids: Int32Array.from(ids), types: Int32Array.from(types), cutTokens: 0 };
  const parts = [first, second ?? ""].map((text) => tokenizer.encode(text, { specialTokens: false }));
  const at = findPart(ids, parts[0], 0);
  const then = findPart(ids, parts[1], at + parts[0].length);
  const room = maxLength - (ids.length - parts[0].length - parts[1].length);
  if (room < 1 || at === -1 || then === -1)
    throw new LowrankError("invalid-argument", `A text cannot be cut to ${maxLength} tokens.`, { fix: "Raise the length." });
  // The library cuts each text by itself first, so that two long ones count as equal.
  const [a, b] = fittingLengths(Math.min(parts[0].length, maxLength), Math.min(parts[1].length, maxLength), room);
  const cut = (values: readonly number[]): Int32Array =>
    Int32Array.of(...values.slice(0, at + a), ...values.slice(at + parts[0].length, then + b), ...values.slice(then + parts[1].length));
  return { ids: cut(ids), types: cut(types), cutTokens: ids.length - maxLength };
};
