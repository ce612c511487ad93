/** @file Runs a model over the rows of a batch, each with a prompt, a length and adapters of its own: tokens in, logits out. It knows nothing about text or sampling. */
import { rowAdaptedModules } from "../lora/index.ts";
import type { Backend, Feed, Programs } from "../runtime/index.ts";
import { f32, i32, LowrankError } from "../util/index.ts";
import { laneFeeds, lanesOf, laneTensors, type RowAdapter } from "./adapter-lanes.ts";
import type { AdapterPool } from "./adapter-pool.ts";
import { biasOf, decodeProgram, type DecodeShape } from "./decode-program.ts";
import { checkIds, compiledOnce } from "./decoder.ts";
import type { Inference } from "./inference.ts";
import { rowLanes, rowLaneTensors } from "./row-lanes.ts";
import { allocateCache, bucketOf, growCache, placesOf, releaseCache, storesAt, type KeyValueCache } from "./key-value-cache.ts";

/** Rows that are free or a sequence in the making. A run costs as much as if all rows were as long as the longest, up to the last that is not free. */
export interface BatchDecoder {
  /** Tokens that a row has room for. */
  readonly longest: number;
  /** Throws `invalid-argument` for tokens that a row of this length cannot take. */
  check(ids: readonly number[], length: number): void;
  /** Reads a prompt into a row, whatever that held before, and returns the logits (V) after it. */
  join(row: number, ids: readonly number[], adapters?: readonly RowAdapter[]): Promise<Float32Array>;
  /** Appends one token to each of these rows, which have joined, and returns the logits (V) after it, by row. */
  step(tokens: ReadonlyMap<number, number>): Promise<Map<number, Float32Array>>;
  /** Ends a row's sequence; the last one that ends takes the cache along. */
  leave(row: number): Promise<void>;
  dispose(): Promise<void>;
}

interface Row {
  readonly length: number;
  readonly adapters: readonly RowAdapter[];
}

const free: Row = { length: 0, adapters: [] };

