/** @file Runs a model token by token over a key/value cache: token ids in, logits out. It knows nothing about text, sampling or adapters. */
import { cast, gather, input, program, type Graph, type Tensor } from "../graph/index.ts";
import type { Model, Source } from "../models/index.ts";
import { cachedAttention } from "../nn/index.ts";
import type { Backend, Executable, Feed, Resident } from "../runtime/index.ts";
import { f32, i32, LowrankError, sizeOf } from "../util/index.ts";
import type { Inference } from "./inference.ts";

/** One sequence in the making. */
export interface Decoder {
  /** Tokens so far. */
  readonly length: number;
  /** Whether what it writes goes on from what is appended first; false where an encoder reads that, and what is written begins anew. */
  readonly continues: boolean;
  /** Appends tokens and returns the logits (V) after the last of them. */
  append(ids: readonly number[]): Promise<Float32Array>;
  /** Forgets everything after the first `length` tokens. */
  rewind(length: number): void;
  dispose(): Promise<void>;
}

const masked = -1e30;
const smallestBucket = 16;

/** The smallest power of two that holds `count`: few sizes, so few programs. */
export const bucketOf = (count: number): number => 2 ** Math.ceil(Math.log2(Math.max(count, smallestBucket)));

/** What an encoder has made of a source. */
export interface Encoded {
  /** Places of the source, padding included: programs differ by it. */
  readonly size: number;
  /** How a program of T tokens attends to it. */
  source(T: number): Source;
  /** The inputs that this makes. */
  readonly feeds: Readonly<Record<string, Feed>>;
}

// Inputs ids and positions (1, T), bias.w (1, 1, T, P + T), last (1); key.l and value.l (1, K, P, D); outputs logits (1, V) and the new rows.
const decodeProgram = ({ model, modules }: Inference, T: number, P: number, encoded: Encoded | undefined): Graph => {
  const { heads: K, headSize } = model.cache;
  const outputs: Record<string, Tensor> = {};
  const biases = new Map(model.windows.map((window) => [window, input(`bias.${window}`, [1, 1, T, P + T])]));
  const attention = cachedAttention({
    positions: cast(input("positions", [1, T], "i32"), "i64"),
    maxPositions: Math.min(P + T, model.maxPositions),
    bias: (window) => biases.get(window)!,
    past: (layer) => {
      if (P === 0) return undefined;
      return { key: input(`past_key.${layer}`, [1, K, P, headSize]), value: input(`past_value.${layer}`, [1, K, P, headSize]) };
    },
    present: (layer, key, value) => {
      outputs[`key.${layer}`] = key;
      outputs[`value.${layer}`] = value;
    },
  });
  const used = modules();
  const source = encoded && { source: encoded.source(T) };
  const hidden = model.forward(used, { ids: input("ids", [1, T], "i32"), attention, ...source, recompute: false }); // (T, D)
  const lastRow = gather(hidden, input("last", [1], "i32")); // (1, D)
  return program({ logits: model.head.logits(used, lastRow), ...outputs });
};

/** What query i sees through a window: of the cached tokens and the new ones itself and those before it. */
const biasOf = (window: number, length: number, T: number, P: number): Float32Array =>
  Float32Array.from({ length: T * (P + T) }, (_, index) => {
    const query = Math.floor(index / (P + T));
    const key = index % (P + T);
    const distance = length + query - (key < P ? key : length + key - P);
    return (key < P ? key < length : distance >= 0) && distance < window ? 0 : masked;
  });

interface Cache {
  readonly capacity: number;
  readonly residents: Readonly<Record<string, Resident>>;
}

type Contents = (name: string, shape: readonly number[]) => Promise<Float32Array>;

const allocate = async (
  backend: Backend,
  { layers, cache: { heads, headSize } }: Model,
  capacity: number,
  contents: Contents,
): Promise<Cache> => {
  const shape = [1, heads, capacity, headSize];
  const residents: Record<string, Resident> = {};
  for (let layer = 0; layer < layers; layer++)
    for (const kind of ["past_key", "past_value"]) {
      const name = `${kind}.${layer}`;
      residents[name] = await backend.upload(f32(await contents(name, shape), shape));
    }
  return { capacity, residents };
};

const empty: Contents = async (_, shape) => new Float32Array(sizeOf(shape));

