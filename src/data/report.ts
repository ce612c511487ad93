/** @file What became of the rows of a data set: counts, the end token, and what a person should look at before training. It knows nothing about how it came about. */
import type { Tokenizer } from "../formats/index.ts";
import { supervisedCount, type Example } from "./example.ts";
import type { ExampleKind } from "./kinds/kind.ts";
import type { LossMode } from "./formats/parsed.ts";

/** The token that the examples end with. */
export interface EndToken {
  readonly id: number;
  readonly text: string;
  /** Examples whose last special token is this one and is supervised. */
  readonly examples: number;
  /** True where generation stops at it. */
  readonly stops: boolean;
}

export interface DatasetReport {
  readonly path: string;
  /** What its examples are called: examples, pairs … */
  readonly noun: string;
  readonly format: string;
  readonly loss: LossMode;
  /** Which chat template was used; undefined where the format needs none. */
  readonly template: "given" | "model" | "plain" | undefined;
  readonly rows: number;
  readonly examples: number;
  readonly truncated: number;
  /** Tokens that truncation removed. */
  readonly cutTokens: number;
  /** Rows that became no example, by reason. */
  readonly dropped: Readonly<Record<string, number>>;
  readonly tokens: number;
  readonly supervisedTokens: number;
  /** Supervised tokens as a share of all, 0 to 1. */
  readonly supervisedShare: number;
  /** Tokens of the longest example. */
  readonly longest: number;
  /** The end token that most examples learn; undefined where none learns one. */
  readonly endToken: EndToken | undefined;
  /** What to look at, in whole sentences with remedies. */
  readonly warnings: readonly string[];
}

/** Counts kept while the rows are read. */
export interface Tally {
  rows: number;
  truncated: number;
  readonly dropped: Map<string, number>;
  /** Rows in which a token holds both the end of a prompt and the beginning of what is learnt. */
  straddling: number;
  /** Rows whose prompt and completion meet without a blank. */
  touching: number;
  /** Tokens that truncation removed. */
  cutTokens: number;
  /** Rows with content that the chat template leaves out, by kind. */
  readonly leftOut: Map<string, number>;
}

export const newTally = (): Tally => ({
  rows: 0,
  truncated: 0,
  cutTokens: 0,
  dropped: new Map(),
  straddling: 0,
  touching: 0,
  leftOut: new Map(),
});

/** What is noticed about one row. */
export interface RowNotes {
  touching: boolean;
  straddling: boolean;
  cutTokens: number;
  readonly leftOut: Set<string>;
}

export const newNotes = (): RowNotes => ({ touching: false, straddling: false, cutTokens: 0, leftOut: new Set() });

/** Adds one to a count by name. */
const count = (counts: Map<string, number>, name: string): void => {
  counts.set(name, (counts.get(name) ?? 0) + 1);
};

/** Counts a row, which became examples or was dropped for a reason. */
export const addNotes = (tally: Tally, { touching, straddling, cutTokens, leftOut }: RowNotes, reason: string | undefined): void => {
  tally.rows++;
  tally.touching += Number(touching);
  for (const kind of leftOut) count(tally.leftOut, kind);
  if (reason !== undefined) return count(tally.dropped, reason);
  tally.straddling += Number(straddling);
  tally.truncated += Number(cutTokens > 0);
  tally.cutTokens += cutTokens;
};

/** The end token that is learnt in most examples, in whichever of their rows. */
const endTokenOf = (examples: readonly (readonly Example[])[], tokenizer: Tokenizer): EndToken | undefined => {
  const isEnd = (id: number): boolean => tokenizer.isSpecial(id) || tokenizer.eosIds.includes(id);
  const counts = new Map<number, number>();
  const endOf = ({ ids, supervised }: Example): number | undefined =>
    ids.findLast((id, position) => supervised[position] === 1 && isEnd(id));
  for (const rows of examples) for (const id of new Set(rows.map(endOf))) if (id !== undefined) counts.set(id, (counts.get(id) ?? 0) + 1);
  const [most] = [...counts].sort(([, a], [, b]) => b - a);
  if (most === undefined) return undefined;
  const [id, number] = most;
  return { id, text: tokenizer.tokenText(id), examples: number, stops: tokenizer.eosIds.includes(id) };
};

