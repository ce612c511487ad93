/** @file The program that reads tokens of one or more rows over what is cached of each: its graph, and who sees whom. It knows nothing about who feeds it. */
import { cast, gather, input, program, type Graph, type Tensor } from "../graph/index.ts";
import type { Source } from "../models/index.ts";
import { cachedAttention } from "../nn/index.ts";
import type { Feed } from "../runtime/index.ts";
import type { Inference } from "./inference.ts";

/** Rows, new tokens of each, and places of the cache, 0 where nothing is cached yet; L tokens whose logits are wanted, default one of each row. */
export interface DecodeShape {
  readonly B: number;
  readonly T: number;
  readonly P: number;
  readonly L?: number;
}

/** What an encoder has made of a source. */
export interface Encoded {
  /** Places of the source, padding included: programs differ by it. */
  readonly size: number;
  /** How a program of T tokens attends to it. */
  source(T: number): Source;
  /** The inputs that this makes. */
  readonly feeds: Readonly<Record<string, Feed>>;
}

/**
 * Inputs ids and positions (B, T), bias.w (B, 1, T, P + T), and last (L), which counts the tokens of all rows; past_key.l and past_value.l
 * (B, K, P, D). Outputs logits (L, V) of those last tokens, and the new rows key.l and value.l (B, K, T, D).
 */
export const decodeProgram = (
  { model, modules }: Pick<Inference, "model" | "modules">,
  { B, T, P, L = B }: DecodeShape,
  encoded?: Encoded,
): Graph => {
  const { heads: K, headSize } = model.cache;
  const outputs: Record<string, Tensor> = {};
  const biases = new Map(model.windows.map((window) => [window, input(`bias.${window}`, [B, 1, T, P + T])]));
  const attention = cachedAttention({
    positions: cast(input("positions", [B, T], "i32"), "i64"),
    maxPositions: Math.min(P + T, model.maxPositions),
    bias: (window) => biases.get(window)!,
    past: (layer) => {
      if (P === 0) return undefined;
      return { key: input(`past_key.${layer}`, [B, K, P, headSize]), value: input(`past_value.${layer}`, [B, K, P, headSize]) };
    },
    present: (layer, key, value) => {
      outputs[`key.${layer}`] = key;
      outputs[`value.${layer}`] = value;
    },
  });
  const used = modules();
  const source = encoded && { source: encoded.source(T) };
  const hidden = model.forward(used, { ids: input("ids", [B, T], "i32"), attention, ...source, recompute: false }); // (B·T, D)
  const lastRows = gather(hidden, input("last", [L], "i32")); // (L, D)
  return program({ logits: model.head.logits(used, lastRows), ...outputs });
};

const masked = -1e30;

/**
 * What query i of each row sees through a window: of that row's cached tokens, as many as `lengths` says, and of the new ones itself and
 * those before it. (B, 1, T, P + T)
 */
export const biasOf = (window: number, lengths: readonly number[], T: number, P: number): Float32Array => {
  const bias = new Float32Array(lengths.length * T * (P + T)).fill(masked);
  for (const [row, length] of lengths.entries())
    for (let query = 0; query < T; query++) {
      const start = (row * T + query) * (P + T);
      const first = Math.max(0, length + query - window + 1); // the first position that the window shows
      if (P > 0) bias.fill(0, start + Math.min(first, length), start + length);
      bias.fill(0, start + P + Math.max(0, first - length), start + P + query + 1);
    }
  return bias;
};
