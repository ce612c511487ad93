import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { countingBackend } from "../../test/counting-backend.ts";
import { randomAdapter, tinyModel } from "../../test/tiny-model.ts";
import { rowFactors, type StoredAdapter } from "../lora/index.ts";
import { openBase } from "../models/index.ts";
import { referenceBackend, type Backend } from "../runtime/index.ts";
import { adapterCache, type AdapterLease } from "./adapter-cache.ts";

/** Four adapters of one form, two of another. */
let adapters: readonly StoredAdapter[];
let small: number;
let large: number;
beforeAll(async () => {
  process.env["LOWRANK_CACHE"] = await mkdtemp(join(tmpdir(), "lowrank-cache-"));
  const base = await openBase(await tinyModel({ vocab_size: 41 }));
  const config = { r: 2, target_modules: ["q_proj"] };
  const other = { r: 3, target_modules: ["q_proj", "v_proj"] };
  adapters = await Promise.all([config, config, config, config, other, other].map((each, seed) => randomAdapter(base, each, seed)));
  [small, large] = [rowFactors(adapters[0]).form.bytes, rowFactors(adapters[4]).form.bytes];
  expect(large).toBeGreaterThan(small);
});

const digestOf = (index: number): string => `sha256:${index}`;

/** A cache of the six, which counts how often each is loaded. */
const started = (budget: number, backend: Backend = referenceBackend()) => {
  const loads = adapters.map(() => 0);
  const cache = adapterCache(backend, budget);
  const source = (index: number) => ({
    digest: digestOf(index),
    load: async () => {
      loads[index]++;
      await new Promise((resolve) => setTimeout(resolve, index % 3));
      return adapters[index];
    },
  });
  return { backend, cache, loads, source, acquire: (index: number): Promise<AdapterLease> => cache.acquire(source(index)) };
};

/** Whether a lease's slot holds this adapter's factors, and no other's. */
const holds = async (backend: Backend, { pool, slot }: AdapterLease, index: number): Promise<boolean> => {
  const { form, tensors } = rowFactors(adapters[index]);
  if (form.key !== pool.form.key) return false;
  for (const [name, { data }] of tensors) {
    const { data: stack } = await backend.download(pool.feeds[`${pool.name}.${name}`]);
    const row = (stack as Float32Array).subarray(slot * data.length, (slot + 1) * data.length);
    if (row.some((value, at) => value !== data[at])) return false;
  }
  return true;
};

