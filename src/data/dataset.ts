/** @file A data file as training examples, with a report on what became of its rows. It knows nothing about batches. */
import { chatTemplate, plainChatTemplate, type Tokenizer } from "../formats/index.ts";
import { LowrankError } from "../util/index.ts";
import { conversationText, type Templating } from "./conversation.ts";
import { truncate, type Example } from "./example.ts";
import { dataFormats, detectFormat, withFields, type FieldNames, type FormatName } from "./format.ts";
import type { DataFormat, Parsed, Segment } from "./formats/parsed.ts";
import { maskSegments, maskText, type LossMode, type Masked } from "./mask.ts";
import { count, makeReport, newTally, type DatasetReport, type Tally } from "./report.ts";
import type { Row } from "./row.ts";
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
  readonly format?: FormatName;
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
  readonly loss: LossMode;
  readonly templating: () => Templating;
  readonly tally: Tally;
}

const touches = (segments: readonly Segment[]): boolean =>
  segments.some(({ text }, index) => index > 0 && /\S$/.test(segments[index - 1].text) && /^\S/.test(text));

/** The ids of a parsed row, or why it has none. */
const encode = (parsed: Parsed, { tokenizer, loss, templating, tally }: Encoder): Masked | string => {
  if ("segments" in parsed) {
    if (parsed.segments.every(({ text, supervised }) => !supervised || text.trim() === "")) return "empty text or completion";
    if (touches(parsed.segments)) tally.touching++;
    return maskSegments(tokenizer, parsed.segments, loss);
  }
  const { text, spans, leftOut } = conversationText(parsed, templating(), loss);
  for (const kind of leftOut) count(tally.leftOut, kind);
  return maskText(tokenizer, text, spans, loss);
};

const isLearnable = ({ supervised }: Pick<Masked, "supervised">): boolean => supervised.includes(1);

/** One row as an example, or why it became none. */
const exampleOf = (row: Row, format: DataFormat, maxLength: number, encoder: Encoder): Example | string => {
  const masked = encode(format.read(row), encoder);
  if (typeof masked === "string") return masked;
  const { ids, supervised, straddles } = masked;
  if (!isLearnable(masked)) return "nothing supervised";
  const example = truncate({ ids, supervised, where: row.where }, maxLength);
  if (!isLearnable(example)) return `nothing supervised in the first ${maxLength} tokens`;
  if (straddles) encoder.tally.straddling++;
  if (example.ids.length < ids.length) encoder.tally.truncated++;
  encoder.tally.cutTokens += ids.length - example.ids.length;
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

/**
 * Reads a data file into examples of at most `maxLength` tokens. Rows that are wrong are an error that names them; rows that teach nothing
 * are dropped and counted; data in which nothing is supervised is refused.
 * @example
 * const { examples, report } = await loadDataset({ path: "train.jsonl", tokenizer, maxLength: 512 });
 * console.log(report.examples, report.supervisedShare, report.warnings);
 */
export const loadDataset = async (options: DatasetOptions): Promise<Dataset> => {
  const { path, tokenizer, maxLength, fields = {} } = options;
  const tally = newTally();
  const examples: Example[] = [];
  const [templateName, source] = templateOf(options);
  let templating: Templating | undefined;
  const prepareTemplate = (): Templating =>
    (templating ??= { template: chatTemplate(source), options: { specialTokens: tokenizer.specialTokens, date: fixedDate } });
  let name = options.format;
  let loss = options.loss;
  for await (const raw of readRows(path)) {
    const row = withFields(raw, fields);
    name ??= detectFormat(row, fields);
    const format = dataFormats[name];
    loss ??= format.hasCompletion ? "completion" : "all";
    if (loss === "completion" && !format.hasCompletion)
      throw new LowrankError("invalid-data", `The format ${name} has no completion, so nothing would be supervised.`, {
        where: path,
        fix: "Take the loss over all tokens, or split the texts into prompt and completion.",
      });
    tally.rows++;
    const encoder = { tokenizer, loss, templating: prepareTemplate, tally };
    const example = placed(row.where, () => exampleOf(row, format, maxLength, encoder));
    if (typeof example === "string") count(tally.dropped, example);
    else examples.push(example);
  }
  const template = templating === undefined ? undefined : templateName;
  const report = makeReport({ path, format: name!, loss: loss!, template }, examples, tally, tokenizer);
  if (examples.length === 0) throw refuseEmpty(report);
  return { examples, report };
};
