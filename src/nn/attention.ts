/** @file Attention of grouped queries, in training and with a cache: the contract that models call, and its two forms. It knows nothing about projections. */
import {
  add,
  concat,
  constant,
  matmul,
  multiply,
  rematerialise,
  reshape,
  scale as scaled,
  slice,
  softmax,
  subtract,
  sum,
  withGradient,
  type Tensor,
} from "../graph/index.ts";
import type { Mask } from "./mask.ts";
import type { PositionBias } from "./position-bias.ts";
import { softcap, softcapSlope } from "./softcap.ts";

export interface AttendOptions {
  /** Factor on q·kᵀ. */
  readonly scale: number;
  /** A query sees this many keys, its own the last; default all before it. */
  readonly window?: number;
  /** The scaled scores are squeezed into ±cap; default not. */
  readonly cap?: number;
  /** What is added to the scores by how far apart query and key are; default nothing. */
  readonly positionBias?: PositionBias;
}

/** How the layers of one program attend; made once for a program and handed to the model's forward pass. */
export interface Attention {
  /** Position of each token in its document: (B, T) int64. */
  readonly positions: Tensor;
  /** Positions lie below this. */
  readonly maxPositions: number;
  /** softmax(q·kᵀ + mask)·v; q (B, H, T, D), k and v (B, K, S, D) with H a multiple of K, S = T but in cross-attention; result (B, H, T, D). */
  attend(layer: number, q: Tensor, k: Tensor, v: Tensor, options: AttendOptions): Tensor;
}

const keyAxis = 3;
const lastAxis = 4; // of cached attention's

// One block of queries against all keys that it may see; the softmax is kept for the backward pass.
const attendBlock = (q: Tensor, k: Tensor, v: Tensor, bias: Tensor, { scale, cap, positionBias }: AttendOptions): Tensor => {
  const [B, K, rows, D] = q.shape; // q (B, K, G·T, D), k and v (B, K, S, D), bias (B, 1, T, S) or (B, H, T, S)
  const [, , T, S] = bias.shape;
  const G = rows / T;
  const raw = matmul(q, k, { transposeB: true, alpha: scale }); // (B, K, G·T, S)
  const scores = cap === undefined ? raw : softcap(raw, cap);
  const p = reshape(softmax(add(reshape(scores, [B, K * G, T, S]), bias)), [B, K, rows, S]);
  const o = matmul(p, v); // (B, K, G·T, D)
  // dS = P∘(dP − rowsum(dO∘O)) [Dao et al. 2022, eq. 4]: the row sums come from O, not from the larger P.
  const sources = positionBias === undefined ? [q, k, v] : [q, k, v, bias];
  // P is the largest value of a layer, and made again from the scores in little time.
  const saved = [rematerialise(p, q), o];
  return withGradient(o, sources, cap === undefined ? saved : [...saved, scores], (dy, [query, key, value], [weights, output, capped]) => {
    const inner = sum(multiply(dy, output), [keyAxis]); // (B, K, G·T, 1)
    const uncapped = multiply(weights, subtract(matmul(dy, value, { transposeB: true }), inner)); // (B, K, G·T, S)
    const ds = cap === undefined ? uncapped : multiply(uncapped, softcapSlope(capped, cap));
    return [
      reshape(matmul(ds, key, { alpha: scale }), [B, K, rows, D]),
      matmul(ds, query, { transposeA: true, alpha: scale }),
      matmul(weights, dy, { transposeA: true }),
      ...(positionBias === undefined ? [] : [reshape(uncapped, bias.shape)]),
    ];
  });
};

export interface TrainingAttentionOptions {
  /** (B, T) int64. */
  readonly positions: Tensor;
  readonly maxPositions: number;
  readonly mask: Mask;
  /** Queries per block; keys that none of them may see are not computed, what else is masked is. */
  readonly block: number;
}

/** The positions `start … end − 1` of a row: (1, end − start) int64. Within a document they are as far apart as its own. */
const places = (start: number, end: number): Tensor =>
  constant({
    dtype: "i64",
    shape: [1, end - start],
    data: BigInt64Array.from({ length: end - start }, (_, index) => BigInt(start + index)),
  });

