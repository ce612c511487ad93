/** @file Attention of grouped queries, in training and with a cache: the contract that models call, and its two forms. It knows nothing about projections. */
import { add, concat, matmul, multiply, reshape, slice, softmax, subtract, sum, withGradient, type Tensor } from "../graph/index.ts";

export interface AttendOptions {
  /** Factor on q·kᵀ. */
  readonly scale: number;
}

/** How the layers of one program attend; made once for a program and handed to the model's forward pass. */
export interface Attention {
  /** Position of each token in its document: (B, T) int64. */
  readonly positions: Tensor;
  /** Positions lie below this. */
  readonly maxPositions: number;
  /** softmax(q·kᵀ)·v with causal and document masks; q (B, H, T, D), k and v (B, K, T, D) with H a multiple of K; result (B, H, T, D). */
  attend(layer: number, q: Tensor, k: Tensor, v: Tensor, options: AttendOptions): Tensor;
}

const last = 3;

// One block of queries against all keys that it may see; the softmax is kept for the backward pass.
const attendBlock = (q: Tensor, k: Tensor, v: Tensor, bias: Tensor, scale: number): Tensor => {
  const [B, K, rows, D] = q.shape; // q (B, K, G·T, D), k and v (B, K, S, D), bias (B, 1, T, S)
  const [, , T, S] = bias.shape;
  const G = rows / T;
  const scores = reshape(matmul(q, k, { transposeB: true, alpha: scale }), [B, K * G, T, S]);
  const p = reshape(softmax(add(scores, bias)), [B, K, rows, S]);
  const o = matmul(p, v); // (B, K, G·T, D)
  // dS = P∘(dP − rowsum(dO∘O)) [Dao et al. 2022, eq. 4]: the row sums come from O, not from the larger P.
  return withGradient(o, [q, k, v], [p, o], (dy, [query, key, value], [weights, output]) => {
    const inner = sum(multiply(dy, output), [last]); // (B, K, G·T, 1)
    const ds = multiply(weights, subtract(matmul(dy, value, { transposeB: true }), inner)); // (B, K, G·T, S)
    return [
      reshape(matmul(ds, key, { alpha: scale }), [B, K, rows, D]),
      matmul(ds, query, { transposeA: true, alpha: scale }),
      matmul(weights, dy, { transposeA: true }),
    ];
  });
};

export interface TrainingAttentionOptions {
  /** (B, T) int64. */
  readonly positions: Tensor;
  readonly maxPositions: number;
  /** Additive mask for queries `start … end − 1` and keys `0 … end − 1`: (B, 1, end − start, end). */
  readonly bias: (start: number, end: number) => Tensor;
  /** Queries per block; what lies above the diagonal of a block's square is computed and masked, what lies beyond it is not computed. */
  readonly block: number;
}

/** Attention over whole sequences, in blocks of queries. */
export const trainingAttention = ({ positions, maxPositions, bias, block }: TrainingAttentionOptions): Attention => {
  const biases = new Map<number, Tensor>();
  const biasOf = (start: number, end: number): Tensor => {
    const tensor = biases.get(start) ?? bias(start, end);
    biases.set(start, tensor);
    return tensor;
  };
  return {
    positions,
    maxPositions,
    attend: (_, q, k, v, { scale }) => {
      const [B, H, T, D] = q.shape;
      const K = k.shape[1];
      const G = H / K;
      const grouped = reshape(q, [B * K, G, T, D]);
      const outputs: Tensor[] = [];
      for (let start = 0; start < T; start += block) {
        const end = Math.min(start + block, T);
        const rows = reshape(slice(grouped, 2, start, end), [B, K, G * (end - start), D]);
        const o = attendBlock(rows, slice(k, 2, 0, end), slice(v, 2, 0, end), biasOf(start, end), scale);
        outputs.push(reshape(o, [B, H, end - start, D]));
      }
      return concat(outputs, 2); // (B, H, T, D)
    },
  };
};

export interface CachedAttentionOptions {
  /** (B, T) int64. */
  readonly positions: Tensor;
  readonly maxPositions: number;
  /** Additive mask over past and present keys: (B, 1, T, P + T). */
  readonly bias: Tensor;
  /** Cached keys and values of a layer, (B, K, P, D) each; undefined where nothing is cached yet. */
  readonly past: (layer: number) => { readonly key: Tensor; readonly value: Tensor } | undefined;
  /** Called with the present keys and values of a layer, (B, K, T, D) each, for the cache. */
  readonly present: (layer: number, key: Tensor, value: Tensor) => void;
}

/** Attention with a key/value cache that is read where it lies: it is not copied, only the new rows leave the program. */
export const cachedAttention = ({ positions, maxPositions, bias, past, present }: CachedAttentionOptions): Attention => ({
  positions,
  maxPositions,
  attend: (layer, q, k, v, { scale }) => {
    present(layer, k, v);
    const [B, H, T, D] = q.shape;
    const K = k.shape[1];
    const rows = reshape(q, [B, K, (H / K) * T, D]);
    const cached = past(layer);
    const score = (keys: Tensor): Tensor => matmul(rows, keys, { transposeB: true, alpha: scale }); // (B, K, G·T, S)
    const scores = cached === undefined ? score(k) : concat([score(cached.key), score(k)], last);
    const S = scores.shape[last];
    const p = reshape(softmax(add(reshape(scores, [B, H, T, S]), bias)), [B, K, (H / K) * T, S]);
    const now = matmul(slice(p, last, S - T, S), v); // (B, K, G·T, D)
    const o = cached === undefined ? now : add(matmul(slice(p, last, 0, S - T), cached.value), now);
    return reshape(o, [B, H, T, D]);
  },
});
