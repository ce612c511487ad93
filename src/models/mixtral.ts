/** @file The Mixtral family: Mistral with routed experts in every layer. */
import { configReader } from "../formats/index.ts";
import { decoderRope, readDecoder, requireValue, slidingWindow } from "./decoder-config.ts";
import { decoderModel } from "./decoder.ts";
import { balanceOf, expertsPerToken, type Experts } from "./experts.ts";
import type { Family } from "./model.ts";

export const mixtral: Family = (config, where) => {
  const read = configReader(config, where);
  requireValue(config, "router_jitter_noise", 0, where);
  const decoder = readDecoder("mixtral", config, where, { keyValueHeads: 8, epsilon: 1e-5, maxPositions: 131_072 });
  const rope = decoderRope(decoder, where, { theta: 1_000_000 });
  const window = slidingWindow(config, where, null) ?? Infinity;
  const count = read.size("num_local_experts", 8);
  const experts: Experts = {
    count,
    perToken: expertsPerToken(read, count, 2, where),
    // The softmax over all experts, divided by its sum over the chosen ones, is the softmax over the chosen ones.
    isNormalised: true,
    innerSize: decoder.innerSize,
    names: { block: "block_sparse_moe", gate: "w1", up: "w3", down: "w2" },
  };
  return decoderModel({
    ...decoder,
    experts: () => experts,
    balance: balanceOf(read, experts),
    biases: { qkv: false, output: false, mlp: false },
    rope: () => rope,
    window: () => window,
  });
};