/** What is added to scores, mask and position bias together, made once for all layers that need the same. */
const sharedBiases = () => {
  const made = new Map<PositionBias | undefined, Map<string, Tensor>>();
  const once = (kind: PositionBias | undefined, key: string, make: () => Tensor): Tensor => {
    const ofKind = made.get(kind) ?? new Map<string, Tensor>();
    const bias = ofKind.get(key) ?? make();
    made.set(kind, ofKind.set(key, bias));
    return bias;
  };
  return (key: string, mask: () => Tensor, positionBias: PositionBias | undefined, apart: (bias: PositionBias) => Tensor): Tensor => {
    const plain = once(undefined, key, mask);
    return positionBias === undefined ? plain : once(positionBias, key, () => add(plain, apart(positionBias)));
  };
};

/** Attention over whole sequences, in blocks of queries. */
export const trainingAttention = ({ positions, maxPositions, mask, block }: TrainingAttentionOptions): Attention => {
  const biasOf = sharedBiases();
  return {
    positions,
    maxPositions,
    attend: (_, q, k, v, options) => {
      const [B, H, T, D] = q.shape;
      const window = options.window === undefined || options.window >= T ? Infinity : options.window;
      const K = k.shape[1];
      const G = H / K;
      const grouped = reshape(q, [B * K, G, T, D]);
      const outputs: Tensor[] = [];
      for (let start = 0; start < T; start += block) {
        const end = Math.min(start + block, T);
        const [first, last] = mask.keys(start, end, window);
        const rows = reshape(slice(grouped, 2, start, end), [B, K, G * (end - start), D]);
        const bias = biasOf(
          `${start} ${window}`,
          () => mask.bias(start, end, window),
          options.positionBias,
          (positionBias) => positionBias(places(start, end), places(first, last), Math.max(end, last)),
        );
        const o = attendBlock(rows, slice(k, 2, first, last), slice(v, 2, first, last), bias, options);
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
  /** Additive mask over past and present keys, seen through a window: (B, 1, T, P + T). */
  readonly bias: (window: number) => Tensor;
  /** Cached keys and values of a layer, (B, K, P, D) each; undefined where nothing is cached yet. */
  readonly past: (layer: number) => { readonly key: Tensor; readonly value: Tensor } | undefined;
  /** Called with the present keys and values of a layer, (B, K, T, D) each, for the cache. */
  readonly present: (layer: number, key: Tensor, value: Tensor) => void;
}

/** Attention with a key/value cache that is read where it lies: it is not copied, only the new rows leave the program. */
export const cachedAttention = ({ positions, maxPositions, bias, past, present }: CachedAttentionOptions): Attention => {
  const biasOf = sharedBiases();
  return {
    positions,
    maxPositions,
    attend: (layer, q, k, v, { scale, window = Infinity, cap, positionBias }) => {
      present(layer, k, v);
      const [B, H, T, D] = q.shape;
      const K = k.shape[1];
      const G = H / K;
      // A single token makes products of one row for each head, which the runtime multiplies without packing keys and values first, if no factor is asked of it.
      const [N, M] = T === 1 ? [G, 1] : [1, G * T];
      const rows = reshape(scaled(q, scale), [B, K, N, M, D]);
      const shared = (x: Tensor): Tensor => reshape(x, [B, K, 1, x.shape[2], D]);
      const [keys, values] = [shared(k), shared(v)];
      const before = past(layer);
      const cached = before && { keys: shared(before.key), values: shared(before.value) };
      const score = (x: Tensor): Tensor => matmul(rows, x, { transposeB: true }); // (B, K, N, M, S)
      const raw = cached === undefined ? score(keys) : concat([score(cached.keys), score(keys)], lastAxis);
      const S = raw.shape[lastAxis];
      const scores = cap === undefined ? raw : softcap(raw, cap);
      const added = biasOf(
        `${window}`,
        () => bias(window),
        positionBias,
        (apart) => apart(positions, cached === undefined ? positions : concat([places(0, S - T), positions], 1), S),
      ); // (B, 1, T, S) or (B, H, T, S)
      const isOneRow = added.shape[1] * T === 1;
      const p = isOneRow
        ? softmax(add(scores, reshape(added, [B, 1, 1, 1, S])))
        : reshape(softmax(add(reshape(scores, [B, H, T, S]), added)), [B, K, N, M, S]);
      const now = matmul(slice(p, lastAxis, S - T, S), values); // (B, K, N, M, D)
      const o = cached === undefined ? now : add(matmul(slice(p, lastAxis, 0, S - T), cached.values), now);
      return reshape(o, [B, H, T, D]);
    },
  };
};
