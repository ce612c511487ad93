/** @file The classifier of decoders: one linear module, `score`, on the last token of each document. It knows no family. */
import type { LinearSpec } from "../model.ts";
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

/** `score` over the labels that the configuration names. */
export const scoreHead = ({ config, where, hiddenSize, deviation }: ScoreHead): HeadParts => {
  const { labels, predicts } = labelsOf(config, where);
  const linear: LinearSpec = { module, inFeatures: hiddenSize, outFeatures: labels.length, bias: false, isHead: true };
  return {
    head: {
      task: "SEQ_CLS",
      reads: "last",
      predicts,
      outputs: labels.length,
      labels,
      modules: [module],
      linear: module,
      logits: (modules, hidden) => modules.linear(module, hidden), // (N, labels)
    },
    parameters: linearParameters(linear, deviation),
    linears: [linear],
    aliases: {},
    unread: /^lm_head\./,
  };
};
