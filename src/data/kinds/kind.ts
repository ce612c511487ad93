/** @file What a kind of example provides: the formats that it is read from, how a row becomes examples, and how these become batches. It knows no kind. */
import type { Collation } from "../collation.ts";
import type { Document, Texts } from "../document.ts";
import type { Example } from "../example.ts";
import type { FieldNames } from "../format.ts";
import type { DataFormat, Parsed, Request } from "../formats/parsed.ts";
import type { Row } from "../row.ts";

/** A text, conversation or request as token ids with a mask, cut to the longest length; or why nothing of it can be learnt. */
export type Encode = (parsed: Parsed | Request) => Example | string;

/** Texts as a classifier reads them, cut to the longest length. */
export type EncodeDocument = (texts: Texts) => Document;

/** One file for each kind; a loss names the one that it learns from. `P` is what its formats make of a row, `D` an example before `complete`. */
export interface ExampleKind<E = unknown, B = unknown, P = unknown, D = E> extends Collation<E, B> {
  /** What its examples are called. */
  readonly noun: string;
  /** In the order in which they are tried. */
  readonly formats: Readonly<Record<string, DataFormat<P>>>;
  /** The columns of a row that usually stand for fields of the formats; default those of the fields' names. */
  usualColumns?(row: Row): FieldNames;
  /** False where a model does not learn to write from it, and so not when to stop; default true. */
  readonly writes?: boolean;
  /** The examples of a row, or why there are none. */
  read(parsed: P, encode: Encode, encodeDocument: EncodeDocument): readonly D[] | string;
  /** Adds what the examples of a file take from each other; none may get longer than `maxLength`. */
  complete(drafts: readonly D[], maxLength: number): readonly E[];
  /** The rows of an example by name, for people. */
  partsOf(example: E): Readonly<Record<string, Example>>;
}
