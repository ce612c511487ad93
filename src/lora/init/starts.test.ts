import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { countingBackend } from "../../../test/counting-backend.ts";
import { referenceBackend } from "../../runtime/index.ts";
import { f32, random } from "../../util/index.ts";
import { difference } from "../algebra/algebra.fixture.ts";
import { uploadedOperator } from "../algebra/operator.ts";
import { columnsOf, combine, dot, dots, rowsOf, scaled, type Vectors } from "../algebra/vectors.ts";
import { loraConfig } from "../config.ts";
import type { AdapterTarget } from "../targets.ts";
import { corda } from "./corda.ts";
import { eva } from "./eva.ts";
import type { Components, Initialisation, StartContext } from "./initialisation.ts";
import { loraGa } from "./lora-ga.ts";
import { olora } from "./olora.ts";
import { orthogonal } from "./orthogonal.ts";
import { fastPissa, pissa } from "./pissa.ts";
import { sharedRanks, withRanks } from "./ranks.ts";

type Named<T> = Readonly<Record<"first" | "second", T>>;

interface Recorded {
  readonly in: number;
  readonly out: number;
  readonly r: number;
  readonly alpha: number;
  readonly W: Named<readonly number[]>;
  readonly gradients: Named<readonly number[]>;
  readonly moments: Named<{ readonly second: readonly number[]; readonly sum: readonly number[] }>;
  readonly covariances: Named<readonly number[]>;
  /** A (r, in) and B (out, r), as PEFT has them. */
  readonly starts: Readonly<Record<string, Named<{ readonly A: readonly number[]; readonly B: readonly number[]; readonly r: number }>>>;
}

const recorded = JSON.parse(readFileSync(join(import.meta.dirname, "peft-starts.fixture.json"), "utf8")) as Recorded;
const backend = countingBackend(referenceBackend());
afterAll(() => {
  expect(backend.held()).toEqual({ residents: 0, programs: 0 });
  return backend.dispose();
});

const layers = ["first", "second"] as const;
type Layer = (typeof layers)[number];

const targetOf = (module: Layer, rank = recorded.r): AdapterTarget => {
  const [inFeatures, outFeatures] = module === "first" ? [recorded.in, recorded.out] : [recorded.out, recorded.in];
  return { module, inFeatures, outFeatures, rank, scaling: recorded.alpha / recorded.r } as AdapterTarget;
};

interface Filled {
  /** (in, r) */
  readonly A: Float32Array;
  /** (r, out) */
  readonly B: Float32Array;
}

/** Runs a start on a recorded layer. */
const started = async (made: Initialisation, target: AdapterTarget, given: Partial<StartContext> = {}, seed = 1): Promise<Filled> => {
  const layer = target.module as Layer;
  const shape = [target.outFeatures, target.inFeatures];
  const W = await uploadedOperator(backend, f32(recorded.W[layer], shape));
  const gradient = await uploadedOperator(backend, f32(recorded.gradients[layer], shape));
  const { second, sum } = recorded.moments[layer];
  const isNormalised = made.inputs?.scale === "largest";
  const A = new Float32Array(target.inFeatures * target.rank);
  const B = new Float32Array(target.rank * target.outFeatures);
  const context: StartContext = {
    target,
    backend: () => backend,
    generator: random(seed),
    weight: async () => Float32Array.from(recorded.W[layer]),
    operator: () => W,
    gradient: async () => gradient,
    roundingError: async () => W,
    inputs: () => ({
      second: Float32Array.from(isNormalised ? recorded.covariances[layer] : second),
      sum: Float32Array.from(sum),
      rows: 48,
      batches: 2,
    }),
    components: () => {
      throw new Error("The start asks for components.");
    },
    ...given,
  };
  try {
    await made.start(A, B, context);
  } finally {
    await W.dispose();
    await gradient.dispose();
  }
  return { A, B };
};

// A and B of both, so that their product can be compared: rows of (A·B)ᵀ, (out, in).
const productOf = ({ A, B }: Filled, { inFeatures, outFeatures, rank }: AdapterTarget): Float64Array[] =>
  dots(columnsOf(B, rank, outFeatures), rowsOf(A, inFeatures, rank));
const peftProduct = (name: string, layer: Layer): Float64Array[] => {
  const { A, B, r } = recorded.starts[name][layer];
  const { inFeatures, outFeatures } = targetOf(layer);
  return combine(rowsOf(B, outFeatures, r), rowsOf(A, r, inFeatures));
};
/** The vector or its opposite, whichever is nearer to another one. */
const towards = (vector: Float64Array, other: Float64Array): Float64Array => (dot(vector, other) < 0 ? scaled(vector, -1) : vector);
const relative = (ours: Vectors, theirs: Vectors): number =>
  difference(ours, theirs) / Math.max(...theirs.map((row) => row.reduce((most, value) => Math.max(most, Math.abs(value)), 0)));

