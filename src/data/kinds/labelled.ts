/** @file Texts with a label each: the number of a class, or a value. It knows nothing about models or losses. */
import { LowrankError } from "../../util/index.ts";
import type { BatchPlan } from "../batch.ts";
import type { Document } from "../document.ts";
import { labelledFormat, labelledPairFormat, usualColumns, type ParsedLabel } from "../formats/labelled.ts";
import type { ExampleKind } from "./kind.ts";

/** One text, or a pair of them, as token ids with what is to be learnt of it. */
export interface LabelledExample extends Omit<Document, "cutTokens"> {
  /** The number of a class from 0, or a value. */
  readonly label: number;
  /** The row it comes from, such as `train.csv:17`. */
  readonly where: string;
}

/** Rows of tokens with a label for each document; arrays are (rows, length), row-major, or (documents). */
export interface LabelledBatch {
  /** B */
  readonly rows: number;
  /** T */
  readonly length: number;
  readonly ids: Int32Array; // (B, T)
  readonly types: Int32Array; // (B, T)
  /** Positions, which begin at 0 in each document. */
  readonly positions: Int32Array; // (B, T)
  /** 0 where there is no token, then 1, 2 … for the documents of a row. */
  readonly segments: Int32Array; // (B, T)
  /** Where the token that stands for a document is among the B·T. */
  readonly places: Int32Array; // (documents)
  readonly labels: Float32Array; // (documents)
  readonly tokens: number;
  readonly sources: readonly string[];
}

export interface LabelledKind {
  /** Names of the classes, by which labels are numbered; undefined where labels are values. */
  readonly classes: readonly string[] | undefined;
  /** The token of a document that stands for it, by the document's ids. */
  readonly pool: (ids: ArrayLike<number>) => number;
}

/** The number that a label stands for: a class's, by its name or, where names are words, by its own number; or the value itself. */
const numberOf = ({ label, row }: ParsedLabel, classes: LabelledKind["classes"]): number => {
  const number = Number(label);
  if (classes === undefined) {
    if (Number.isFinite(number)) return number;
    throw new LowrankError("invalid-data", `The label ${JSON.stringify(label)} is no number.`, { where: row.where });
  }
  const named = classes.indexOf(label);
  if (named !== -1) return named;
  const isNumbered = classes.every((name) => !Number.isFinite(Number(name)));
  if (isNumbered && Number.isInteger(number) && number >= 0 && number < classes.length) return number;
  throw new LowrankError("invalid-data", `The label ${JSON.stringify(label)} is none of the classes ${classes.join(", ")}.`, {
    where: row.where,
  });
};

const collate =
  ({ pool }: LabelledKind) =>
  ({ examples, rows, batchSize: B, length: T }: BatchPlan<LabelledExample>): LabelledBatch => {
    const [ids, types, positions, segments] = Array.from({ length: 4 }, () => new Int32Array(B * T));
    const documents = rows.flatMap((row, index) => row.map((example, place) => ({ ...examples[example], row: index, place })));
    const places = new Int32Array(documents.length);
    let tokens = 0;
    let end = 0;
    for (const [index, document] of documents.entries()) {
      const { length } = document.ids;
      const at = document.place === 0 ? document.row * T : end;
      ids.set(document.ids, at);
      types.set(document.types, at);
      for (let position = 0; position < length; position++) positions[at + position] = position;
      segments.fill(document.place + 1, at, at + length);
      places[index] = at + pool(document.ids);
      tokens += length;
      end = at + length;
    }
    return {
      rows: B,
      length: T,
      ids,
      types,
      positions,
      segments,
      places,
      labels: Float32Array.from(documents, ({ label }) => label),
      tokens,
      sources: documents.map(({ where }) => where),
    };
  };

/** One document a row, or several where they are packed. */
export const labelledKind = (about: LabelledKind): ExampleKind<LabelledExample, LabelledBatch, ParsedLabel> => ({
  noun: "text",
  formats: { "labelled-pair": labelledPairFormat, labelled: labelledFormat },
  usualColumns,
  writes: false,
  read: (parsed, _, encodeDocument) => {
    if (parsed.texts[0].trim() === "") return "empty text";
    const label = numberOf(parsed, about.classes);
    return [{ ...encodeDocument(parsed.texts), label, where: parsed.row.where }];
  },
  complete: (examples) => examples,
  // What stands for the document is what the loss looks at.
  partsOf: ({ ids, label, where }) => {
    const supervised = new Uint8Array(ids.length);
    supervised[about.pool(ids)] = 1;
    return { [about.classes?.[label] ?? String(label)]: { ids, supervised, where } };
  },
  lengthOf: ({ ids }) => ids.length,
  tokensOf: ({ ids }) => ids.length,
  whereOf: ({ where }) => where,
  contentOf: ({ ids, types, label }) => [`${ids.length} ${label} `, ids, types],
  packs: true,
  collate: collate(about),
});