const endWarning = (endToken: EndToken | undefined, examples: number, tokenizer: Tokenizer): string => {
  if (endToken === undefined)
    return "No example ends with a supervised end token, so the model does not learn when to stop. Use a template or a format that writes one.";
  const { id, text, examples: withIt, stops } = endToken;
  if (!stops) {
    const ends = tokenizer.eosIds.map((id) => `${tokenizer.tokenText(id)} (${id})`).join(", ") || "nothing";
    return `Examples end with ${text} (${id}), but generation stops at ${ends}. Add the id to "eos_token_id" in generation_config.json.`;
  }
  if (withIt * 2 >= examples) return "";
  return `${examples - withIt} of ${examples} examples do not reach ${text}, so the model seldom learns to stop. Raise the length.`;
};

// Below this, the ends of a few long examples are what truncation is for.
const tolerableCut = 0.1;

const cutWarning = (cutTokens: number, tokens: number): string => {
  const share = cutTokens / (tokens + cutTokens);
  if (!(share > tolerableCut)) return "";
  return `Truncation removes ${Math.round(share * 100)} % of all tokens. Raise the length, split the texts, or train on them as one stream.`;
};

const when = (rows: number, sentence: string): string => (rows === 0 ? "" : `In ${rows} rows ${sentence}`);

const warningsOf = (tally: Tally): string[] => [
  ...[...tally.leftOut].map(([kind, rows]) => when(rows, `the chat template leaves out ${kind}. Use another template.`)),
  when(
    tally.straddling,
    "one token holds the end of the prompt and the beginning of the answer, which it does not when the model is asked. Move blanks at the end of prompts to the beginning of answers.",
  ),
  when(tally.touching, "prompt and completion meet without a blank between them. End the prompts with a separator, if that is not meant."),
];

/** Counts of some examples, which are those of a report where it is about all of them. */
export const figuresOf = <E>(
  { tokensOf, lengthOf, partsOf, writes = true }: Pick<ExampleKind<E>, "tokensOf" | "lengthOf" | "partsOf" | "writes">,
  examples: readonly E[],
  tokenizer: Tokenizer,
): Pick<DatasetReport, "examples" | "tokens" | "supervisedTokens" | "supervisedShare" | "longest" | "endToken"> => {
  const tokens = examples.reduce((sum, example) => sum + tokensOf(example), 0);
  const rows = examples.map((example) => Object.values(partsOf(example)));
  const supervisedTokens = rows.flat().reduce((sum, row) => sum + supervisedCount(row), 0);
  return {
    examples: examples.length,
    tokens,
    supervisedTokens,
    supervisedShare: tokens === 0 ? 0 : supervisedTokens / tokens,
    longest: examples.reduce((most, example) => Math.max(most, lengthOf(example)), 0),
    endToken: writes ? endTokenOf(rows, tokenizer) : undefined,
  };
};

/** The report on finished examples of a kind. */
export const makeReport = <E>(
  about: Pick<DatasetReport, "path" | "format" | "loss" | "template">,
  kind: Pick<ExampleKind<E>, "noun" | "writes" | "tokensOf" | "lengthOf" | "partsOf">,
  examples: readonly E[],
  tally: Tally,
  tokenizer: Tokenizer,
): DatasetReport => {
  const { writes = true } = kind;
  const figures = figuresOf(kind, examples, tokenizer);
  return {
    ...about,
    noun: kind.noun,
    rows: tally.rows,
    ...figures,
    truncated: tally.truncated,
    cutTokens: tally.cutTokens,
    dropped: Object.fromEntries(tally.dropped),
    warnings: [
      writes ? endWarning(figures.endToken, examples.length, tokenizer) : "",
      cutWarning(tally.cutTokens, figures.tokens),
      ...warningsOf(tally),
    ].filter(Boolean),
  };
};
