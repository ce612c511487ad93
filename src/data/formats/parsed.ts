/** @file What the data formats turn rows into: a text in parts, or a conversation. It knows nothing about tokens. */
import type { ChatMessage } from "../../formats/index.ts";
import type { Row } from "../row.ts";

/** A part of a text; the loss may be taken over the supervised parts only. */
export interface Segment {
  readonly text: string;
  readonly supervised: boolean;
}

/** A text in parts, which ends with the end token. */
export interface SegmentedText {
  readonly segments: readonly Segment[];
}

/** Messages for a chat template; the assistant's from `supervisedFrom` on are supervised. */
export interface Conversation {
  readonly messages: readonly ChatMessage[];
  readonly tools: readonly unknown[] | undefined;
  readonly supervisedFrom: number;
}

export type Parsed = SegmentedText | Conversation;

/** A data format: one file each, and one line in `format.ts`. */
export interface DataFormat {
  /** Fields that a row must have; further ones are read where they exist. */
  readonly fields: readonly string[];
  /** False where a row has no part to answer with, so that the loss is taken over everything. */
  readonly hasCompletion: boolean;
  /** Turns a row into a text or a conversation; a wrong field is an `invalid-data` error that names the row. */
  read(row: Row): Parsed;
}
