/** @file A `tokenizer.json` with `▁` and byte fallback as the scores of a sentencepiece vocabulary, where that says the same. It knows nothing about files. */
import { fallbackByte } from "./tokenizer-bytes.ts";
import { flatten, patternText, vocabularyOf, type TokenizerJson } from "./tokenizer-json.ts";

const mark = "▁";

/** What keeps a tokenizer from being expressed; a phrase for the end of a sentence. */
export type Obstacle = string;

const mergesOf = ({ model }: TokenizerJson): [left: string, right: string][] =>
  ((model["merges"] as (string | [string, string])[] | undefined) ?? []).map((merge) =>
    typeof merge === "string" ? (merge.split(" ", 2) as [string, string]) : merge,
  );

/** True where a space goes before every text; undefined where the normalizer and the pre-tokenizer do something that no sentencepiece model does. */
const prefixesSpace = ({ normalizer, pre_tokenizer: preTokenizer }: TokenizerJson): boolean | Obstacle => {
  let prefixed = false;
  let marked = false;
  for (const step of flatten(normalizer)) {
    if (step.type === "Prepend" && step["prepend"] === mark) prefixed = true;
    else if (step.type === "Replace" && patternText(step) === " " && step["content"] === mark) marked = true;
    else return `its normalizer has ${step.type}`;
  }
  for (const step of flatten(preTokenizer)) {
    // Spaces are marks already: there is nothing to split at.
    if (step.type === "Split" && marked && patternText(step) === " ") continue;
    if (step.type !== "Metaspace") return `its pre-tokenizer has ${step.type}`;
    if (step["split"] !== false) return "its pre-tokenizer splits at spaces";
    const scheme = step["prepend_scheme"] ?? (step["add_prefix_space"] === false ? "never" : "always");
    if (scheme === "first") return "it puts a space before the first piece of a text alone, not before those behind special tokens";
    prefixed ||= scheme === "always";
    marked = true;
  }
  return marked ? prefixed : "nothing in it marks spaces";
};

/**
 * A score for every piece that merges make, the earlier the higher. Sentencepiece joins whichever neighbours make the piece of the
 * highest score; that is what the merges say if those of one piece follow one another and every way to make a piece is among them.
 */
const scoresOf = (tokenizer: TokenizerJson, pieces: ReadonlySet<string>): Map<string, number> | Obstacle => {
  const scores = new Map<string, number>();
  const merges = new Set<string>();
  let last: string | undefined;
  for (const [left, right] of mergesOf(tokenizer)) {
    const piece = left + right;
    if (piece !== last && scores.has(piece)) return `the merges of ${JSON.stringify(piece)} do not follow one another`;
    if (piece !== last) scores.set(piece, 0 - scores.size);
    merges.add(`${left} ${right}`);
    last = piece;
  }
  const added = new Set(tokenizer.added_tokens.map(({ content }) => content));
  for (const piece of pieces) {
    const characters = Array.from(piece);
    for (let cut = 1; cut < characters.length && !added.has(piece) && fallbackByte(piece) === undefined; cut++) {
      const [left, right] = [characters.slice(0, cut).join(""), characters.slice(cut).join("")];
      if (pieces.has(left) && pieces.has(right) && !merges.has(`${left} ${right}`))
        return `no merge joins ${JSON.stringify(left)} and ${JSON.stringify(right)}, though their piece is in the vocabulary`;
    }
  }
  return scores;
};

export interface SpmVocabulary {
  readonly prefixesSpace: boolean;
  /** By piece; pieces that no merge makes have none. */
  readonly scores: ReadonlyMap<string, number>;
}

/** The vocabulary as sentencepiece would have it, or what is in the way. */
export const spmVocabulary = (tokenizer: TokenizerJson): SpmVocabulary | Obstacle => {
  const { model } = tokenizer;
  if (model.type !== "BPE") return `its model is ${model.type}`;
  if (model["byte_fallback"] !== true) return "it has no byte fallback";
  const space = prefixesSpace(tokenizer);
  if (typeof space === "string") return space;
  const scores = scoresOf(tokenizer, new Set(vocabularyOf(model).map(([piece]) => piece)));
  return typeof scores === "string" ? scores : { prefixesSpace: space, scores };
};