const grow = async (backend: Backend, model: Model, from: Cache, capacity: number): Promise<Cache> => {
  const grown = await allocate(backend, model, capacity, async (name, shape) => {
    const old = (await backend.download(from.residents[name])).data as Float32Array;
    const [, heads, , size] = shape;
    const data = new Float32Array(sizeOf(shape));
    for (let head = 0; head < heads; head++)
      data.set(old.subarray(head * from.capacity * size, (head + 1) * from.capacity * size), head * capacity * size);
    return data;
  });
  for (const resident of Object.values(from.residents)) await backend.release(resident);
  return grown;
};

/** Compiled programs by size, shared by every sequence over one model. */
export type Programs = Map<string, Promise<Executable>>;

/**
 * The program of a size, compiled when it is first asked for. It takes what it needs of what it is fed: of the adapters of one inference
 * an encoder's program needs some, a decoder's others.
 */
export const compiledOnce = (backend: Backend, programs: Programs, size: string, build: () => Graph): Promise<Executable> => {
  const compile = async (): Promise<Executable> => {
    const graph = build();
    const executable = await backend.compile(graph);
    const needed = (feeds: Readonly<Record<string, Feed>>): Record<string, Feed> =>
      Object.fromEntries(Object.entries(feeds).filter(([name]) => graph.inputs.has(name)));
    return { run: (feeds, options) => executable.run(needed(feeds), options), dispose: () => executable.dispose() };
  };
  const compiled = programs.get(size) ?? compile();
  programs.set(size, compiled);
  return compiled;
};

/** Frees compiled programs; those that failed to compile have nothing to free. */
export const disposePrograms = async (programs: Programs): Promise<void> => {
  for (const compiled of await Promise.allSettled(programs.values())) if (compiled.status === "fulfilled") await compiled.value.dispose();
  programs.clear();
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
  let cache = await allocate(backend, model, bucketOf(expected), empty);
  const tokens: number[] = [];
  const { cacheBoundary = Infinity } = model;
  let isBeyond = false;

  const executable = (T: number, P: number): Promise<Executable> => {
    const size = [T, P, ...(encoded === undefined ? [] : [encoded.size])].join("×");
    return compiledOnce(backend, programs, size, () => decodeProgram(inference, T, P, encoded));
  };

  // Runs `ids` after the first `kept` tokens of the cache.
  const extend = async (kept: number, ids: readonly number[]): Promise<Float32Array> => {
    const T = ids.length === 1 ? 1 : bucketOf(ids.length);
    if (kept + T > cache.capacity) cache = await grow(backend, model, cache, bucketOf(kept + T));
    const P = kept === 0 ? 0 : cache.capacity;
    const padded = Int32Array.from({ length: T }, (_, index) => ids[index] ?? 0);
    const positions = Int32Array.from({ length: T }, (_, index) => kept + Math.min(index, ids.length - 1));
    const all: Record<string, Feed> = {
      ...feeds,
      ...encoded?.feeds,
      ...(P === 0 ? {} : cache.residents),
      ids: i32(padded, [1, T]),
      positions: i32(positions, [1, T]),
      last: i32([ids.length - 1]),
    };
    for (const window of model.windows) all[`bias.${window}`] = f32(biasOf(window, kept, T, P), [1, 1, T, P + T]);
    const store = Object.entries(cache.residents).map(([name, into]) => ({
      output: name.replace("past_", ""),
      into,
      axis: 2,
      offsets: [kept],
    }));
    const { logits } = await (await executable(T, P)).run(all, { store });
    return (logits as { data: Float32Array }).data;
  };

  return {
    get length() {
      return tokens.length;
    },
    continues: true,
    append: async (ids) => {
      checkIds(ids, model);
      const length = tokens.length + ids.length;
      if (length > model.maxPositions)
        throw new LowrankError("invalid-argument", `${length} tokens do not fit into the model's ${model.maxPositions} positions.`, {
          fix: "Shorten the prompt or ask for fewer tokens.",
        });
      const isStale = tokens.length > 0 && isBeyond !== length > cacheBoundary;
      const logits = await (isStale ? extend(0, [...tokens, ...ids]) : extend(tokens.length, ids));
      tokens.push(...ids);
      isBeyond = length > cacheBoundary;
      return logits;
    },
    rewind: (to) => {
      checkRewind(tokens.length, to);
      tokens.length = to;
    },
    dispose: async () => {
      for (const resident of Object.values(cache.residents)) await backend.release(resident);
    },
  };
};