describe.each<[string, Initialisation]>([
  ["pissa", pissa],
  ["olora", olora],
  ["corda.ipm", corda({})],
  ["corda.kpm", corda({ corda_method: "kpm" })],
  ["lora_ga.ArB2r.stable", loraGa({})],
  ["lora_ga.A2rBr.unit", loraGa({ direction: "A2rBr", scale: "unit" })],
  ["lora_ga.ArBr.gd_scale", loraGa({ direction: "ArBr", scale: "gd_scale" })],
  ["lora_ga.ArB2r.weight_svd", loraGa({ direction: "ArB2r", scale: "weight_svd" })],
])("%s starts where PEFT does", (name, made) => {
  it.each(layers)("with the vectors of A and B in the %s layer, which may both be turned round", async (layer) => {
    const target = targetOf(layer);
    const { inFeatures, outFeatures, rank } = target;
    const filled = await started(made, target);
    const { A, B } = recorded.starts[name][layer];
    const theirs = { A: rowsOf(A, rank, inFeatures), B: columnsOf(B, outFeatures, rank) };
    const facing = (vectors: Vectors, others: Vectors): Float64Array[] => vectors.map((vector, index) => towards(vector, others[index]));
    expect(relative(facing(columnsOf(filled.A, inFeatures, rank), theirs.A), theirs.A)).toBeLessThan(2e-4);
    expect(relative(facing(rowsOf(filled.B, rank, outFeatures), theirs.B), theirs.B)).toBeLessThan(2e-4);
  });
});

describe.each<[string, Initialisation]>([
  ["pissa", pissa],
  ["olora", olora],
  ["corda.ipm", corda({})],
  ["corda.kpm", corda({ corda_method: "kpm" })],
])("%s takes from the base what PEFT takes", (name, made) => {
  it.each(layers)("from the %s layer", async (layer) => {
    const target = targetOf(layer);
    expect(made.shifts).toBe(true);
    expect(relative(productOf(await started(made, target), target), peftProduct(name, layer))).toBeLessThan(5e-5);
  });
});

describe("the part that is taken from the base", () => {
  it("is the best of its rank in PiSSA, and nearly that after a few iterations", async () => {
    const target = targetOf("first");
    const exact = productOf(await started(pissa, target), target);
    const errors: number[] = [];
    for (const iterations of [0, 2, 16]) errors.push(difference(productOf(await started(fastPissa(iterations), target), target), exact));
    expect(errors).toEqual([...errors].sort((a, b) => b - a));
    expect(errors[2]).toBeLessThan(1e-5);
  });

  it("begins with LAPACK's signs in OLoRA", async () => {
    const target = targetOf("first");
    const { A, B } = await started(olora, target);
    const theirs = recorded.starts["olora"]["first"];
    expect(difference(columnsOf(A, recorded.in, recorded.r), rowsOf(theirs.A, recorded.r, recorded.in))).toBeLessThan(1e-5);
    expect(difference(rowsOf(B, recorded.r, recorded.out), columnsOf(theirs.B, recorded.out, recorded.r))).toBeLessThan(1e-6);
  });

  it.each([
    ["PiSSA", pissa, 8, "at most 7 directions for A and B, and the rank is 8. Choose a rank of 7 or less"],
    ["LoRA-GA, which needs two for each", loraGa({}), 4, "at most 3 directions"],
  ] as const)("does not exist beyond the rank of W: %s", async (_, made, rank, message) => {
    const W = await uploadedOperator(backend, f32(recorded.W.first, [recorded.out, recorded.in]));
    const context = { target: targetOf("first", rank), operator: () => W } as unknown as StartContext;
    await expect(made.start(new Float32Array(rank * recorded.in), new Float32Array(rank * recorded.out), context)).rejects.toThrow(message);
    await W.dispose();
  });

  it("is chosen by the seed where LoRA-GA's vectors are drawn", async () => {
    const made = loraGa({ direction: "random" });
    const target = targetOf("first");
    const [one, same, other] = [await started(made, target), await started(made, target), await started(made, target, {}, 4)];
    expect(same).toEqual(one);
    expect(other.A).not.toEqual(one.A);
  });
});

