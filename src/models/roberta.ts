/** @file The RoBERTa family: BERT whose positions are counted from behind the padding token's, with a classifier of two layers. */
import { configReader } from "../formats/index.ts";
import { tanh } from "../graph/index.ts";
import { countedPositions } from "../nn/index.ts";
import { readBert } from "./bert.ts";
import { encoderModel } from "./encoder.ts";
import { classifierHead } from "./heads/classifier.ts";
import type { Family } from "./model.ts";

export const roberta: Family = (config, where) => {
  const encoder = readBert(config, where, "roberta");
  const padding = configReader(config, where).integer("pad_token_id", 1);
  return encoderModel({
    ...encoder,
    reservedPositions: padding + 1,
    placesOf: (ids, positions) => countedPositions(ids, positions, padding),
    classifiers: {
      ForSequenceClassification: () =>
        classifierHead({
          ...encoder,
          inner: { module: "classifier.dense", isHead: true },
          activation: tanh,
          outer: "classifier.out_proj",
          whole: ["classifier"],
        }),
    },
    unread: /^(lm_head|roberta\.pooler)\./,
  });
};
