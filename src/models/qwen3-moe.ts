/** @file The Qwen 3 family with routed experts: in every layer, or in every few, beside layers with one gated block. */
import { configReader } from "../formats/index.ts";
import { decoderRope, readDecoder, slidingWindow } from "./decoder-config.ts";
import { decoderModel } from "./decoder.ts";
import { balanceOf, expertsPerToken, type Experts } from "./experts.ts";
import type { Family } from "./model.ts";

export const qwen3Moe: Family = (config, where) => {
  const read = configReader(config, where);
  const decoder = readDecoder("qwen3_moe", config, where, { keyValueHeads: 4, maxPositions: 32_768 });
  const rope = decoderRope(decoder, where);
  const window = (read.boolean("use_sliding_window", false) ? slidingWindow(config, where, 4096) : undefined) ?? Infinity;
  const count = read.integer("num_local_experts", read.integer("num_experts", 128)); // the newer key and the released one
  const experts: Experts = {
    count,
    perToken: expertsPerToken(read, count, 8, where),
    isNormalised: read.boolean("norm_topk_prob", false),
    innerSize: read.size("moe_intermediate_size", 768),
    names: { block: "mlp", gate: "gate_proj", up: "up_proj", down: "down_proj" },
  };
  const step = read.size("decoder_sparse_step", 1);
  const dense = new Set(read.integers("mlp_only_layers", []));
  return decoderModel({
    ...decoder,
    experts: (layer) => (count > 0 && !dense.has(layer) && (layer + 1) % step === 0 ? experts : undefined),
    balance: balanceOf(read, experts),
    queryKeyNorm: "head",
    rope: () => rope,
    window: () => window,
  });
};