describe("a cache of adapters", () => {
  it("loads an adapter once, however many ask at once, and keeps it after its uses", async () => {
    const { acquire, cache, loads } = started(10 * small);
    const leases = await Promise.all([acquire(0), acquire(0), acquire(1), acquire(0)]);
    expect(new Set(leases.map(({ slot }) => slot)).size).toBe(2);
    expect(cache.bytes).toBe(2 * small);
    for (const lease of leases) lease.release();
    (await acquire(0)).release();
    expect(loads).toEqual([1, 1, 0, 0, 0, 0]);
  });

  it("lets the least recently used go first, and loads it again when it is wanted", async () => {
    const { acquire, cache, loads, source } = started(2 * small);
    for (const index of [0, 1, 0]) (await acquire(index)).release();
    await cache.prefetch(source(2));
    expect([0, 1, 2].map((index) => cache.has(digestOf(index)))).toEqual([true, false, true]);
    expect(cache.bytes).toBe(2 * small);
    (await acquire(1)).release();
    expect(loads).toEqual([1, 2, 1, 0, 0, 0]);
  });

  it("refuses what does not fit beside what is in use, and takes it when that is released", async () => {
    const { acquire } = started(2 * small);
    const [one] = [await acquire(0), await acquire(1)];
    const refusal = { code: "out-of-memory", message: expect.stringContaining("The adapters in use leave no room") as string };
    await expect(acquire(2)).rejects.toMatchObject(refusal);
    one.release();
    one.release();
    expect(await acquire(2)).toMatchObject({ slot: one.slot });
    await expect(acquire(3)).rejects.toMatchObject(refusal);
  });

  it("refuses an adapter that no room would be enough for, and one that fails to load, and forgets both", async () => {
    const { acquire, cache } = started(large - 1);
    await expect(acquire(4)).rejects.toMatchObject({
      code: "out-of-memory",
      message: expect.stringContaining(`takes ${large} bytes`) as string,
    });
    await expect(cache.acquire({ digest: "x", load: () => Promise.reject(new Error("gone")) })).rejects.toThrow("gone");
    expect([cache.has(digestOf(4)), cache.has("x"), cache.bytes]).toEqual([false, false, 0]);
    (await acquire(0)).release();
  });

  it("gives the memory of a form back that nobody's adapters have any more, and everything at its end", async () => {
    const backend = countingBackend(referenceBackend());
    const { acquire, cache } = started(Math.max(3 * small, large), backend);
    for (const index of [0, 1, 2]) (await acquire(index)).release();
    const lease = await acquire(4);
    expect(cache.bytes).toBeLessThanOrEqual(Math.max(3 * small, large));
    lease.release();
    await cache.dispose();
    expect(backend.held().residents).toBe(0);
  });

  const settled = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 50));

  it("loads what is expected next in the background, in order, and no further than there is room", async () => {
    const { acquire, cache, loads, source } = started(3 * small);
    const lease = await acquire(0);
    cache.expect([1, 2, 3].map(source));
    await settled();
    expect(loads.slice(0, 4)).toEqual([1, 1, 1, 0]);
    // What is wanted itself goes last, and what is wanted no more goes first.
    cache.expect([2, 3].map(source));
    await settled();
    expect([0, 1, 2, 3].map((index) => cache.has(digestOf(index)))).toEqual([true, false, true, true]);
    (await acquire(1)).release();
    expect([0, 1, 2, 3].map((index) => cache.has(digestOf(index)))).toEqual([true, true, true, false]);
    lease.release();
  });

  it("leaves what cannot be loaded ahead to whoever acquires it", async () => {
    const { cache, source } = started(4 * small);
    cache.expect([{ digest: "x", load: () => Promise.reject(new Error("gone")) }, source(0)]);
    await settled();
    expect([cache.has("x"), cache.has(digestOf(0))]).toEqual([false, true]);
    cache.expect([source(1), source(2)]);
    await cache.dispose();
    expect(cache.bytes).toBe(0);
  });

  type Step = { readonly does: "acquire" | "release" | "prefetch" | "expect"; readonly which: number };
  const plans: fc.Arbitrary<Step[]> = fc.array(
    fc.record({ does: fc.constantFrom<Step["does"]>("acquire", "acquire", "release", "prefetch", "expect"), which: fc.nat(5) }),
    { minLength: 1, maxLength: 30 },
  );

  it("never gives anybody another's adapter, nor takes one away that is in use, nor more memory than it may", async () => {
    await fc.assert(
      fc.asyncProperty(plans, fc.integer({ min: 1, max: 6 }), fc.integer({ min: 1, max: 4 }), async (plan, slots, together) => {
        const budget = slots * small + large;
        const { backend, acquire, cache, source } = started(budget);
        const held: { readonly index: number; readonly lease: AdapterLease }[] = [];
        const take = async (index: number): Promise<void> => {
          const lease = await acquire(index);
          held.push({ index, lease });
        };
        const act = async ({ does, which }: Step): Promise<void> => {
          if (does === "acquire") await take(which);
          else if (does === "prefetch") await cache.prefetch(source(which));
          else if (does === "expect") cache.expect([which, (which + 1) % 6, (which + 2) % 6].map(source));
          else held.splice(which, 1)[0]?.lease.release();
        };
        for (let start = 0; start < plan.length; start += together) {
          for (const result of await Promise.allSettled(plan.slice(start, start + together).map(act)))
            if (result.status === "rejected") expect(result.reason).toMatchObject({ code: "out-of-memory" });
          expect(cache.bytes).toBeLessThanOrEqual(budget);
          for (const { index, lease } of held) {
            expect(cache.has(digestOf(index))).toBe(true);
            expect(await holds(backend, lease, index)).toBe(true);
          }
        }
      }),
      { numRuns: 60, seed: 11 },
    );
  });
});
