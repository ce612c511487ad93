/** @file Finds which characters of a text each token stands for, from the bytes that the tokens stand for. It knows nothing about how texts are split. */
import { LowrankError } from "../util/index.ts";

/** Characters of each token in UTF-16 indices; equal start and end for a token that stands for none, such as an added space. */
export interface Offsets {
  readonly starts: readonly number[];
  readonly ends: readonly number[];
}

/** A text as the bytes that tokens are compared with; byte i comes from the characters [starts[i], ends[i]) of the text. */
export interface SourceBytes {
  readonly bytes: Uint8Array;
  readonly starts: Int32Array;
  readonly ends: Int32Array;
}

const utf8 = new TextEncoder();
const space = 0x20;

/** UTF-8, with a short cut for the single ASCII characters that most texts are made of. */
const encode = (text: string): Iterable<number> => {
  const code = text.charCodeAt(0);
  return text.length === 1 && code < 0x80 ? [code] : utf8.encode(text);
};

export interface SourceOptions {
  /** What the tokenizer does to characters first; a letter and the marks on it are normalized together. */
  readonly normalize?: (characters: string) => string;
  /** True where `▁` stands for a space. */
  readonly marks: boolean;
  /** Bytes that the vocabulary cannot express and that the tokenizer therefore drops. */
  readonly missing: ReadonlySet<number>;
}

/** The bytes of a text as a vocabulary sees them. */
export const sourceBytes = (text: string, { normalize, marks, missing }: SourceOptions): SourceBytes => {
  const bytes: number[] = [];
  const starts: number[] = [];
  const ends: number[] = [];
  let index = 0;
  for (const [characters] of text.matchAll(normalize === undefined ? /[^]/gu : /[^]\p{M}*/gu)) {
    const until = index + characters.length;
    const normalized = normalize === undefined ? characters : normalize(characters);
    for (const byte of encode(marks ? normalized.replaceAll("▁", " ") : normalized)) {
      if (missing.has(byte)) continue;
      bytes.push(byte);
      starts.push(index);
      ends.push(until);
    }
    index = until;
  }
  return { bytes: Uint8Array.from(bytes), starts: Int32Array.from(starts), ends: Int32Array.from(ends) };
};

const matches = (bytes: Uint8Array, at: number, surface: Uint8Array, from: number): boolean => {
  if (at + surface.length - from > bytes.length) return false;
  for (let index = from; index < surface.length; index++) if (bytes[at + index - from] !== surface[index]) return false;
  return true;
};

const isBlank = (byte: number): boolean => byte === space || (byte >= 0x09 && byte <= 0x0d);

/**
 * Walks tokens along a text. `surfaces` are the bytes of each token, undefined where they are unknown (the unknown token), which then
 * reaches to the next match. A leading space may be missing from the text, because tokenizers add one; blanks that no token has are passed over.
 */
export const alignTokens = (source: SourceBytes, surfaces: readonly (Uint8Array | undefined)[], length: number): Offsets => {
  const { bytes } = source;
  const starts: number[] = [];
  const ends: number[] = [];
  const characterAt = (at: number): number => (at < bytes.length ? source.starts[at] : length);
  const add = (from: number, until: number): void => {
    starts.push(characterAt(from));
    ends.push(until === from ? characterAt(from) : source.ends[until - 1]);
  };

  /** Where a token begins, and how many of its bytes the text does not have; undefined where it cannot begin. */
  const place = (surface: Uint8Array, at: number): { from: number; missing: number } | undefined => {
    const added = surface[0] === space ? 1 : 0;
    for (let from = at; from <= bytes.length; from++) {
      if (matches(bytes, from, surface, 0)) return { from, missing: 0 };
      if (added === 1 && matches(bytes, from, surface, 1)) return { from, missing: 1 };
      if (!isBlank(bytes[from])) return undefined;
    }
    return undefined;
  };

  let at = 0;
  let unknownFrom: number | undefined;
  const endUnknown = (until: number): void => {
    if (unknownFrom !== undefined) add(unknownFrom, until);
    unknownFrom = undefined;
  };
  for (const surface of surfaces) {
    if (surface === undefined) {
      endUnknown(at);
      unknownFrom = at;
      continue;
    }
    const [first, last] = unknownFrom === undefined ? [at, at] : [at + 1, bytes.length];
    let found = place(surface, first);
    for (let from = first + 1; found === undefined && from <= last; from++) found = place(surface, from);
    if (found === undefined)
      throw new LowrankError("unsupported", `Token ${starts.length} of a text cannot be traced to its characters with this tokenizer.`, {
        where: `character ${characterAt(at)}`,
        fix: "Take the loss over all tokens, which needs no tracing.",
      });
    endUnknown(found.from);
    add(found.from, found.from + surface.length - found.missing);
    at = found.from + surface.length - found.missing;
  }
  endUnknown(bytes.length);
  return { starts, ends };
};
