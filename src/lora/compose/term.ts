/** @file What adapters do to one module as low-rank products, whatever their kind. It knows no method of composition. */
import { uploadedOperator } from "../algebra/operator.ts";
import { leadingSvd } from "../algebra/leading-svd.ts";
import { balancedFactors, productSvd } from "../algebra/svd.ts";
import { columnsOf, rowsOf, scaled, type Vectors } from "../algebra/vectors.ts";
import { turnFactor } from "../../formats/index.ts";
import { storedTensors, storedValues, type Base } from "../../models/index.ts";
import type { Backend } from "../../runtime/index.ts";
import { f32, hashText, LowrankError, random, type HostTensor } from "../../util/index.ts";
import { mergeModule, type WeightedAdapter } from "../merge.ts";
import { savedContent } from "../store.ts";
import type { TargetKind } from "../kinds/kind.ts";
import type { AdapterTarget } from "../targets.ts";

/** ΔW = Σ aᵢ·bᵢᵀ as (in, out): columns aᵢ of A and rows bᵢ of B. */
export interface Product {
  readonly a: Vectors;
  readonly b: Vectors;
}

/** One adapter at one module: weight·scaling·A·B. */
export interface Term extends Product {
  readonly scaling: number;
  readonly weight: number;
  /** ‖ΔW − scaling·A·B‖ of a kind whose change has no rank of its own; 0 for products. */
  readonly residual: number;
}

/** The direction (in) of a layer's input that ΔW stretches most, a unit vector up to its sign; zeros where ΔW is zero. */
export const leadingDirection = ({ a, b }: Product): Float64Array => productSvd(a, b).U[0];

/** What each of several adapters does to one module. */
export interface ModuleTerms {
  readonly module: string;
  readonly kind: TargetKind;
  readonly terms: readonly Term[];
  /** Which adapter each term belongs to. */
  readonly adapters: readonly number[];
}

/** The terms' sum as one product, exactly: factors beside each other, scales on A. */
export const sumOfTerms = (terms: readonly Term[]): Product => ({
  a: terms.flatMap(({ a, scaling, weight }) => a.map((column) => scaled(column, scaling * weight))),
  b: terms.flatMap(({ b }) => b),
});

/** W′ − W (out, in) of one adapter at full strength. */
const denseChange = async (
  backend: Backend,
  base: Base,
  stored: WeightedAdapter,
  { module, turned, inFeatures, outFeatures }: AdapterTarget,
) => {
  const name = `${module}.weight`;
  const shape = turned ? [inFeatures, outFeatures] : [outFeatures, inFeatures];
  const W = await storedValues(base, name);
  const bias = storedTensors(base)(`${module}.bias`);
  const merged = await mergeModule(backend, module, { weight: f32(W, shape), ...(bias && { bias }) }, [{ ...stored, weight: 1 }]);
  if (merged!.bias !== undefined)
    throw new LowrankError(
      "unsupported",
      `${stored.adapter.variant.name} changes the bias of ${module}, which a low-rank product cannot.`,
      {
        fix: "Merge the adapter into the model instead.",
      },
    );
  const change = f32(
    (merged!.weight.data as Float32Array).map((value, index) => value - W[index]),
    shape,
  );
  return turned ? turnFactor(change, module) : change;
};

const squares = (values: Iterable<number>): number => {
  let sum = 0;
  for (const value of values) sum += value * value;
  return sum;
};

/** The best product of a rank for a change that has none. */
const nearestProduct = async (
  backend: Backend,
  change: HostTensor,
  rank: number,
  module: string,
): Promise<Product & Pick<Term, "residual">> => {
  const operator = await uploadedOperator(backend, change);
  try {
    const found = await leadingSvd(operator, { rank: Math.min(rank, ...change.shape), generator: random(hashText(module)) });
    const { a: outputs, b: inputs } = balancedFactors(found);
    const left = squares(change.data as Float32Array) - squares(found.S);
    return { a: inputs, b: outputs, residual: Math.sqrt(Math.max(0, left)) };
  } finally {
    await operator.dispose();
  }
};

/**
 * What each adapter does to a module. Kinds whose change is no product (DoRA) are brought to the nearest one of `rank`.
 * Throws `unsupported` for a change that no product can come near to.
 */
export const termsOf = async (
  backend: Backend,
  base: Base,
  adapters: readonly WeightedAdapter[],
  module: string,
  rank: number,
): Promise<Term[]> => {
  const terms: Term[] = [];
  for (const stored of adapters) {
    const target = stored.adapter.targets.get(module);
    if (target === undefined) continue;
    const { weight } = stored;
    if (stored.adapter.variant.isProduct !== true) {
      const change = await denseChange(backend, base, stored, target);
      terms.push({ ...(await nearestProduct(backend, change, rank, module)), scaling: 1, weight });
      continue;
    }
    const { kind, inFeatures, outFeatures, scaling } = target;
    const { tensors } = savedContent(stored);
    const [A, B] = [tensors.get(`${module}.${kind.A.name}`)!, tensors.get(`${module}.${kind.B.name}`)!];
    const [, r] = A.shape;
    terms.push({
      a: columnsOf(A.data as Float32Array, inFeatures, r),
      b: rowsOf(B.data as Float32Array, r, outFeatures),
      scaling,
      weight,
      residual: 0,
    });
  }
  return terms;
};

/** The terms of every module that some adapter targets; kinds without a rank are brought to the largest rank there. */
export const moduleTerms = async (backend: Backend, base: Base, adapters: readonly WeightedAdapter[]): Promise<ModuleTerms[]> => {
  const found: ModuleTerms[] = [];
  for (const module of new Set(adapters.flatMap(({ adapter }) => [...adapter.targets.keys()]))) {
    const owners = [...adapters.keys()].filter((index) => adapters[index].adapter.targets.has(module));
    const targets = owners.map((index) => adapters[index].adapter.targets.get(module)!);
    const rank = Math.max(...targets.map((target) => target.rank));
    found.push({ module, kind: targets[0].kind, terms: await termsOf(backend, base, adapters, module, rank), adapters: owners });
  }
  return found;
};
