/** @file Attention of one block of queries at a time, and its gradients, from weights that were kept or are made again. It knows nothing about masks and models. */
import {
  add,
  after,
  broadcast,
  concat,
  exp,
  log,
  matmul,
  max,
  multiply,
  pad,
  reshape,
  scalar,
  scale as scaled,
  slice,
  softmax,
  subtract,
  sum,
  transpose,
  type Tensor,
} from "../graph/index.ts";
import type { AttendOptions } from "./attention.ts";
import { softcap, softcapSlope } from "./softcap.ts";

const keyAxis = 3;
const positionAxis = 2;

/** A block of queries and what it is attended with. */
export interface Block {
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

export const keysOf = ({ first, last }: Pick<Block, "first" | "last">, x: Tensor): Tensor => slice(x, positionAxis, first, last);

interface KeptWeights {
  /** softmax(q·kᵀ + bias): (B, K, G·rows, S). */
  readonly p: Tensor;
  /** Scores after the cap, of the same shape. */
  readonly scores: Tensor;
}

interface Weights extends KeptWeights {
  /** Scores after the cap and with the bias, and their softmax: (B, H, rows, S). */
  readonly biased: Tensor;
  readonly byHead: Tensor;
}

export const weightsOf = ({ bias }: Block, q: Tensor, k: Tensor, { scale, cap }: AttendOptions): Weights => {
  const [B, K, rows] = q.shape;
  const [, , T, S] = bias.shape;
  const raw = matmul(q, k, { transposeB: true, alpha: scale });
  const scores = cap === undefined ? raw : softcap(raw, cap);
  const biased = add(reshape(scores, [B, (K * rows) / T, T, S]), bias);
  const byHead = softmax(biased);
  return { p: reshape(byHead, [B, K, rows, S]), scores, biased, byHead };
};

/** What is added to biased scores so that their exponentials are the weights, −log Σ exp: (B, H, rows, 1). The largest weight is 1/Σ exp(· − max). */
export const shiftOf = ({ biased, byHead }: Weights): Tensor => subtract(log(max(byHead, [keyAxis])), max(biased, [keyAxis]));

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

export interface Gradients {
  /** Of each block's rows, and of its bias where that has a gradient. */
  readonly rows: readonly Tensor[];
  readonly biases: readonly Tensor[];
  /** (B, K, S, D) */
  readonly k: Tensor;
  readonly v: Tensor;
}

/** What the gradients of attended vectors are made from. */
export interface Attended {
  readonly dy: Tensor; // (B, T, H, D)
  readonly o: Tensor; // (B, T, H, D)
  readonly keys: Tensor; // (B, K, S, D)
  readonly values: Tensor;
  readonly blocks: readonly Block[];
  readonly options: AttendOptions;
}

// rowsum(dO∘O): (B, H, T, 1)
const innerOf = ({ dy, o }: Attended): Tensor => transpose(sum(multiply(dy, o), [keyAxis]), [0, 2, 1, 3]);

/** A block's part of what there is for each query, in the order of its rows: (B, H, T, N) gives (B, K, G·rows, N). */
const partOf = ({ start, end, rows }: Block, x: Tensor): Tensor =>
  reshape(slice(x, positionAxis, start, end), [...rows.shape.slice(0, keyAxis), x.shape[keyAxis]]);

const gradientOf = ({ start, end, rows }: Block, dy: Tensor): Tensor =>
  reshape(transpose(slice(dy, 1, start, end), [0, 2, 1, 3]), rows.shape);

const apart = (both: Tensor, D: number): Pick<Gradients, "k" | "v"> => ({
  k: slice(both, keyAxis, 0, D),
  v: slice(both, keyAxis, D, 2 * D),
});

/**
 * Gradients of the attended vectors, block by block: each waits for the one before, so that the values of one block exist at a time. Weights that were
 * not kept are made again, all of a block's at once.
 * dS = P∘(dP − rowsum(dO∘O)) [Dao et al. 2022, eq. 4]: the row sums come from O, not from the larger P.
 */
export const gradientsByBlock = (attended: Attended, kept: readonly KeptWeights[]): Gradients => {
  const { dy, blocks, options } = attended;
  const { scale, cap } = options;
  // Without a copy of their own the runtime would keep the slices of the forward pass.
  const [keys, values] = kept.length === 0 ? [after(attended.keys, dy), after(attended.values, dy)] : [attended.keys, attended.values];
  const D = keys.shape[keyAxis];
  const inner = innerOf(attended);
  const rows: Tensor[] = [];
  const biases: Tensor[] = [];
  let both: Sum | undefined; // of keys and values side by side: (B, K, S, 2·D)
  let token = dy;
  blocks.forEach((block, index) => {
    const { first, last, bias } = block;
    const [key, value] = [keysOf(block, keys), keysOf(block, values)];
    const q = kept.length === 0 ? after(block.rows, token) : block.rows;
    const { p, scores } = kept[index] ?? weightsOf(block, q, key, options);
    const dBlock = gradientOf(block, dy);
    const dO = index === 0 ? dBlock : after(dBlock, token); // (B, K, G·rows, D)
    const uncapped = multiply(p, subtract(matmul(dO, value, { transposeB: true }), partOf(block, inner))); // (B, K, G·rows, S)
    const ds = cap === undefined ? uncapped : multiply(uncapped, softcapSlope(scores, cap));
    const dq = matmul(ds, key, { alpha: scale });
    const dk = matmul(ds, q, { transposeA: true, alpha: scale });
    const dv = matmul(p, dO, { transposeA: true });
    rows.push(dq);
    if (options.positionBias !== undefined) biases.push(reshape(uncapped, bias.shape));
    both = summed(both, { from: first, to: last, value: concat([dk, dv], keyAxis) });
    token = tokenOf(dq, both.value);
  });
  return { rows, biases, ...apart(widened(both!, 0, keys.shape[positionAxis]), D) };
};

/** x (B, K, S, D) with a column of ones behind it. */
const withOnes = (x: Tensor): Tensor => concat([x, broadcast(scalar(1), [...x.shape.slice(0, keyAxis), 1])], keyAxis);

/**
 * The same for `piece` keys at a time, whose weights are made again as exp(q·kᵀ + bias + shift) [Dao et al. 2022, algorithm 4]: the largest values are of one
 * shape then, so that ONNX Runtime puts all of them into the same few buffers. The shift and −rowsum(dO∘O) are one more column of the products' factors.
 */
export const gradientsByPiece = (attended: Attended, shift: Tensor, piece: number): Gradients => {
  const { dy, blocks, options } = attended;
  const { scale, cap } = options;
  // Without a copy of their own the runtime would keep the slices of the forward pass.
  const [keys, values] = [after(attended.keys, dy), after(attended.values, dy)];
  const [keysAndOnes, valuesAndOnes] = [withOnes(keys), withOnes(values)];
  const [, , S, D] = keys.shape;
  const negativeInner = scaled(innerOf(attended), -1);
  const rows: Tensor[] = [];
  const biases: Tensor[] = [];
  const sums: (Sum | undefined)[] = Array.from({ length: Math.ceil(S / piece) }, () => undefined); // of each piece's keys and values: (B, K, piece, 2·D)
  let token = dy;
  for (const block of blocks) {
    const { start, end, first, last, bias } = block;
    const q = scaled(after(block.rows, token), scale); // (B, K, G·rows, D)
    const dO = after(gradientOf(block, dy), token);
    const [qAndShift, dOAndInner] = [concat([q, partOf(block, shift)], keyAxis), concat([dO, partOf(block, negativeInner)], keyAxis)];
    const [B, K, M] = q.shape;
    let dq: Tensor | undefined;
    const biasParts: Tensor[] = [];
    for (let index = Math.floor(first / piece); index * piece < last; index++) {
      const span = { first: Math.max(first, index * piece), last: Math.min(last, (index + 1) * piece) };
      const width = span.last - span.first;
      const byHead = [B, (K * M) / (end - start), end - start, width];
      const waiting = (x: Tensor): Tensor => (dq === undefined ? x : after(x, token));
      const seen = slice(bias, keyAxis, span.first - first, span.last - first);
      const scores = cap === undefined ? undefined : softcap(matmul(waiting(q), keysOf(span, keys), { transposeB: true }), cap);
      const shifted =
        scores === undefined
          ? matmul(waiting(qAndShift), keysOf(span, keysAndOnes), { transposeB: true })
          : add(scores, partOf(block, shift));
      const p = reshape(exp(add(reshape(shifted, byHead), seen)), [B, K, M, width]);
      const uncapped = multiply(p, matmul(waiting(dOAndInner), keysOf(span, valuesAndOnes), { transposeB: true }));
      const ds = scores === undefined ? uncapped : multiply(uncapped, softcapSlope(scores, cap!));
      if (options.positionBias !== undefined) biasParts.push(reshape(uncapped, byHead));
      const part = matmul(ds, keysOf(span, keys), { alpha: scale });
      const value = concat([matmul(ds, q, { transposeA: true }), matmul(p, dO, { transposeA: true })], keyAxis);
      const sofar = summed(sums[index], { from: span.first, to: span.last, value });
      sums[index] = sofar;
      dq = dq === undefined ? part : add(dq, part);
      token = tokenOf(dq, sofar.value);
    }
    rows.push(dq!);
    if (options.positionBias !== undefined) biases.push(concat(biasParts, keyAxis));
  }
  const whole = sums.map((each, index) => widened(each!, index * piece, Math.min(S, (index + 1) * piece)));
  return { rows, biases, ...apart(concat(whole, positionAxis), D) };
};
