/** @file Attention of grouped queries, in training and with a cache: the contract that models call, and its two forms. It knows nothing about projections. */
import {
  add,
  after,
  concat,
  constant,
  matmul,
  reshape,
  retained,
  scale as scaled,
  slice,
  softmax,
  transpose,
  withGradient,
  type Tensor,
} from "../graph/index.ts";
import { gradientsByBlock, gradientsByPiece, keysOf, shiftOf, weightsOf, type Block } from "./attention-blocks.ts";
import type { Mask } from "./mask.ts";
import type { PositionBias } from "./position-bias.ts";
import { softcap } from "./softcap.ts";

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
  /** softmax(q·kᵀ + mask)·v; q (B, H, T, D), k and v (B, K, S, D) with H a multiple of K, S = T but in cross-attention; result (B, T, H, D). */
  attend(layer: number, q: Tensor, k: Tensor, v: Tensor, options: AttendOptions): Tensor;
}

const positionAxis = 2;
const lastAxis = 4; // of cached attention's

export interface TrainingAttentionOptions {
  /** (B, T) int64. */
  readonly positions: Tensor;
  readonly maxPositions: number;
  readonly mask: Mask;
  /** Queries per block; keys that none of them may see are not computed, what else is masked is. */
  readonly block: number;
  /**
   * Whether the gradient makes the weights of each block again instead of keeping them all; default it does. Then a layer that is computed
   * again takes what was attended from the first time, so that weights are made twice in any case.
   */
  readonly remake?: boolean;
  /** Makes them again for so many keys at a time, for long rows whose gradient will be taken; default for all of a block's at once. */
  readonly piece?: number;
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
export const trainingAttention = ({ positions, maxPositions, mask, block, piece, remake = true }: TrainingAttentionOptions): Attention => {
  const biasOf = sharedBiases();
  const blocksOf = (q: Tensor, K: number, options: AttendOptions): Block[] => {
    const [B, H, T, D] = q.shape;
    const window = options.window === undefined || options.window >= T ? Infinity : options.window;
    const grouped = reshape(q, [B * K, H / K, T, D]);
    const spans = Array.from({ length: Math.ceil(T / block) }, (_, index) => {
      const [start, end] = [index * block, Math.min((index + 1) * block, T)];
      const [first, last] = mask.keys(start, end, window);
      return { start, end, first, last };
    });
    return spans.map((span) => {
      const { start, end, first, last } = span;
      const bias = biasOf(
        `${start} ${window}`,
        () => mask.bias(start, end, window),
        options.positionBias,
        (positionBias) => positionBias(places(start, end), places(first, last), Math.max(end, last)),
      );
      return { ...span, bias, rows: reshape(slice(grouped, positionAxis, start, end), [B, K, (H / K) * (end - start), D]) };
    });
  };
  return {
    positions,
    maxPositions,
    attend: (_, q, k, v, options) => {
      const [B, H, , D] = q.shape;
      const blocks = blocksOf(q, k.shape[1], options);
      const weights = blocks.map((each) => weightsOf(each, each.rows, keysOf(each, k), options));
      const shifts = piece === undefined ? [] : weights.map(shiftOf);
      const parts = blocks.map((each, index) => {
        const o = matmul(weights[index].p, keysOf(each, v)); // (B, K, G·rows, D)
        // What the shift is made from would else wait for the gradient.
        return transpose(reshape(piece === undefined ? o : after(o, shifts[index]), [B, H, each.end - each.start, D]), [0, 2, 1, 3]);
      });
      const whole = concat(parts, 1); // (B, T, H, D)
      const o = remake ? retained(whole) : whole;
      const kept = remake ? [] : [...weights.map(({ p }) => p), ...weights.map(({ scores }) => scores)];
      const saved = piece === undefined ? kept : [retained(concat(shifts, positionAxis))]; // (B, H, T, 1)
      const count = blocks.length;
      const isBiased = options.positionBias !== undefined;
      return withGradient(
        o,
        [k, v, ...blocks.map(({ rows }) => rows), ...(isBiased ? blocks.map(({ bias }) => bias) : [])],
        [o, ...saved],
        (dy, [keys, values, ...rest], [output, ...found]) => {
          const seen = blocks.map((each, index) => ({ ...each, rows: rest[index], bias: rest[count + index] ?? each.bias }));
          const attended = { dy, o: output, keys, values, blocks: seen, options };
          const kept = remake ? [] : blocks.map((_each, index) => ({ p: found[index], scores: found[count + index] }));
          const {
            k: dk,
            v: dv,
            rows,
            biases,
          } = piece === undefined ? gradientsByBlock(attended, kept) : gradientsByPiece(attended, found[0], piece);
          return [dk, dv, ...rows, ...biases];
        },
      );
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
      return transpose(reshape(o, [B, H, T, D]), [0, 2, 1, 3]);
    },
  };
};
