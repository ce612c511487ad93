/** @file What became of the rows of a data set: counts, the end token, and what a person should look at before training. It knows nothing about how it came about. */
import type { Tokenizer } from "../formats/index.ts";
import { supervisedCount, type Example } from "./example.ts";
import type { FormatName } from "./format.ts";
import type { LossMode } from "./mask.ts";

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
  readonly format: FormatName;
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

/** Adds one to a count by name. */
export const count = (counts: Map<string, number>, name: string): void => {
  counts.set(name, (counts.get(name) ?? 0) + 1);
};

const endTokenOf = (examples: readonly Example[], tokenizer: Tokenizer): EndToken | undefined => {
  const isEnd = (id: number): boolean => tokenizer.isSpecial(id) || tokenizer.eosIds.includes(id);
  const counts = new Map<number, number>();
  for (const { ids, supervised } of examples) {
    const last = ids.findLastIndex((id, position) => supervised[position] === 1 && isEnd(id));
    if (last !== -1) counts.set(ids[last], (counts.get(ids[last]) ?? 0) + 1);
  }
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

/** The report on finished examples. */
export const makeReport = (
  about: Pick<DatasetReport, "path" | "format" | "loss" | "template">,
  examples: readonly Example[],
  tally: Tally,
  tokenizer: Tokenizer,
): DatasetReport => {
  const tokens = examples.reduce((sum, { ids }) => sum + ids.length, 0);
  const supervisedTokens = examples.reduce((sum, example) => sum + supervisedCount(example), 0);
  const endToken = endTokenOf(examples, tokenizer);
  return {
    ...about,
    rows: tally.rows,
    examples: examples.length,
    truncated: tally.truncated,
    cutTokens: tally.cutTokens,
    dropped: Object.fromEntries(tally.dropped),
    tokens,
    supervisedTokens,
    supervisedShare: tokens === 0 ? 0 : supervisedTokens / tokens,
    longest: examples.reduce((most, { ids }) => Math.max(most, ids.length), 0),
    endToken,
    warnings: [endWarning(endToken, examples.length, tokenizer), cutWarning(tally.cutTokens, tokens), ...warningsOf(tally)].filter(Boolean),
  };
};
