/** @file What the data formats turn rows into: a text in parts, or a conversation. It knows nothing about tokens. */
import type { ChatMessage } from "../../formats/index.ts";
import type { Row } from "../row.ts";

/** Take the loss over the completion or the assistant's turns only, over everything, or over a label of the whole. */
export type LossMode = "completion" | "all" | "label";

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

/** A conversation up to where the assistant is asked to go on, as a text by itself. */
export interface Request {
  readonly asked: Conversation;
}

/** Two answers to one prompt, of which the first is the better; each with the prompt before it. */
export interface ParsedPair {
  readonly chosen: Parsed;
  readonly rejected: Parsed;
}

/** An answer with the prompt before it, and whether it is a good one. */
export interface ParsedJudgement {
  readonly answer: Parsed;
  readonly desirable: boolean;
}

/** A data format: one file each, and one line in each kind of example that is read from it. */
export interface DataFormat<P = Parsed> {
  /** Fields that a row must have; further ones are read where they exist. */
  readonly fields: readonly string[];
  /** What the loss may be taken over, the usual first: no completions where a row has no part to answer with. */
  readonly learns: readonly LossMode[];
  /** Whether a row that has the fields is of this format; default yes. */
  fits?(row: Row): boolean;
  /** Turns a row into texts or conversations; a wrong field is an `invalid-data` error that names the row. */
  read(row: Row): P;
}
