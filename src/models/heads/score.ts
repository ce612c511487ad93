/** @file The classifier of decoders: one linear module, `score`, on the last token of each document. It knows no family. */
import type { Head, LinearSpec } from "../model.ts";
import { configReader } from "../../formats/index.ts";
import { linearParameters, type HeadParts } from "./head.ts";
import { labelsOf } from "./labels.ts";

export interface ScoreHead {
  readonly config: Readonly<Record<string, unknown>>;
  /** The configuration's file, for errors. */
  readonly where: string;
  readonly hiddenSize: number;
  readonly deviation: number;
}

const module = "score";

// Hugging Face's rule: padding is told by its id alone, so a text that ends with that token is read before it.
const lastToken =
  (padding: number | null): NonNullable<Head["pool"]> =>
  (ids) =>
    Math.max(
      Array.from(ids).findLastIndex((id) => id !== padding),
      0,
    );

/** `score` over the labels that the configuration names. */
export const scoreHead = ({ config, where, hiddenSize, deviation }: ScoreHead): HeadParts => {
  const { labels, predicts } = labelsOf(config, where);
  const linear: LinearSpec = { module, inFeatures: hiddenSize, outFeatures: labels.length, bias: false, isHead: true };
  return {
    head: {
      task: "SEQ_CLS",
      pool: lastToken(configReader(config, where).integer("pad_token_id", null)),
      predicts,
      outputs: labels.length,
      labels,
      parameters: linearParameters(linear, deviation),
      whole: [module],
      linear: module,
      logits: (modules, hidden) => modules.linear(module, hidden), // (N, labels)
    },
    linears: [linear],
    aliases: {},
    unread: /^lm_head\./,
  };
};
