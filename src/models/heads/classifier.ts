/** @file The classifier of encoders: a linear module and an activation on the first token of each document, and a linear module over the labels. It knows no family. */
import type { Activation } from "../../nn/index.ts";
import type { LinearSpec } from "../model.ts";
import { linearParameters, type HeadParts } from "./head.ts";
import { labelsOf } from "./labels.ts";

export interface ClassifierHead {
  readonly config: Readonly<Record<string, unknown>>;
  /** The configuration's file, for errors. */
  readonly where: string;
  readonly hiddenSize: number;
  readonly deviation: number;
  /** The module before the activation, and the one that makes the logits. */
  readonly inner: Pick<LinearSpec, "module" | "isHead">;
  readonly activation: Activation;
  readonly outer: string;
  /** What adapters train whole. */
  readonly whole: readonly string[];
}

/** outer(activation(inner(h))) over the labels that the configuration names. */
export const classifierHead = (about: ClassifierHead): HeadParts => {
  const { hiddenSize: D, deviation, activation } = about;
  const { labels, predicts } = labelsOf(about.config, about.where);
  const inner: LinearSpec = { ...about.inner, inFeatures: D, outFeatures: D, bias: true };
  const outer: LinearSpec = { module: about.outer, inFeatures: D, outFeatures: labels.length, bias: true, isHead: true };
  return {
    head: {
      task: "SEQ_CLS",
      pool: () => 0,
      predicts,
      outputs: labels.length,
      labels,
      parameters: [inner, outer].flatMap((linear) => linearParameters(linear, deviation)),
      whole: about.whole,
      logits: (used, hidden) => used.linear(outer.module, activation(used.linear(inner.module, hidden))), // (N, labels)
    },
    linears: [inner, outer],
    aliases: {},
  };
};
