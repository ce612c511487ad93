/** @file The DistilBERT family: BERT without token types and pooler, with names and keys of its own. */
import { configReader } from "../formats/index.ts";
import { relu } from "../graph/index.ts";
import { activationOf } from "./decoder-config.ts";
import { encoderModel, type Encoder } from "./encoder.ts";
import { classifierHead } from "./heads/classifier.ts";
import type { Family } from "./model.ts";

export const distilbert: Family = (config, where) => {
  const read = configReader(config, where);
  const encoder: Omit<Encoder, "classifiers" | "unread"> = {
    type: "distilbert",
    config,
    where,
    vocabularySize: read.size("vocab_size"),
    hiddenSize: read.size("dim", 768),
    innerSize: read.size("hidden_dim", 3072),
    layers: read.size("n_layers", 6),
    heads: read.size("n_heads", 12),
    positions: read.size("max_position_embeddings", 512),
    reservedPositions: 0,
    placesOf: (_, positions) => positions,
    tokenTypes: 0,
    deviation: read.number("initializer_range", 0.02),
    epsilon: 1e-12,
    activation: activationOf(read, "activation", "gelu"),
    embeddings: "distilbert.embeddings",
    layerName: (index) => `distilbert.transformer.layer.${index}`,
    layerNames: {
      query: "attention.q_lin",
      key: "attention.k_lin",
      value: "attention.v_lin",
      output: "attention.out_lin",
      attentionNorm: "sa_layer_norm",
      up: "ffn.lin1",
      down: "ffn.lin2",
      outputNorm: "output_layer_norm",
    },
  };
  return encoderModel({
    ...encoder,
    classifiers: {
      ForSequenceClassification: () =>
        classifierHead({
          ...encoder,
          inner: { module: "pre_classifier", isHead: false },
          activation: relu,
          outer: "classifier",
          // PEFT compares ends of names, so "classifier" saves both.
          whole: ["pre_classifier", "classifier"],
        }),
    },
    unread: /^vocab_/,
  });
};
