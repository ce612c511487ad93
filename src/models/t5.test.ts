import { describe, expect, it } from "vitest";
import { input, print, program } from "../graph/index.ts";
import { causalMask, fullMask, modulesOf, trainingAttention } from "../nn/index.ts";
import { sizeOf } from "../util/index.ts";
import { modelOf } from "./family.ts";
import type { Model } from "./model.ts";

const small = { model_type: "t5", vocab_size: 11, d_model: 8, d_kv: 3, d_ff: 12, num_layers: 2, num_decoder_layers: 1, num_heads: 4 };
const described = (changes: object = {}): Model => modelOf({ ...small, ...changes }, "config.json");

describe("parameters", () => {
  it("have the checkpoint's names, shapes and starting values", () => {
    const { parameters } = described({ num_layers: 1, initializer_factor: 2, relative_attention_num_buckets: 6 });
    const normal = (deviation: number): object => ({ normal: 2 * deviation });
    const attention = (module: string): object[] => [
      { name: `${module}.q.weight`, shape: [12, 8], start: normal(24 ** -0.5) },
      { name: `${module}.k.weight`, shape: [12, 8], start: normal(8 ** -0.5) },
      { name: `${module}.v.weight`, shape: [12, 8], start: normal(8 ** -0.5) },
      { name: `${module}.o.weight`, shape: [8, 12], start: normal(12 ** -0.5) },
    ];
    const gain = (module: string): object => ({ name: `${module}.weight`, shape: [8], start: "ones" });
    const feedForward = (module: string): object[] => [
      { name: `${module}.wi.weight`, shape: [12, 8], start: normal(8 ** -0.5) },
      { name: `${module}.wo.weight`, shape: [8, 12], start: normal(12 ** -0.5) },
    ];
    const bias = "layer.0.SelfAttention.relative_attention_bias.weight";
    expect(parameters).toEqual([
      { name: "shared.weight", shape: [11, 8], start: normal(1) },
      { name: `encoder.block.0.${bias}`, shape: [6, 4], start: normal(8 ** -0.5) },
      gain("encoder.block.0.layer.0.layer_norm"),
      ...attention("encoder.block.0.layer.0.SelfAttention"),
      gain("encoder.block.0.layer.1.layer_norm"),
      ...feedForward("encoder.block.0.layer.1.DenseReluDense"),
      gain("encoder.final_layer_norm"),
      { name: `decoder.block.0.${bias}`, shape: [6, 4], start: normal(8 ** -0.5) },
      gain("decoder.block.0.layer.0.layer_norm"),
      ...attention("decoder.block.0.layer.0.SelfAttention"),
      gain("decoder.block.0.layer.1.layer_norm"),
      ...attention("decoder.block.0.layer.1.EncDecAttention"),
      gain("decoder.block.0.layer.2.layer_norm"),
      ...feedForward("decoder.block.0.layer.2.DenseReluDense"),
      gain("decoder.final_layer_norm"),
    ]);
  });

  // The published sizes.
  it.each([
    { model: "T5 small", count: 60_506_624, config: {} },
    { model: "T5 base", count: 222_903_552, config: { d_model: 768, d_ff: 3072, num_layers: 12, num_heads: 12 } },
    {
      model: "FLAN-T5 small",
      count: 76_961_152,
      config: {
        d_ff: 1024,
        num_layers: 8,
        num_decoder_layers: 8,
        num_heads: 6,
        feed_forward_proj: "gated-gelu",
        tie_word_embeddings: false,
      },
    },
    {
      model: "mT5 small",
      count: 300_176_768,
      config: { model_type: "mt5", vocab_size: 250_112, d_ff: 1024, num_layers: 8, num_heads: 6, tie_word_embeddings: false },
    },
  ])("of $model are $count numbers", ({ config, count }) => {
    const { parameters } = modelOf({ model_type: "t5", ...config }, "config.json");
    expect(parameters.reduce((sum, { shape }) => sum + sizeOf(shape), 0)).toBe(count);
  });
});

it("lists its linear modules stack by stack, the head last and marked", () => {
  const { linears, head, layers, cache } = described({ feed_forward_proj: "gated-silu" });
  const attention = (module: string): string[] => ["q", "k", "v", "o"].map((name) => `${module}.${name}`);
  const feedForward = (module: string): string[] => ["wi_0", "wi_1", "wo"].map((name) => `${module}.DenseReluDense.${name}`);
  expect(linears.map(({ module }) => module)).toEqual([
    ...[0, 1].flatMap((layer) => [
      ...attention(`encoder.block.${layer}.layer.0.SelfAttention`),
      ...feedForward(`encoder.block.${layer}.layer.1`),
    ]),
    ...attention("decoder.block.0.layer.0.SelfAttention"),
    ...attention("decoder.block.0.layer.1.EncDecAttention"),
    ...feedForward("decoder.block.0.layer.2"),
    "lm_head",
  ]);
  expect(linears.filter(({ isHead }) => isHead).map(({ module }) => module)).toEqual([head.linear]);
  expect({ task: head.task, layers, cache }).toEqual({ task: "SEQ_2_SEQ_LM", layers: 1, cache: { heads: 4, headSize: 3 } });
});

