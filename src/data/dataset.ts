/** @file A data file as training examples, with a report on what became of its rows. It knows nothing about batches, nor about any kind of example. */
import { chatTemplate, plainChatTemplate, type Tokenizer } from "../formats/index.ts";
import { LowrankError } from "../util/index.ts";
import { askedText, conversationText, type Templating } from "./conversation.ts";
import { encodeDocument } from "./document.ts";
import { truncate, type Example } from "./example.ts";
import { detectFormat, formatNamed, withFields, type FieldNames } from "./format.ts";
import type { DataFormat, LossMode, Parsed, Request, Segment } from "./formats/parsed.ts";
import type { Encode, EncodeDocument, ExampleKind } from "./kinds/kind.ts";
import { rowKind } from "./kinds/rows.ts";
import { maskSegments, maskText } from "./mask.ts";
import { addNotes, makeReport, newNotes, newTally, type DatasetReport, type RowNotes } from "./report.ts";
import { readRows } from "./source.ts";

export interface Dataset<E = Example> {
  readonly examples: readonly E[];
  readonly report: DatasetReport;
}

export interface DatasetOptions {
  /** A data file, a folder of them, or a pattern such as `data/part-*.jsonl`. */
  readonly path: string;
  readonly tokenizer: Tokenizer;
  /** Longest example in tokens; what is longer loses its end. */
  readonly maxLength: number;
  /** Default: told from the first row. */
  readonly format?: string;
  /** Columns that take the place of a format's fields, for example `{ prompt: "question", completion: "answer" }`. */
  readonly fields?: FieldNames;
  /** Default: completions and assistant turns only, or everything where the format has neither. */
  readonly loss?: LossMode;
  /** A chat template (Jinja) in place of the model's. A model without one uses `plainChatTemplate`. */
  readonly template?: string;
}

// Templates that print today's date get a fixed one, so that a run that is resumed another day sees the same tokens.
const fixedDate = new Date(2024, 6, 26);

interface Encoder {
  readonly tokenizer: Tokenizer;
  readonly maxLength: number;
  readonly loss: LossMode;
  readonly templating: () => Templating;
}

const touches = (segments: readonly Segment[]): boolean =>
  segments.some(({ text }, index) => index > 0 && /\S$/.test(segments[index - 1].text) && /^\S/.test(text));

const isLearnable = ({ supervised }: Pick<Example, "supervised">): boolean => supervised.includes(1);

/** A text, conversation or request of a row as an example, or why it became none; what is noticed on the way is noted. */
const exampleOf = (given: Parsed | Request, where: string, notes: RowNotes, encoder: Encoder): Example | string => {
  const { tokenizer, maxLength, loss, templating } = encoder;
  const parsed = "asked" in given ? { segments: [{ text: askedText(given.asked, templating()), supervised: true }] } : given;
  const masked = () => {
    if ("segments" in parsed) {
      if (touches(parsed.segments)) notes.touching = true;
      return maskSegments(tokenizer, parsed.segments, loss);
    }
    const { text, spans, leftOut } = conversationText(parsed, templating(), loss);
    for (const kind of leftOut) notes.leftOut.add(kind);
    return maskText(tokenizer, text, spans, loss);
  };
  if ("segments" in parsed && parsed.segments.every(({ text, supervised }) => !supervised || text.trim() === ""))
    return "empty text or completion";
  const { ids, supervised, straddles } = masked();
  if (!isLearnable({ supervised })) return "nothing supervised";
  const example = truncate({ ids, supervised, where }, maxLength);
  if (!isLearnable(example)) return `nothing supervised in the first ${maxLength} tokens`;
  if (straddles) notes.straddling = true;
  notes.cutTokens += ids.length - example.ids.length;
  return example;
};

/** Adds the row to errors that do not say where they are. */
const placed = <T>(where: string, act: () => T): T => {
  try {
    return act();
  } catch (error) {
    if (!LowrankError.is(error) || error.where?.startsWith(where) === true) throw error;
    throw new LowrankError(error.code, error.message, { where, cause: error });
  }
};

