/** @file Texts as one stream of tokens, cut into blocks, with a held-out end: for language modelling from plain text. It knows nothing about chats. */
import type { Tokenizer } from "../formats/index.ts";
import { LowrankError } from "../util/index.ts";
import type { Dataset } from "./dataset.ts";
import type { Example } from "./example.ts";
import { withFields, type FieldNames } from "./format.ts";
import { textFormat } from "./formats/text.ts";
import { rowKind } from "./kinds/rows.ts";
import { makeReport, newTally } from "./report.ts";
import { readRows } from "./source.ts";

export interface TextStreamOptions {
  /** A `.txt` file, or a file with a `text` column; a folder or a pattern of them. */
  readonly path: string;
  readonly tokenizer: Tokenizer;
  /** Tokens of a block. All but its first are predicted, each from those before it in the block. */
  readonly blockLength: number;
  /** The share of all characters, from the end, that is kept out of training: at least 0, below 1; default 0. */
  readonly holdOut?: number;
  readonly fields?: FieldNames;
}

export interface TextStream {
  readonly train: Dataset;
  /** Undefined without `holdOut`. */
  readonly heldOut: Dataset | undefined;
}

/** The UTF-16 index after a number of code points. */
const indexAfter = (text: string, codePoints: number): number => {
  let index = 0;
  for (let left = codePoints; left > 0 && index < text.length; left--) index += text.codePointAt(index)! > 0xffff ? 2 : 1;
  return index;
};

const codePoints = (text: string): number => text.length - (text.match(/[\ud800-\udbff][\udc00-\udfff]/g)?.length ?? 0);

/** Cuts texts in two after a share of all their code points. */
const cut = (texts: readonly string[], share: number): readonly [readonly string[], readonly string[]] => {
  let left = Math.floor(texts.reduce((sum, text) => sum + codePoints(text), 0) * share);
  const head: string[] = [];
  const tail: string[] = [];
  for (const text of texts) {
    const at = indexAfter(text, left);
    left -= codePoints(text.slice(0, at));
    if (at > 0) head.push(text.slice(0, at));
    if (at < text.length) tail.push(text.slice(at));
  }
  return [head, tail];
};

const blocksOf = (texts: readonly string[], { path, tokenizer, blockLength }: TextStreamOptions): Dataset => {
  const stream: number[] = [];
  for (const [index, text] of texts.entries()) {
    if (index > 0 && tokenizer.eosId !== undefined) stream.push(tokenizer.eosId);
    for (const id of tokenizer.encode(text, { specialTokens: false })) stream.push(id);
  }
  const count = Math.floor(stream.length / blockLength);
  if (count === 0)
    throw new LowrankError("invalid-data", `The text has ${stream.length} tokens, fewer than one block of ${blockLength}.`, {
      where: path,
      fix: "Give more text or a shorter length.",
    });
  const supervised = new Uint8Array(blockLength).fill(1);
  supervised[0] = 0;
  const examples = Array.from({ length: count }, (_, block): Example => {
    const ids = Int32Array.from(stream.slice(block * blockLength, (block + 1) * blockLength));
    return { ids, supervised, where: `${path}: block ${block + 1}` };
  });
  const tally = { ...newTally(), rows: texts.length };
  const report = makeReport({ path, format: "text", loss: "all", template: undefined }, rowKind, examples, tally, tokenizer);
  // Where a stream is cut has nothing to do with where texts end.
  return { examples, report: { ...report, endToken: undefined, warnings: [] } };
};

/**
 * Reads texts as one stream without special tokens, cut into blocks of `blockLength`; what does not fill a block at the end is left out.
 * Several texts are separated by the end token.
 * @example
 * const { train, heldOut } = await loadTextStream({ path: "shakespeare.txt", tokenizer, blockLength: 128, holdOut: 0.1 });
 */
export const loadTextStream = async (options: TextStreamOptions): Promise<TextStream> => {
  const { path, blockLength, holdOut = 0, fields = {} } = options;
  if (!(holdOut >= 0 && holdOut < 1))
    throw new LowrankError("invalid-argument", `The held-out share must be at least 0 and below 1, not ${holdOut}.`);
  if (!(blockLength >= 2)) throw new LowrankError("invalid-argument", `A block must have at least 2 tokens, not ${blockLength}.`);
  const texts: string[] = [];
  for await (const row of readRows(path)) {
    const parsed = textFormat.read(withFields(row, fields, { text: textFormat }));
    if ("segments" in parsed) texts.push(parsed.segments[0].text);
  }
  const [head, tail] = cut(texts, 1 - holdOut);
  return { train: blocksOf(head, options), heldOut: holdOut === 0 ? undefined : blocksOf(tail, options) };
};
