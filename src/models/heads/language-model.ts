/** @file The head that predicts the next token: one linear module over the vocabulary, which may be the embedding. It knows no family. */
import type { Tensor } from "../../graph/index.ts";
import type { LinearSpec, Task } from "../model.ts";
import { linearParameters, type HeadParts } from "./head.ts";

export interface LanguageModelHead {
  /** Default CAUSAL_LM. */
  readonly task?: Task;
  readonly hiddenSize: number;
  readonly vocabularySize: number;
  /** The embedding's module, where the head is tied to it. */
  readonly tiedTo?: string | undefined;
  readonly deviation: number;
  /** What becomes of the logits, elementwise; default nothing. */
  readonly finish?: ((logits: Tensor) => Tensor) | undefined;
}

const module = "lm_head";

/** `lm_head` over the vocabulary. */
export const languageModelHead = ({
  task = "CAUSAL_LM",
  hiddenSize,
  vocabularySize,
  tiedTo,
  deviation,
  finish,
}: LanguageModelHead): HeadParts => {
  const linear: LinearSpec = { module, inFeatures: hiddenSize, outFeatures: vocabularySize, bias: false, isHead: true };
  return {
    head: {
      task,
      predicts: "tokens",
      outputs: vocabularySize,
      labels: [],
      parameters: tiedTo === undefined ? linearParameters(linear, deviation) : [],
      whole: [],
      ...(finish === undefined && { linear: module }),
      logits: (modules, hidden) => {
        const logits = modules.linear(module, hidden); // (N, V)
        return finish === undefined ? logits : finish(logits);
      },
    },
    linears: [linear],
    aliases: tiedTo === undefined ? {} : { [`${module}.weight`]: `${tiedTo}.weight` },
  };
};
