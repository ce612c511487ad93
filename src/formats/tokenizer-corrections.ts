/** @file Rewrites pre-tokenizers that the npm tokenizers package runs differently from the reference library. It knows nothing about models or files. */
import { flatten, missingCharacters, type Component, type TokenizerJson } from "./tokenizer-json.ts";

const split = (pattern: string): Component => ({ type: "Split", pattern: { Regex: pattern }, behavior: "Isolated", invert: false });

const sequence = (pretokenizers: readonly Component[]): Component => ({ type: "Sequence", pretokenizers });

// GPT-2's words (Radford et al. 2019, encoder.py).
const byteLevelWords = String.raw`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`;

const corrected = (component: Component): readonly Component[] => {
  switch (component.type) {
    case "Digits":
      // The reference takes every numeric character as a digit (½ ² ⅷ ٣); the package only takes 0 to 9.
      return [split(component["individual_digits"] === true ? String.raw`\p{N}` : String.raw`\p{N}+`)];
    case "ByteLevel":
      // JavaScript's \s takes U+FEFF and leaves U+0085, the reference the other way round; the package translates \s in `Split` only.
      // With a prefix space the split would have to come after it, which a sequence cannot say.
      if (component["use_regex"] === false || component["add_prefix_space"] === true) return [component];
      return [split(byteLevelWords), { ...component, use_regex: false }];
    default:
      return [component];
  }
};

/** The reference drops what the vocabulary cannot spell before it merges, so that the neighbours can merge; the package drops it afterwards. */
const droppedFirst = (tokenizer: TokenizerJson): readonly Component[] => {
  const missing = missingCharacters(tokenizer);
  const escaped = missing.map((character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`);
  return missing.length === 0 ? [] : [{ type: "Replace", pattern: { Regex: `[${escaped.join("")}]` }, content: "" }];
};

const mark = "▁";

/** True where no merge joins a piece to a following word, so that words can be encoded one by one with the same result. */
const wordsAreIndependent = (model: Component): boolean => {
  if (model.type !== "BPE" || !Array.isArray(model["merges"])) return false;
  if (model["ignore_merges"] === true || Boolean(model["end_of_word_suffix"]) || Boolean(model["continuing_subword_prefix"])) return false;
  return (model["merges"] as (string | [string, string])[]).every((merge) => {
    const [left, right] = typeof merge === "string" ? merge.split(" ", 2) : merge;
    return left.endsWith(mark) || !right.startsWith(mark);
  });
};

/**
 * The same tokenizer in terms that the package runs as the reference library does.
 * Long texts without any pre-tokenizer are also cut at the word marks, where the merges allow it: 5 to 20 times faster.
 */
export const correctTokenizer = (tokenizer: TokenizerJson): TokenizerJson => {
  const components = flatten(tokenizer.pre_tokenizer);
  const onlyMarks = components.every(({ type }) => type === "Metaspace");
  const words = onlyMarks && wordsAreIndependent(tokenizer.model) ? [split(`${mark}+[^${mark}]*|[^${mark}]+`)] : [];
  return { ...tokenizer, pre_tokenizer: sequence([...components.flatMap(corrected), ...words, ...droppedFirst(tokenizer)]) };
};