describe("what the head reads is scaled", () => {
  it.each([
    { model_type: "t5", scaled: true },
    { model_type: "t5", tie_word_embeddings: false, scaled: false },
    { model_type: "t5", scale_decoder_outputs: false, scaled: false },
    { model_type: "t5", tie_word_embeddings: false, scale_decoder_outputs: true, scaled: true },
    { model_type: "mt5", scaled: false },
  ])("$scaled with $model_type, tied $tie_word_embeddings and the key $scale_decoder_outputs", ({ scaled, ...config }) => {
    const model = described(config);
    const row = (name: string): ReturnType<typeof input> => input(name, [1, 2], "i32");
    const attention = (name: string) => {
      const segments = row(name);
      return { positions: input(`${name} positions`, [1, 2], "i64"), maxPositions: 2, mask: fullMask(segments), block: 2 };
    };
    const shapes = new Map(model.parameters.map(({ name, shape }) => [name, input(name, shape)]));
    const hidden = model.forward(modulesOf({ find: (name) => shapes.get(name), aliases: model.aliases }), {
      ids: row("ids"),
      attention: trainingAttention({ ...attention("of targets"), mask: causalMask(row("targets")) }),
      source: { ids: row("source"), attention: trainingAttention(attention("of sources")), cross: trainingAttention(attention("across")) },
      recompute: false,
    });
    // One multiplication stands behind the last norm.
    expect(/multiply\(%\d+, %\d+\).*\nreturn hidden/.test(print(program({ hidden })))).toBe(scaled);
    expect(model.config["scale_decoder_outputs"]).toBe(scaled);
  });
});

it("lets adapters find the tables that it reads by index: tokens, by the names of both stacks too, and biases by distance", () => {
  const { embeddings } = described({ relative_attention_num_buckets: 6 });
  const tokens = { rows: 11, width: 8 };
  const bias = (stack: string) => `${stack}.block.0.layer.0.SelfAttention.relative_attention_bias`;
  expect(embeddings).toEqual([
    { module: "shared", ...tokens, isTokens: true },
    { module: "encoder.embed_tokens", ...tokens, isTokens: false },
    { module: bias("encoder"), rows: 6, width: 4, isTokens: false },
    { module: "decoder.embed_tokens", ...tokens, isTokens: false },
    { module: bias("decoder"), rows: 6, width: 4, isTokens: false },
  ]);
});

it("activates and gates as `dense_act_fn` and `is_gated_act` say, where they contradict `feed_forward_proj`", () => {
  const inputs = (changes: object): string[] =>
    described({ feed_forward_proj: "gated-gelu", ...changes }).linears.flatMap(
      ({ module }) => /block\.0.*\.(wi.*)/.exec(module)?.slice(1) ?? [],
    );
  expect(inputs({ dense_act_fn: "relu" })).toEqual(["wi_0", "wi_1", "wi_0", "wi_1"]);
  expect(inputs({ is_gated_act: false })).toEqual(["wi", "wi"]);
  expect(inputs({ feed_forward_proj: "relu", is_gated_act: true })).toEqual(["wi_0", "wi_1", "wi_0", "wi_1"]);
  expect(() => described({ dense_act_fn: "mish" })).toThrow('"dense_act_fn"');
});

it("begins to decode with the token that the configuration names, or with padding", () => {
  expect(described({ decoder_start_token_id: 4, pad_token_id: 3 }).decoderStart).toBe(4);
  expect(described({ pad_token_id: 3 }).decoderStart).toBe(3);
  expect(described().decoderStart).toBe(0);
});

it("takes the embedding's other names for the embedding", () => {
  const shared = { "encoder.embed_tokens.weight": "shared.weight", "decoder.embed_tokens.weight": "shared.weight" };
  expect(described().aliases).toEqual({ ...shared, "lm_head.weight": "shared.weight" });
  expect(described({ tie_word_embeddings: false }).aliases).toEqual(shared);
});

describe("refused are", () => {
  it.each([
    { changes: { feed_forward_proj: "gated-mish" }, message: '"feed_forward_proj" is "gated-mish"; offered, also with "gated-": silu' },
    { changes: { d_kv: 0 }, message: '"d_kv" must be a whole number from 1, not 0.' },
    { changes: { architectures: ["T5ForTokenClassification"] }, message: "The head of a T5ForTokenClassification is not offered" },
  ])("configurations: $message", ({ changes, message }) => {
    expect(() => described(changes)).toThrow(message);
  });

  it("tokens without a source", () => {
    const ids = input("ids", [1, 2], "i32");
    const attention = trainingAttention({ positions: ids, maxPositions: 2, mask: causalMask(ids), block: 2 });
    expect(() => described().forward(modulesOf({ find: () => undefined }), { ids, attention, recompute: false })).toThrow(
      /its encoder is given nothing to read/,
    );
  });
});
