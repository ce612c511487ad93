/** @file Pairs of answers to one prompt, of which the first is preferred. It knows nothing about losses. */
import { materialise, type Batch } from "../batch.ts";
import type { Example } from "../example.ts";
import { alpacaPreferenceFormat } from "../formats/alpaca-preference.ts";
import { implicitPreferenceFormat } from "../formats/implicit-preference.ts";
import type { ParsedPair } from "../formats/parsed.ts";
import { preferenceFormat } from "../formats/preference.ts";
import type { ExampleKind } from "./kind.ts";

/** Both answers, each with the prompt before it. */
export interface Pair {
  readonly chosen: Example;
  readonly rejected: Example;
}

/** Rows of which the first half are the chosen answers, the second half the rejected ones in the same order. */
export interface PairBatch extends Batch {
  /** 1 for a pair, 0 for empty rows: (rows / 2). */
  readonly present: Float32Array;
}

/** In the order in which they are tried. */
export const pairFormats = {
  preference: preferenceFormat,
  "alpaca-preference": alpacaPreferenceFormat,
  "implicit-preference": implicitPreferenceFormat,
} as const;

const isSame = (a: Example, b: Example): boolean => a.ids.length === b.ids.length && a.ids.every((id, index) => id === b.ids[index]);

/** Two rows for each pair. */
export const pairKind: ExampleKind<Pair, PairBatch, ParsedPair> = {
  noun: "pair",
  formats: pairFormats,
  read: (parsed, encode) => {
    const [chosen, rejected] = [encode(parsed.chosen), encode(parsed.rejected)];
    if (typeof chosen === "string") return `chosen: ${chosen}`;
    if (typeof rejected === "string") return `rejected: ${rejected}`;
    return isSame(chosen, rejected) ? "chosen and rejected are the same" : [{ chosen, rejected }];
  },
  complete: (pairs) => pairs,
  partsOf: ({ chosen, rejected }) => ({ chosen, rejected }),
  lengthOf: ({ chosen, rejected }) => Math.max(chosen.ids.length, rejected.ids.length),
  tokensOf: ({ chosen, rejected }) => chosen.ids.length + rejected.ids.length,
  whereOf: ({ chosen }) => chosen.where,
  contentOf: ({ chosen, rejected }) => [chosen, rejected].flatMap(({ ids, supervised }) => [`${ids.length} `, ids, supervised]),
  packs: false,
  collate: ({ examples, rows, batchSize: P, length }) => {
    const pairs = rows.map(([index]) => examples[index]);
    const half = (name: "chosen" | "rejected"): (Example | undefined)[] => Array.from({ length: P }, (_, row) => pairs[row]?.[name]);
    const answers = [...half("chosen"), ...half("rejected")];
    const placed = answers.map((answer, row) => (answer === undefined ? [] : [row]));
    return {
      ...materialise({ examples: answers as Example[], rows: placed, batchSize: 2 * P, length }),
      sources: pairs.map(({ chosen }) => chosen.where),
      present: Float32Array.from({ length: P }, (_, row) => Number(row < pairs.length)),
    };
  },
};
