/**
 * @file Guesses the next tokens from what followed the same tokens before, and reads them in one run with the token that is asked for
 * [Leviathan et al. 2023, with the text's own n-grams as the draft: Yang et al. 2023, LLMA, §3]. It knows nothing about choosing tokens.
 */
import type { Model } from "../models/index.ts";
import { LowrankError } from "../util/index.ts";
import { checkRewind, type Decoder } from "./decoder.ts";

/** The longest n-gram that has come before decides. */
const sizes = [3, 2];

/** What followed the same tokens before. */
export interface Drafts {
  /** The tokens so far. */
  readonly ids: readonly number[];
  push(id: number): void;
  /** Up to `count` tokens that may come next; none where nothing like the end has come before. */
  next(count: number): number[];
}

/** Starts from some tokens. */
export const ngramDrafts = (start: readonly number[] = []): Drafts => {
  const ids: number[] = [];
  const followers = new Map<string, number>(); // where what followed an n-gram begins, the latest time
  const ending = (size: number): string => ids.slice(-size).join();
  const push = (id: number): void => {
    for (const size of sizes) if (ids.length >= size) followers.set(ending(size), ids.length);
    ids.push(id);
  };
  for (const id of start) push(id);
  return {
    ids,
    push,
    next: (count) => {
      const size = sizes.find((each) => ids.length >= each && followers.has(ending(each)));
      if (size === undefined) return [];
      const first = followers.get(ending(size))!;
      const draft: number[] = [];
      // A pattern that reaches the end goes on in what is drafted of it.
      while (draft.length < count) draft.push(ids[first + draft.length] ?? draft[first + draft.length - ids.length]);
      return draft;
    },
  };
};

/** Refuses numbers of guesses that are none, and models whose decoders give no logits between tokens. */
export const checkSpeculates = (count: number, { type, decoderStart, cacheBoundary }: Model): void => {
  if (!(Number.isInteger(count) && count >= 0))
    throw new LowrankError("invalid-argument", `The value ${count} is not allowed.`, {
      where: "speculate",
      fix: "Give a whole number from 0 up.",
    });
  const why = decoderStart !== undefined ? "has an encoder" : "turns its keys by the length of the text";
  if (count > 0 && (decoderStart !== undefined || cacheBoundary !== undefined))
    throw new LowrankError("unsupported", `Tokens cannot be guessed ahead for this ${type}, which ${why}.`, {
      where: "speculate",
      fix: "Generate without it.",
    });
};

export interface SpeculationOptions {
  /** Tokens that are guessed ahead. */
  readonly count: number;
  /** Tokens that the decoder has room for. */
  readonly longest: number;
}

/**
 * A decoder with the same logits in fewer runs where texts repeat themselves: each run reads guessed tokens beside the one that is appended,
 * and those of them that are appended next are there already.
 */
export const speculativeDecoder = (decoder: Decoder, { count, longest }: SpeculationOptions): Decoder => {
  let drafts = ngramDrafts();
  // What has been read beyond the tokens: the guesses, and the logits after each.
  let ahead: { readonly id: number; readonly logits: Float32Array }[] = [];

  const read = async (id: number): Promise<Float32Array> => {
    drafts.push(id);
    // Each number of guesses is a program of its own, so there are `count` or none.
    const guesses = drafts.ids.length + count > longest ? [] : drafts.next(count);
    if (guesses.length === 0) return decoder.append([id]);
    const [logits, ...after] = await decoder.appendEach!([id, ...guesses]);
    ahead = guesses.map((guess, index) => ({ id: guess, logits: after[index] }));
    return logits;
  };
  return {
    get length() {
      return drafts.ids.length;
    },
    continues: decoder.continues,
    append: async (ids) => {
      const [guess, ...rest] = ahead;
      if (ids.length === 1 && guess?.id === ids[0]) {
        ahead = rest;
        drafts.push(ids[0]);
        return guess.logits;
      }
      ahead = [];
      decoder.rewind(drafts.ids.length);
      if (ids.length === 1 && drafts.ids.length > 0) return read(ids[0]);
      const logits = await decoder.append(ids);
      for (const id of ids) drafts.push(id);
      return logits;
    },
    rewind: (to) => {
      checkRewind(drafts.ids.length, to);
      if (to === drafts.ids.length) return;
      ahead = [];
      drafts = ngramDrafts(drafts.ids.slice(0, to));
      decoder.rewind(to);
    },
    dispose: () => decoder.dispose(),
  };
};
