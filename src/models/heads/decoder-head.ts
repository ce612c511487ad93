/** @file The heads that every decoder offers. It knows no family. */
import { headOf, type HeadParts } from "./head.ts";
import { languageModelHead, type LanguageModelHead } from "./language-model.ts";
import { scoreHead, type ScoreHead } from "./score.ts";

/** The head that a decoder's configuration asks for: next tokens, or labels of sequences. */
export const decoderHead = (about: LanguageModelHead & ScoreHead): HeadParts =>
  headOf(
    about.config,
    about.where,
    { ForCausalLM: () => languageModelHead(about), ForSequenceClassification: () => scoreHead(about) },
    "ForCausalLM",
  );
