import { describe, expect, it } from "vitest";
import { modelOf } from "../family.ts";
import type { Model } from "../model.ts";
import { withLabels } from "./labels.ts";

const decoders: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  llama: { hidden_size: 8, intermediate_size: 12, num_hidden_layers: 1, num_attention_heads: 2, tie_word_embeddings: true },
  gpt2: { n_embd: 8, n_layer: 1, n_head: 2 },
};

const modelWith = (type: string, changes: Readonly<Record<string, unknown>>): Model =>
  modelOf({ model_type: type, vocab_size: 11, ...decoders[type], ...changes }, "config.json");

const classifier = { architectures: ["LlamaForSequenceClassification"] };

describe.each(["llama", "gpt2"])("a %s", (type) => {
  it("predicts tokens, whatever its class, unless that is a classifier's", () => {
    for (const architectures of [undefined, ["LlamaForCausalLM"], ["GPT2LMHeadModel"], ["LlamaModel"]]) {
      const { head, aliases } = modelWith(type, { architectures });
      expect(head).toMatchObject({ task: "CAUSAL_LM", predicts: "tokens", outputs: 11, labels: [], linear: "lm_head" });
      expect(Object.keys(aliases)).toEqual(["lm_head.weight"]);
    }
  });

  it("classifies by the last token of each document with a score head in place of the output embedding", () => {
    const { head, parameters, linears, aliases, unread } = modelWith(type, { ...classifier, num_labels: 3 });
    expect(head).toMatchObject({ task: "SEQ_CLS", predicts: "classes", outputs: 3, whole: ["score"], linear: "score" });
    expect(parameters.at(-1)).toEqual({ name: "score.weight", shape: [3, 8], start: { normal: 0.02 } });
    expect([head.pool!([5, 6, 7]), head.pool!([7])]).toEqual([2, 0]);
    expect(linears.at(-1)).toEqual({ module: "score", inFeatures: 8, outFeatures: 3, bias: false, isHead: true });
    expect([linears.some(({ module }) => module === "lm_head"), aliases, unread!.test("lm_head.weight")]).toEqual([false, {}, true]);
  });

  it("passes over padding tokens, wherever they stand, as Hugging Face's does", () => {
    const { pool } = modelWith(type, { ...classifier, pad_token_id: 0 }).head;
    expect([pool!([5, 0, 6, 0, 0]), pool!([5, 6]), pool!([0, 0])]).toEqual([2, 1, 0]);
  });

  it.each([
    { problem_type: "multi_label_classification", message: '"problem_type" is "multi_label_classification"; offered: single_label' },
    { id2label: { 1: "a", 2: "b" }, message: '"id2label" must name the labels 0, 1 …' },
    { id2label: {}, message: '"id2label" must name the labels' },
    { num_labels: 0, message: '"num_labels" must be a whole number from 1' },
    {
      architectures: ["LlamaForTokenClassification"],
      message: "The head of a LlamaForTokenClassification is not offered; offered: ForCausalLM",
    },
  ])("is refused: $message", ({ message, ...changes }) => {
    expect(() => modelWith(type, { ...classifier, ...changes })).toThrow(message);
  });
});

describe("labels", () => {
  it.each([
    { config: {}, predicts: "classes", labels: ["LABEL_0", "LABEL_1"] },
    { config: { id2label: { 1: "spam", 0: "ham" } }, predicts: "classes", labels: ["ham", "spam"] },
    { config: { num_labels: 1 }, predicts: "values", labels: ["LABEL_0"] },
    { config: { num_labels: 1, problem_type: "single_label_classification" }, predicts: "classes", labels: ["LABEL_0"] },
    { config: { num_labels: 2, problem_type: "regression" }, predicts: "values", labels: ["LABEL_0", "LABEL_1"] },
  ])("of $config are $labels", ({ config, ...expected }) => {
    expect(modelWith("llama", { ...classifier, ...config }).head).toMatchObject(expected);
  });

  it.each([
    [["LlamaForCausalLM"], "LlamaForSequenceClassification"],
    [["GPT2LMHeadModel"], "GPT2ForSequenceClassification"],
    [["BertModel"], "BertForSequenceClassification"],
    [undefined, "ForSequenceClassification"],
  ])("turn a configuration of %j into one of a %s", (architectures, name) => {
    const config = withLabels({ model_type: "llama", architectures, num_labels: 5 }, { labels: ["ham", "spam"], predicts: "classes" });
    expect(config).toEqual({
      model_type: "llama",
      architectures: [name],
      id2label: { 0: "ham", 1: "spam" },
      label2id: { ham: 0, spam: 1 },
      problem_type: "single_label_classification",
    });
    expect(modelWith("llama", config).head).toMatchObject({ predicts: "classes", labels: ["ham", "spam"] });
  });
});
