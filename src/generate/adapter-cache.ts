/** @file Adapters that stay in memory, by their digests, within a number of bytes: the least recently used leaves first, and none that is in use. It knows nothing about files. */
import { rowFactors, type RowFactors, type StoredAdapter } from "../lora/index.ts";
import type { Backend } from "../runtime/index.ts";
import { LowrankError } from "../util/index.ts";
import { adapterPool, type AdapterPool } from "./adapter-pool.ts";

/** An adapter that can be had again at any time. */
export interface AdapterSource {
  /** Of its weights, its configuration and its base: equal digests mean the same adapter, whatever it is called. */
  readonly digest: string;
  load(): Promise<StoredAdapter>;
}

/** An adapter in memory, which stays until it is released. */
export interface AdapterLease {
  readonly pool: AdapterPool;
  readonly slot: number;
  /** Ends this use; a second release does nothing. */
  release(): void;
}

export interface AdapterCache {
  /** What is taken of the backend's memory. */
  readonly bytes: number;
  /** Whether an adapter is in memory, or on its way there. */
  has(digest: string): boolean;
  /**
   * Holds an adapter in memory, loaded where it is not there yet. Refused: `out-of-memory` where the adapters in use leave no room for it,
   * `unsupported` for one that cannot be mixed with others.
   */
  acquire(source: AdapterSource): Promise<AdapterLease>;
  /** Whether an adapter can be mixed with others, which is known once it is loaded. */
  mixes(source: AdapterSource): Promise<boolean>;
  /** Loads an adapter that will be wanted soon. */
  prefetch(source: AdapterSource): Promise<void>;
  /**
   * Says what will be wanted next, in order, in place of what was said before. It is loaded in the background, one after the other, as far as
   * there is room beside what is in use and what is wanted sooner; what cannot be loaded is left to whoever acquires it.
   */
  expect(sources: readonly AdapterSource[]): void;
  /** Frees everything. */
  dispose(): Promise<void>;
}

interface Place {
  readonly pool: AdapterPool;
  readonly slot: number;
}

interface Entry {
  uses: number;
  /** Undefined while it is loaded. */
  place: Place | undefined;
  readonly placed: Promise<Place>;
}

/** A cache for so many bytes of factors. */
export const adapterCache = (backend: Backend, budget: number): AdapterCache => {
  const entries = new Map<string, Entry>(); // the least recently used first
  const pools = new Map<string, AdapterPool>();
  let made = 0;
  let placing: Promise<unknown> = Promise.resolve();
  let wanted: readonly AdapterSource[] = [];
  let goingAhead: Promise<void> | undefined;
  const apart = new Set<string>(); // digests of adapters that cannot be mixed

  const bytes = (): number => [...pools.values()].reduce((sum, pool) => sum + pool.bytes, 0);

  const isWanted = (digest: string): boolean => wanted.some((source) => source.digest === digest);
  const idle = (): [digest: string, entry: Entry][] => [...entries].filter(([, { uses, place }]) => uses === 0 && place !== undefined);

  /** Frees the place of the least recently used; of what is wanted next, nothing for what is itself loaded ahead, else the last. */
  const evictOne = async (isAhead: boolean): Promise<void> => {
    const free = idle();
    const found = free.find(([digest]) => !isWanted(digest)) ?? (isAhead ? undefined : free.at(-1));
    if (found === undefined)
      throw new LowrankError(
        "out-of-memory",
        `The adapters in use leave no room for another one in the ${budget} bytes that they may take.`,
        {
          fix: "Allow them more, or use fewer at once.",
        },
      );
    const [digest, { place }] = found;
    const { pool, slot } = place!;
    entries.delete(digest);
    pool.free(slot);
    if (pool.used > 0) return;
    pools.delete(pool.form.key);
    await pool.dispose();
  };
  const put = async (factors: RowFactors, isAhead: boolean): Promise<Place> => {
    const { form } = factors;
    const count = Math.floor(budget / form.bytes);
    if (count === 0)
      throw new LowrankError("out-of-memory", `The adapter takes ${form.bytes} bytes, and all adapters together may take ${budget}.`, {
        fix: "Allow them more.",
      });
    const needed = (): number => (pools.get(form.key)?.hasSpare === true ? 0 : form.bytes);
    while (bytes() + needed() > budget) await evictOne(isAhead);
    const pool = pools.get(form.key) ?? (await adapterPool(backend, form, `pool.${made++}`, count));
    pools.set(form.key, pool);
    return { pool, slot: await pool.put(factors) };
  };
  const place = async (source: AdapterSource, isAhead: boolean): Promise<Place> => {
    const factors = rowFactors(await source.load());
    const mine = placing.then(() => put(factors, isAhead));
    placing = mine.catch(() => undefined);
    return mine;
  };

  /** The entry of a source, which nobody evicts before the use that is counted here ends. */
  const use = (source: AdapterSource, isAhead = false): Entry => {
    const { digest } = source;
    const found = entries.get(digest);
    const entry: Entry = found ?? { uses: 0, place: undefined, placed: place(source, isAhead) };
    if (found === undefined)
      entry.placed.then(
        (ready) => (entry.place = ready),
        () => entries.get(digest) === entry && entries.delete(digest),
      );
    entry.uses++;
    entries.delete(digest);
    entries.set(digest, entry);
    return entry;
  };
  const acquire: AdapterCache["acquire"] = async (source) => {
    const entry = use(source);
    let isHeld = true;
    const release = (): void => {
      if (isHeld) entry.uses--;
      isHeld = false;
    };
    try {
      const { pool, slot } = await entry.placed;
      return { pool, slot, release };
    } catch (error) {
      release();
      throw error;
    }
  };
  const mixes: AdapterCache["mixes"] = async (source) => {
    if (apart.has(source.digest)) return false;
    try {
      (await acquire(source)).release();
      return true;
    } catch (error) {
      if (!LowrankError.is(error) || error.code !== "unsupported") throw error;
      apart.add(source.digest);
      return false;
    }
  };
  /** Whether a further adapter may find room, as far as can be said before it is read. */
  const mayHaveRoom = (): boolean => {
    const held = [...pools.values()];
    const least = Math.min(budget, ...held.map(({ form }) => form.bytes));
    return bytes() + least <= budget || held.some(({ hasSpare }) => hasSpare) || idle().some(([digest]) => !isWanted(digest));
  };
  const goAhead = async (): Promise<void> => {
    for (;;) {
      const next = wanted.find(({ digest }) => !entries.has(digest) && !apart.has(digest));
      if (next === undefined || !mayHaveRoom()) return;
      const entry = use(next, true);
      try {
        await entry.placed;
      } catch {
        wanted = wanted.filter((source) => source !== next);
      } finally {
        entry.uses--;
      }
    }
  };
  return {
    get bytes() {
      return bytes();
    },
    has: (digest) => entries.has(digest),
    acquire,
    mixes,
    expect: (sources) => {
      wanted = sources;
      goingAhead ??= goAhead().finally(() => (goingAhead = undefined));
    },
    prefetch: async (source) => (await acquire(source)).release(),
    dispose: async () => {
      wanted = [];
      await goingAhead;
      await placing;
      entries.clear();
      for (const pool of pools.values()) await pool.dispose();
      pools.clear();
    },
  };
};
