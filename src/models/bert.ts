/** @file The BERT family: an encoder with token types, whose classifier stands on a pooler. */
import { configReader } from "../formats/index.ts";
import { tanh } from "../graph/index.ts";
import { activationOf, requireValue } from "./decoder-config.ts";
import { encoderModel, type Encoder } from "./encoder.ts";
import { classifierHead } from "./heads/classifier.ts";
import type { Family } from "./model.ts";

type Config = Readonly<Record<string, unknown>>;

/** A description with the keys and names that BERT and its successors share; `root` is the module of the encoder. */
export const readBert = (config: Config, where: string, root: string): Omit<Encoder, "classifiers" | "unread"> => {
  const read = configReader(config, where);
  for (const key of ["is_decoder", "add_cross_attention"]) requireValue(config, key, false, where);
  requireValue(config, "position_embedding_type", "absolute", where);
  return {
    type: root,
    config,
    where,
    vocabularySize: read.size("vocab_size"),
    hiddenSize: read.size("hidden_size", 768),
    innerSize: read.size("intermediate_size", 3072),
    layers: read.size("num_hidden_layers", 12),
    heads: read.size("num_attention_heads", 12),
    positions: read.size("max_position_embeddings", 512),
    reservedPositions: 0,
    placesOf: (_, positions) => positions,
    tokenTypes: read.size("type_vocab_size", 2),
    deviation: read.number("initializer_range", 0.02),
    epsilon: read.number("layer_norm_eps", 1e-12),
    activation: activationOf(read, "hidden_act", "gelu"),
    embeddings: `${root}.embeddings`,
    layerName: (index) => `${root}.encoder.layer.${index}`,
    layerNames: {
      query: "attention.self.query",
      key: "attention.self.key",
      value: "attention.self.value",
      output: "attention.output.dense",
      attentionNorm: "attention.output.LayerNorm",
      up: "intermediate.dense",
      down: "output.dense",
      outputNorm: "output.LayerNorm",
    },
  };
};

export const bert: Family = (config, where) => {
  const encoder = readBert(config, where, "bert");
  return encoderModel({
    ...encoder,
    classifiers: {
      ForSequenceClassification: () =>
        classifierHead({
          ...encoder,
          inner: { module: "bert.pooler.dense", isHead: false },
          activation: tanh,
          outer: "classifier",
          whole: ["classifier"],
        }),
    },
    unread: /^cls\./,
  });
};