const refuseEmpty = ({ path, format, loss, rows, dropped }: DatasetReport): LowrankError => {
  const reasons = Object.entries(dropped).map(([reason, rows]) => `${rows} × ${reason}`);
  return new LowrankError(
    "invalid-data",
    `None of the ${rows} rows (format ${format}, loss over ${loss === "all" ? "all tokens" : "completions"}) has a supervised token: ${reasons.join(", ")}.`,
    { where: path, fix: "Check the columns and the roles, raise the length, or take the loss over all tokens." },
  );
};

const templateOf = ({ template, tokenizer }: DatasetOptions): readonly [DatasetReport["template"], string] => {
  if (template !== undefined) return ["given", template];
  return tokenizer.chatTemplate === undefined ? ["plain", plainChatTemplate] : ["model", tokenizer.chatTemplate];
};

/** The loss that is asked for, where the format can give it; default completions, or everything where there are none. */
const lossOf = ({ path, loss }: DatasetOptions, name: string, { learns }: DataFormat<unknown>): LossMode => {
  if (loss === undefined || learns.includes(loss)) return loss ?? learns[0];
  if (loss === "completion")
    throw new LowrankError("invalid-data", `The format ${name} has no completion, so nothing would be supervised.`, {
      where: path,
      fix: "Take the loss over all tokens, or split the texts into prompt and completion.",
    });
  throw new LowrankError("invalid-data", `The format ${name} is about completions, so the loss cannot be taken over all tokens.`, {
    where: path,
    fix: "Take the loss over completions.",
  });
};

/**
 * Reads a data file into examples of a kind, none with a row of more than `maxLength` tokens. Rows that are wrong are an error that names
 * them; rows that teach nothing are dropped and counted; data in which nothing is supervised is refused.
 * @example const { examples, report } = await loadExamples(pairKind, { path: "pairs.jsonl", tokenizer, maxLength: 512 });
 */
export const loadExamples = async <E, P, D>(kind: ExampleKind<E, unknown, P, D>, options: DatasetOptions): Promise<Dataset<E>> => {
  const { path, tokenizer, maxLength, fields = {} } = options;
  const tally = newTally();
  const drafts: D[] = [];
  const [templateName, source] = templateOf(options);
  let templating: Templating | undefined;
  const prepareTemplate = (): Templating =>
    (templating ??= { template: chatTemplate(source), options: { specialTokens: tokenizer.specialTokens, date: fixedDate } });
  let name = options.format;
  let loss: LossMode | undefined;
  for await (const raw of readRows(path)) {
    const row = withFields(raw, { ...kind.usualColumns?.(raw), ...fields }, kind.formats);
    name ??= detectFormat(row, kind.formats, fields);
    const format = formatNamed(name, kind.formats);
    loss ??= lossOf(options, name, format);
    const encoder = { tokenizer, maxLength, loss, templating: prepareTemplate };
    const notes = newNotes();
    const encode: Encode = (parsed) => exampleOf(parsed, row.where, notes, encoder);
    const encodeTexts: EncodeDocument = (texts) => {
      const document = encodeDocument(tokenizer, texts, maxLength);
      notes.cutTokens += document.cutTokens;
      return document;
    };
    const read = placed(row.where, () => kind.read(format.read(row), encode, encodeTexts));
    addNotes(tally, notes, typeof read === "string" ? read : undefined);
    if (typeof read !== "string") drafts.push(...read);
  }
  const examples = kind.complete(drafts, maxLength);
  const template = templating === undefined ? undefined : templateName;
  const report = makeReport({ path, format: name!, loss: loss!, template }, kind, examples, tally, tokenizer);
  if (examples.length === 0) throw refuseEmpty(report);
  return { examples, report };
};

/**
 * Reads a data file into examples of one row each, for next-token prediction, as `loadExamples` does.
 * @example
 * const { examples, report } = await loadDataset({ path: "train.jsonl", tokenizer, maxLength: 512 });
 * console.log(report.examples, report.supervisedShare, report.warnings);
 */
export const loadDataset = (options: DatasetOptions): Promise<Dataset> => loadExamples(rowKind, options);
