/** @file A byte-level `tokenizer.json` as merges and the name of its pre-tokenizer, where GGUF has one. It knows nothing about files. */
import type { Obstacle } from "./gguf-vocabulary-spm.ts";
import { flatten, type Component, type TokenizerJson } from "./tokenizer-json.ts";

const contractions = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const ending = String.raw`| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`;
const slashEnding = String.raw`| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`;
const upper = String.raw`[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]`;
const lower = String.raw`[\p{Ll}\p{Lm}\p{Lo}\p{M}]`;
const lead = String.raw`[^\r\n\p{L}\p{N}]?`;

const byLetters = (numbers: string): string => String.raw`${contractions}|${lead}\p{L}+|${numbers}${ending}`;
const byCase = (suffix: string, numbers: string): string =>
  `${lead}${upper}*${lower}+${suffix}|${lead}${upper}+${lower}*${suffix}|${numbers}${slashEnding}`;

/** How a pre-tokenizer cuts texts into words before the merges, as a list of steps, and what GGUF calls it. */
interface PreTokenizer {
  readonly name: string;
  readonly steps: readonly string[];
  /** Whether a word that is a piece is that piece, whatever the merges make of it. */
  readonly ignoresMerges: boolean;
}

const words = "words"; // GPT-2's own pattern, which ByteLevel brings along
const preTokenizers: readonly PreTokenizer[] = [
  { name: "gpt-2", steps: [words], ignoresMerges: false },
  { name: "smollm", steps: ["digits", words], ignoresMerges: false },
  { name: "llama-bpe", steps: [byLetters(String.raw`\p{N}{1,3}`)], ignoresMerges: true },
  { name: "dbrx", steps: [byLetters(String.raw`\p{N}{1,3}`)], ignoresMerges: false },
  { name: "qwen2", steps: [byLetters(String.raw`\p{N}`)], ignoresMerges: false },
  { name: "gpt-4o", steps: [byCase(`${contractions}?`, String.raw`\p{N}{1,3}`)], ignoresMerges: false },
  { name: "tekken", steps: [byCase("", String.raw`\p{N}`)], ignoresMerges: true },
];

/** A component as one of the steps above; none for ByteLevel where it only spells, undefined for what is not known. */
const stepsOf = (component: Component): readonly string[] | undefined => {
  if (component.type === "ByteLevel") {
    if (component["add_prefix_space"] === true) return undefined;
    return component["use_regex"] === false ? [] : [words];
  }
  if (component.type === "Digits" && component["individual_digits"] === true) return ["digits"];
  if (component.type !== "Split") return undefined;
  const pattern = (component["pattern"] as { Regex?: string } | undefined)?.Regex;
  const keepsMatches = component["invert"] === true ? component["behavior"] === "Removed" : component["behavior"] === "Isolated";
  return pattern === undefined || !keepsMatches ? undefined : [pattern];
};

export interface BpeVocabulary {
  /** GGUF's name of the pre-tokenizer. */
  readonly preTokenizer: string;
  /** `left right`, the earlier the stronger. */
  readonly merges: readonly string[];
}

/** The vocabulary as GGUF's byte-level one, or what is in the way. */
export const bpeVocabulary = ({ model, normalizer, pre_tokenizer: preTokenizer }: TokenizerJson): BpeVocabulary | Obstacle => {
  if (model.type !== "BPE") return `its model is ${model.type}`;
  const changing = flatten(normalizer).find(({ type }) => type !== "NFC");
  if (changing !== undefined) return `its normalizer has ${changing.type}`;
  if (Boolean(model["end_of_word_suffix"]) || Boolean(model["continuing_subword_prefix"])) return "its pieces have affixes";
  const steps: string[] = [];
  for (const component of flatten(preTokenizer)) {
    const these = stepsOf(component);
    if (these === undefined) return `its pre-tokenizer has ${component.type} with settings that have no name in GGUF`;
    steps.push(...these);
  }
  const ignoresMerges = model["ignore_merges"] === true;
  const found = preTokenizers.find((one) => one.ignoresMerges === ignoresMerges && one.steps.join("\n") === steps.join("\n"));
  if (found === undefined)
    return `its way to split texts into words has no name in GGUF (named are ${preTokenizers.map(({ name }) => name).join(", ")})`;
  const merges = (model["merges"] as (string | [string, string])[] | undefined) ?? [];
  return { preTokenizer: found.name, merges: merges.map((merge) => (typeof merge === "string" ? merge : merge.join(" "))) };
};