/** Starts a batch of free rows. `unsupported` for models with an encoder, whose rows cannot share a program. */
export const batchDecoder = (backend: Backend, inference: Inference, programs: Programs): BatchDecoder => {
  const { model } = inference;
  if (model.decoderStart !== undefined)
    throw new LowrankError("unsupported", `Models with an encoder (${model.type}) do not write several texts in one batch.`, {
      fix: "Generate one text after the other.",
    });
  // Beyond the boundary a row's keys would be turned by other frequencies than its neighbours'.
  const longest = Math.min(model.maxPositions, model.cacheBoundary ?? Infinity);
  const rows: Row[] = [];
  let cache: KeyValueCache | undefined;

  const withPlaces = async (count: number, places: number): Promise<KeyValueCache> => {
    const size = {
      rows: Math.max(cache?.rows ?? 1, 2 ** Math.ceil(Math.log2(count))),
      capacity: Math.max(cache?.capacity ?? 0, placesOf(places)),
    };
    if (cache === undefined) cache = await allocateCache(backend, model, size.rows, size.capacity);
    else if (size.rows > cache.rows || size.capacity > cache.capacity) cache = await growCache(backend, cache, size);
    while (rows.length < cache.rows) rows.push(free);
    return cache;
  };
  const check: BatchDecoder["check"] = (ids, length) => {
    checkIds(ids, model);
    if (length + ids.length > longest)
      throw new LowrankError(
        "invalid-argument",
        `${length + ids.length} tokens do not fit into the ${longest} positions of a batch's rows.`,
        {
          fix: "Shorten the prompt or ask for fewer tokens.",
        },
      );
  };
  // While rows are taken, a step reads every pool that one of its predecessors read: programs differ by pools, and so few are needed.
  let stepLanes: readonly AdapterPool[] = [];
  const taken = rowLanes(backend, programs);

  /** Runs a program over rows; the new keys and values go behind what the cache holds of them, from `row` on. */
  const run = async (
    shape: DecodeShape,
    read: readonly Row[],
    lanes: readonly AdapterPool[],
    own: Readonly<Record<string, Feed>>,
    into: { readonly cache: KeyValueCache; readonly row?: number },
  ): Promise<Float32Array> => {
    const isStep = into.row === undefined;
    const { B, T, P } = shape;
    const lengths = read.map(({ length }) => length);
    const modules = () => rowAdaptedModules(inference.modules(), (isStep ? rowLaneTensors : laneTensors)(lanes, B), B);
    const size = [B, T, P, ...lanes.map(({ name }) => name)].join("×");
    const executable = await compiledOnce(backend, programs, `batch ${size}`, () => decodeProgram({ model, modules }, shape));
    // A pool that nobody's adapters are in can have gone in the meantime.
    if (lanes.some(({ isGone }) => isGone)) return run(shape, read, lanesOf(read), own, into);
    const biases = model.windows.map((window) => [`bias.${window}`, f32(biasOf(window, lengths, T, P), [B, 1, T, P + T])]);
    const factors = isStep ? await taken.feeds(lanes, read) : laneFeeds(lanes, read);
    const feeds = { ...inference.feeds, ...factors, ...own, ...Object.fromEntries(biases) } as Record<string, Feed>;
    const { logits } = await executable.run(feeds, { store: storesAt(into.cache, lengths, into.row) });
    return (logits as { data: Float32Array }).data;
  };
  return {
    longest,
    check,
    join: async (row, ids, adapters = []) => {
      check(ids, 0);
      const T = bucketOf(ids.length);
      const held = await withPlaces(row + 1, T);
      rows[row] = free;
      const own = {
        ids: i32(
          Int32Array.from({ length: T }, (_, index) => ids[index] ?? 0),
          [1, T],
        ),
        positions: i32(
          Int32Array.from({ length: T }, (_, index) => Math.min(index, ids.length - 1)),
          [1, T],
        ),
        last: i32([ids.length - 1]),
      };
      const read = [{ length: 0, adapters }];
      const logits = await run({ B: 1, T, P: 0 }, read, lanesOf(read), own, { cache: held, row });
      rows[row] = { length: ids.length, adapters };
      return logits;
    },
    step: async (tokens) => {
      for (const [row, token] of tokens) {
        if (!(rows[row]?.length > 0)) throw new LowrankError("invalid-argument", `Row ${row} of the batch has not joined.`);
        check([token], rows[row].length);
      }
      const held = await withPlaces(rows.length, Math.max(...rows.map(({ length }) => length)) + 1);
      const B = held.rows;
      const own = {
        ...held.residents,
        ids: i32(
          rows.map((_, row) => tokens.get(row) ?? 0),
          [B, 1],
        ),
        // A row that is full, or free, is computed all the same.
        positions: i32(
          rows.map(({ length }) => Math.min(length, longest - 1)),
          [B, 1],
        ),
        last: i32([...rows.keys()]),
      };
      stepLanes = lanesOf(rows, stepLanes);
      const logits = await run({ B, T: 1, P: held.capacity }, rows, stepLanes, own, { cache: held });
      for (const row of tokens.keys()) rows[row] = { ...rows[row], length: rows[row].length + 1 };
      const V = model.head.outputs;
      return new Map([...tokens.keys()].map((row) => [row, logits.subarray(row * V, (row + 1) * V)]));
    },
    leave: async (row) => {
      rows[row] = free;
      if (cache === undefined || rows.some(({ length }) => length > 0)) return;
      const held = cache;
      [cache, rows.length, stepLanes] = [undefined, 0, []];
      await releaseCache(backend, held);
      await taken.dispose();
    },
    dispose: async () => {
      if (cache !== undefined) await releaseCache(backend, cache);
      await taken.dispose();
      [cache, rows.length] = [undefined, 0];
    },
  };
};
