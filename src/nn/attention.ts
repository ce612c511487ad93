/** @file Attention of grouped queries, in training and with a cache: the contract that models call, and its two forms. It knows nothing about projections. */
import {
  add,
  after,
  concat,
  constant,
  matmul,
  multiply,
  pad,
  reshape,
  retained,
  scale as scaled,
  slice,
  softmax,
  subtract,
  sum,
  transpose,
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
  /** softmax(q·kᵀ + mask)·v; q (B, H, T, D), k and v (B, K, S, D) with H a multiple of K, S = T but in cross-attention; result (B, T, H, D). */
  attend(layer: number, q: Tensor, k: Tensor, v: Tensor, options: AttendOptions): Tensor;
}

const keyAxis = 3;
const positionAxis = 2;
const lastAxis = 4; // of cached attention's

/** A block of queries and what it is attended with. */
interface Block {
  readonly start: number;
  readonly end: number;
  /** The keys that it may see: from the first to before the last. */
  readonly first: number;
  readonly last: number;
  /** (B, K, G·rows, D) */
  readonly rows: Tensor;
  /** (B, 1, rows, S) or (B, H, rows, S) */
  readonly bias: Tensor;
}

const keysOf = ({ first, last }: Block, x: Tensor): Tensor => slice(x, positionAxis, first, last);

interface Weights {
  /** softmax(q·kᵀ + bias): (B, K, G·rows, S). */
  readonly p: Tensor;
  /** Scores after the cap, of the same shape. */
  readonly scores: Tensor;
}

const weightsOf = ({ bias }: Block, q: Tensor, k: Tensor, { scale, cap }: AttendOptions): Weights => {
  const [B, K, rows] = q.shape;
  const [, , T, S] = bias.shape;
  const raw = matmul(q, k, { transposeB: true, alpha: scale });
  const scores = cap === undefined ? raw : softcap(raw, cap);
  const p = softmax(add(reshape(scores, [B, (K * rows) / T, T, S]), bias));
  return { p: reshape(p, [B, K, rows, S]), scores };
};

/** A sum along one axis of pieces that cover parts of it. */
interface Sum {
  readonly from: number;
  readonly to: number;
  readonly value: Tensor;
}

const widened = ({ from, to, value }: Sum, first: number, last: number): Tensor => pad(value, positionAxis, from - first, last - to);

const summed = (sofar: Sum | undefined, term: Sum): Sum => {
  if (sofar === undefined) return term;
  const [from, to] = [Math.min(sofar.from, term.from), Math.max(sofar.to, term.to)];
  return { from, to, value: add(widened(sofar, from, to), widened(term, from, to)) };
};

/** The first element of x, which is not there before `other` is: what waits for it waits for both. */
const tokenOf = (x: Tensor, other: Tensor): Tensor => after(slice(reshape(x, [-1]), 0, 0, 1), other);

interface Gradients {
  /** Of each block's rows, and of its bias where that has a gradient. */
  readonly rows: readonly Tensor[];
  readonly biases: readonly Tensor[];
  /** (B, K, S, D) */
  readonly k: Tensor;
  readonly v: Tensor;
}

/**
 * Gradients of the attended vectors, block by block: each waits for the one before, so that the values of one block exist at a time.
 * dS = P∘(dP − rowsum(dO∘O)) [Dao et al. 2022, eq. 4]: the row sums come from O, not from the larger P.
 */
const attentionGradients = (
  dy: Tensor, // (B, T, H, D)
  o: Tensor, // (B, T, H, D)
  k: Tensor,
  v: Tensor,
  blocks: readonly Block[],
  options: AttendOptions,
  kept: readonly Weights[],
): Gradients => {
  const { scale, cap } = options;
  const D = o.shape[3];
  // Without a copy of their own the runtime would keep the slices of the forward pass.
  const [keys, values] = kept.length === 0 ? [after(k, dy), after(v, dy)] : [k, v];
  const inner = transpose(sum(multiply(dy, o), [keyAxis]), [0, 2, 1, 3]); // (B, H, T, 1)
  const rows: Tensor[] = [];
  const biases: Tensor[] = [];
  let both: Sum | undefined; // of keys and values side by side: (B, K, S, 2·D)
  let token = dy;
  blocks.forEach((block, index) => {
    const { start, end, first, last, bias } = block;
    const [key, value] = [keysOf(block, keys), keysOf(block, values)];
    const q = kept.length === 0 ? after(block.rows, token) : block.rows;
    const { p, scores } = kept[index] ?? weightsOf(block, q, key, options);
    const dBlock = reshape(transpose(slice(dy, 1, start, end), [0, 2, 1, 3]), q.shape);
    const dO = index === 0 ? dBlock : after(dBlock, token); // (B, K, G·rows, D)
    const rowSums = reshape(slice(inner, positionAxis, start, end), [...q.shape.slice(0, -1), 1]);
    const uncapped = multiply(p, subtract(matmul(dO, value, { transposeB: true }), rowSums)); // (B, K, G·rows, S)
    const ds = cap === undefined ? uncapped : multiply(uncapped, softcapSlope(scores, cap));
    const dq = reshape(matmul(ds, key, { alpha: scale }), q.shape);
    const dk = matmul(ds, q, { transposeA: true, alpha: scale });
    const dv = matmul(p, dO, { transposeA: true });
    rows.push(dq);
    if (options.positionBias !== undefined) biases.push(reshape(uncapped, bias.shape));
    both = summed(both, { from: first, to: last, value: concat([dk, dv], keyAxis) });
    token = tokenOf(dq, both.value);
  });
  const whole = widened(both!, 0, k.shape[positionAxis]);
  return { rows, biases, k: slice(whole, keyAxis, 0, D), v: slice(whole, keyAxis, D, 2 * D) };
};

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
export const trainingAttention = ({ positions, maxPositions, mask, block, remake = true }: TrainingAttentionOptions): Attention => {
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
      const parts = blocks.map((each, index) => {
        const o = matmul(weights[index].p, keysOf(each, v)); // (B, K, G·rows, D)
        return transpose(reshape(o, [B, H, each.end - each.start, D]), [0, 2, 1, 3]);
      });
      const whole = concat(parts, 1); // (B, T, H, D)
      const o = remake ? retained(whole) : whole;
      const kept = remake ? [] : weights;
      const count = blocks.length;
      const isBiased = options.positionBias !== undefined;
      return withGradient(
        o,
        [k, v, ...blocks.map(({ rows }) => rows), ...(isBiased ? blocks.map(({ bias }) => bias) : [])],
        [o, ...kept.map(({ p }) => p), ...kept.map(({ scores }) => scores)],
        (dy, [key, value, ...rest], [output, ...saved]) => {
          const seen = blocks.map((each, index) => ({ ...each, rows: rest[index], bias: rest[count + index] ?? each.bias }));
          const again = kept.map((_each, index) => ({ p: saved[index], scores: saved[count + index] }));
          const { k: dk, v: dv, rows, biases } = attentionGradients(dy, output, key, value, seen, options, again);
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
