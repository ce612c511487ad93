/** @file The loss that a model's head is trained with, by what the head predicts and from what. It knows no model. */
import type { Head, Model } from "../../models/index.ts";
import { classification } from "./classification.ts";
import type { Loss } from "./loss.ts";
import { nextToken } from "./next-token.ts";
import { regression } from "./regression.ts";
import { sequenceToSequence } from "./sequence-to-sequence.ts";

const losses = {
  tokens: ({ decoderStart }: Model) => (decoderStart === undefined ? nextToken : sequenceToSequence),
  classes: classification,
  values: regression,
} as const satisfies Record<Head["predicts"], (model: Model) => unknown>;

/** The loss of a model's head; its examples are what the head predicts something of. */
export const lossOfHead = (model: Model): Loss => losses[model.head.predicts](model);
