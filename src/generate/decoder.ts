/** @file Runs a model token by token over a key/value cache: token ids in, logits out. It knows nothing about text, sampling or adapters. */
import type { Graph } from "../graph/index.ts";
import type { Model } from "../models/index.ts";
import { compileLenient, type Backend, type Executable, type Feed, type Programs } from "../runtime/index.ts";
import { f32, i32, LowrankError } from "../util/index.ts";
import { biasOf, decodeProgram, type Encoded } from "./decode-program.ts";
import type { Inference } from "./inference.ts";
import { allocateCache, bucketOf, growCache, placesOf, releaseCache, storesAt } from "./key-value-cache.ts";

/** One sequence in the making. */
export interface Decoder {
  /** Tokens so far. */
  readonly length: number;
  /** Whether what it writes goes on from what is appended first; false where an encoder reads that, and what is written begins anew. */
  readonly continues: boolean;
  /** Appends tokens and returns the logits (V) after the last of them. */
  append(ids: readonly number[]): Promise<Float32Array>;
  /** Appends tokens and returns the logits (V) after each of them; absent where there is no way to have them. */
  appendEach?(ids: readonly number[]): Promise<Float32Array[]>;
  /** Forgets everything after the first `length` tokens. */
  rewind(length: number): void;
  dispose(): Promise<void>;
}

/** The program of a size, compiled when it is first asked for. */
export const compiledOnce = (backend: Backend, programs: Programs, size: string, build: () => Graph): Promise<Executable> => {
  const compiled = programs.get(size) ?? compileLenient(backend, build());
  programs.set(size, compiled);
  return compiled;
};

/** Refuses ids that are none of the model's tokens, and none at all. */
export const checkIds = (ids: readonly number[], { vocabularySize }: Model): void => {
  if (ids.length === 0)
    throw new LowrankError("invalid-argument", "There are no tokens to append.", {
      fix: "Start from at least one token, for example BOS.",
    });
  const wrong = ids.find((id) => !(Number.isInteger(id) && id >= 0 && id < vocabularySize));
  if (wrong !== undefined)
    throw new LowrankError("invalid-argument", `The token ${wrong} is outside the model's vocabulary of ${vocabularySize}.`, {
      fix: "Encode the text with the model's own tokenizer.",
    });
};

/** Refuses a length that a sequence does not have. */
export const checkRewind = (length: number, to: number): void => {
  if (!(Number.isInteger(to) && to >= 0 && to <= length))
    throw new LowrankError("invalid-argument", `The sequence has ${length} tokens and cannot be rewound to ${to}.`);
};

/** Starts a sequence that will hold about `expected` tokens, one that attends to a source where that is given. */
export const cachedDecoder = async (
  backend: Backend,
  inference: Inference,
  programs: Programs,
  expected: number,
  encoded?: Encoded,
): Promise<Decoder> => {
  const { model, feeds } = inference;
  let cache = await allocateCache(backend, model, 1, placesOf(expected));
  const tokens: number[] = [];
  const { cacheBoundary = Infinity } = model;
  let isBeyond = false;

  const executable = (T: number, P: number, L: number): Promise<Executable> => {
    const size = [T, P, ...(L === 1 ? [] : [`logits of ${L}`]), ...(encoded === undefined ? [] : [encoded.size])].join("×");
    return compiledOnce(backend, programs, size, () => decodeProgram(inference, { B: 1, T, P, L }, encoded));
  };

  // Runs `ids` after the first `kept` tokens of the cache, as T with padding: the logits after the last of them, or after each of T.
  const extend = async (kept: number, ids: readonly number[], T: number, isEach = false): Promise<Float32Array> => {
    if (kept + T > cache.capacity) cache = await growCache(backend, cache, { capacity: placesOf(kept + T) });
    const P = kept === 0 ? 0 : cache.capacity;
    const padded = Int32Array.from({ length: T }, (_, index) => ids[index] ?? 0);
    const positions = Int32Array.from({ length: T }, (_, index) => kept + Math.min(index, ids.length - 1));
    const all: Record<string, Feed> = {
      ...feeds,
      ...encoded?.feeds,
      ...(P === 0 ? {} : cache.residents),
      ids: i32(padded, [1, T]),
      positions: i32(positions, [1, T]),
      last: isEach ? i32(Int32Array.from({ length: T }, (_, index) => index)) : i32([ids.length - 1]),
    };
    for (const window of model.windows) all[`bias.${window}`] = f32(biasOf(window, [kept], T, P), [1, 1, T, P + T]);
    const { logits } = await (await executable(T, P, isEach ? T : 1)).run(all, { store: storesAt(cache, [kept]) });
    return (logits as { data: Float32Array }).data;
  };

  /** The length with the ids, which are refused where they do not fit. */
  const checkLength = (ids: readonly number[]): number => {
    checkIds(ids, model);
    const length = tokens.length + ids.length;
    if (length > model.maxPositions)
      throw new LowrankError("invalid-argument", `${length} tokens do not fit into the model's ${model.maxPositions} positions.`, {
        fix: "Shorten the prompt or ask for fewer tokens.",
      });
    return length;
  };
  return {
    get length() {
      return tokens.length;
    },
    continues: true,
    append: async (ids) => {
      const length = checkLength(ids);
      const isStale = tokens.length > 0 && isBeyond !== length > cacheBoundary;
      const [kept, read] = isStale ? [0, [...tokens, ...ids]] : [tokens.length, ids];
      const logits = await extend(kept, read, read.length === 1 ? 1 : bucketOf(read.length));
      tokens.push(...ids);
      isBeyond = length > cacheBoundary;
      return logits;
    },
    // Where keys are turned by the length that a sequence has, the logits of each token would need runs of their own.
    ...(cacheBoundary === Infinity && {
      appendEach: async (ids: readonly number[]) => {
        checkLength(ids);
        const logits = await extend(tokens.length, ids, ids.length, true);
        tokens.push(...ids);
        const V = model.head.outputs;
        return ids.map((_, index) => logits.subarray(index * V, (index + 1) * V));
      },
    }),
    rewind: (to) => {
      checkRewind(tokens.length, to);
      tokens.length = to;
    },
    dispose: () => releaseCache(backend, cache),
  };
};