describe("the orthogonal start", () => {
  it("changes nothing, and has both factors", async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 4 }), fc.nat(1e6), async (half, seed) => {
        const target = targetOf("second", 2 * half);
        const filled = await started(orthogonal, target, {}, seed);
        const sizes = [filled.A, filled.B].map((values) => Math.max(...values.map(Math.abs)));
        expect(Math.min(...sizes)).toBeGreaterThan(0.01);
        const zero = productOf(filled, target);
        expect(
          difference(
            zero,
            zero.map((row) => new Float64Array(row.length)),
          ) /
            (sizes[0] * sizes[1]),
        ).toBeLessThan(1e-6);
      }),
      { seed: 1, numRuns: 30 },
    );
  });

  it("refuses an odd rank", async () =>
    expect(() => started(orthogonal, targetOf("first", 3))).rejects.toThrow("splits the rank in two halves, and 3 is odd"));
});

describe("EVA", () => {
  const componentsOf = async (made: Initialisation, layer: Layer, rows = 48): Promise<Components> => {
    const { second, sum } = recorded.moments[layer];
    return made.ranks!.components({
      target: targetOf(layer),
      backend: () => backend,
      generator: random(1),
      inputs: () => ({ second: Float32Array.from(second), sum: Float32Array.from(sum), rows, batches: 2 }),
    } as unknown as StartContext);
  };

  it.each([
    ["eva.1.0.False", { rho: 1, whiten: false }],
    ["eva.2.0.False", { rho: 2, whiten: false }],
    ["eva.2.0.True", { rho: 2, whiten: true }],
  ])("%s: PEFT's ranks and directions", async (name, options) => {
    const made = eva(options);
    const found = { first: await componentsOf(made, "first"), second: await componentsOf(made, "second") };
    const ranks = sharedRanks(layers.map((layer) => ({ target: targetOf(layer), shares: found[layer].shares })));
    expect(ranks).toEqual(layers.map((layer) => recorded.starts[name][layer].r));
    for (const [index, layer] of layers.entries()) {
      const target = targetOf(layer, ranks[index]);
      const { A, B } = await started(made, target, { components: () => found[layer] });
      const theirs = rowsOf(recorded.starts[name][layer].A, ranks[index], target.inFeatures);
      const unit = (vectors: Vectors): Float64Array[] => vectors.map((vector) => scaled(vector, 1 / Math.sqrt(dot(vector, vector))));
      // Theirs come from a randomised decomposition, batch by batch.
      expect(difference(unit(columnsOf(A, target.inFeatures, ranks[index])), unit(theirs))).toBeLessThan(0.02);
      expect(B.every((value) => value === 0)).toBe(true);
    }
  });

  it("divides directions by the root of the singular values of the inputs where it whitens", async () => {
    const [plain, whitened] = [
      await componentsOf(eva({ rho: 2, whiten: false }), "first"),
      await componentsOf(eva({ rho: 2, whiten: true }), "first"),
    ];
    const { second, sum } = recorded.moments.first;
    const total = sum.reduce((left, value, index) => left + second[index * (recorded.in + 1)] - value ** 2 / 48, 0);
    plain.shares.forEach((share, index) =>
      expect(difference([scaled(plain.vectors[index], (share * total) ** -0.25)], [whitened.vectors[index]])).toBeLessThan(1e-8),
    );
  });

  it("asks for more data where there are fewer inputs than directions", () =>
    expect(componentsOf(eva({ rho: 2, whiten: false }), "first", 3)).rejects.toThrow("EVA looks for 4 directions among 3 inputs."));
});

describe("ranks that are shared out", () => {
  const targets = (["a", "b", "c"] as const).map((module) => ({ module, rank: 2, scaling: 4 }) as unknown as AdapterTarget);
  const config = loraConfig({ r: 2, lora_alpha: 8 });

  it("go to the greatest shares, and a module may get none", () => {
    const shares = [
      [0.5, 0.3, 0.1, 0.05],
      [0.4, 0.35, 0.2, 0.01],
      [0.04, 0.03],
    ].map((values) => Float64Array.from(values));
    const ranks = sharedRanks(targets.map((target, index) => ({ target, shares: shares[index] })));
    expect(ranks).toEqual([3, 3, 0]);
    expect(withRanks(config, targets, ranks, true)).toMatchObject({
      target_modules: ["a", "b"],
      rank_pattern: { a: 3, b: 3 },
      alpha_pattern: { a: 12, b: 12 },
    });
    expect(withRanks(config, targets, ranks, false).alpha_pattern).toEqual({});
  });

  it("are no patterns where they are as they were", () =>
    expect(withRanks(config, targets, [2, 2, 2], true)).toMatchObject({ rank_pattern: {}, alpha_pattern: {} }));
});
