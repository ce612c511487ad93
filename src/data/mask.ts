/** @file Texts with supervised ranges as token ids with a mask; BOS and end tokens are put where the tokenizer puts them, once. It knows nothing about files. */
import type { Tokenizer } from "../formats/index.ts";
import { LowrankError } from "../util/index.ts";
import type { LossMode, Segment } from "./formats/parsed.ts";

/** A range of characters, in UTF-16 indices. */
export type Span = readonly [start: number, end: number];

export interface Masked {
  readonly ids: Int32Array;
  readonly supervised: Uint8Array;
  /** True where a token holds the last characters before a supervised range and the first ones in it. */
  readonly straddles: boolean;
}

const overlaps = (start: number, end: number, [from, until]: Span): boolean =>
  start === end ? from <= start && start < until : start < until && end > from;

/** Ids of a text with a mask: a token is supervised if any of its characters is in a range. */
const maskedTokens = (
  tokenizer: Tokenizer,
  text: string,
  spans: readonly Span[],
  loss: LossMode,
): { ids: number[]; flags: number[]; straddles: boolean } => {
  if (loss === "all") {
    const ids = tokenizer.encode(text, { specialTokens: false });
    return { ids, flags: ids.map(() => 1), straddles: false };
  }
  const { ids, starts, ends } = tokenizer.encodeWithOffsets(text);
  const flags = ids.map((_id, token) => Number(spans.some((span) => overlaps(starts[token], ends[token], span))));
  const straddles = ids.some((_id, token) => spans.some(([from]) => starts[token] < from && from < ends[token]));
  return { ids, flags, straddles };
};

/** Puts BOS in front where the tokenizer does and the text does not have it yet. The first token is never predicted. */
const finished = (tokenizer: Tokenizer, ids: number[], flags: number[], straddles: boolean): Masked => {
  const { addsBos, bosId } = tokenizer;
  if (addsBos && ids[0] !== bosId) {
    ids.unshift(bosId!);
    flags.unshift(0);
  }
  if (flags.length > 0) flags[0] = 0;
  return { ids: Int32Array.from(ids), supervised: Uint8Array.from(flags), straddles };
};

/** A rendered chat: special tokens are what the template writes. */
export const maskText = (tokenizer: Tokenizer, text: string, spans: readonly Span[], loss: LossMode): Masked => {
  const { ids, flags, straddles } = maskedTokens(tokenizer, text, spans, loss);
  return finished(tokenizer, ids, flags, straddles);
};

/** Parts that are encoded as one text; the end token follows, supervised as the last part is. */
export const maskSegments = (tokenizer: Tokenizer, segments: readonly Segment[], loss: LossMode): Masked => {
  const spans: Span[] = [];
  let text = "";
  for (const segment of segments) {
    if (segment.supervised) spans.push([text.length, text.length + segment.text.length]);
    text += segment.text;
  }
  // What is supervised as a whole need not be traced to its characters.
  const { ids, flags, straddles } = maskedTokens(tokenizer, text, spans, spans.length === segments.length ? "all" : loss);
  const { eosId } = tokenizer;
  if (eosId === undefined)
    throw new LowrankError("invalid-file", "The tokenizer names no end token, so a model could never learn to stop.", {
      fix: `Add "eos_token" to tokenizer_config.json.`,
    });
  if (ids.at(-1) !== eosId) {
    ids.push(eosId);
    flags.push(1);
  }
  return finished(tokenizer, ids, flags, straddles);
};
