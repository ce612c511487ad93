/** @file An adapter from a model that was tuned whole and the base that it was tuned from: the nearest product to W′ − W in each linear module. It knows nothing about files. */
import { turnFactor } from "../../formats/index.ts";
import { storedValues, type Base } from "../../models/index.ts";
import type { Backend } from "../../runtime/index.ts";
import { f32, hashText, LowrankError, random, type HostTensor } from "../../util/index.ts";
import type { StoredAdapter } from "../adapter.ts";
import { leadingSvd } from "../algebra/leading-svd.ts";
import { uploadedOperator } from "../algebra/operator.ts";
import { balancedFactors, rankOf, truncate, type Svd } from "../algebra/svd.ts";
import { norm } from "../algebra/vectors.ts";
import { productAdapter, type ModuleReport } from "./compose.ts";
import type { Product } from "./term.ts";

export interface ExtractOptions {
  /** Rank of each module at most. */
  readonly rank: number;
  /** Share of ‖W′ − W‖² that is enough for a smaller rank. Default 1: all of the rank. */
  readonly energy?: number;
}

export interface Extraction {
  readonly stored: StoredAdapter;
  readonly modules: readonly ModuleReport[];
  /** Modules that changed and are no linear ones; the adapter holds them whole. */
  readonly whole: readonly string[];
}

const differenceOf = async (base: Base, tuned: Base, name: string): Promise<Float32Array> => {
  const [before, after] = [await storedValues(base, name), await storedValues(tuned, name)];
  return after.map((value, index) => value - before[index]);
};

const leadingTriplets = async (backend: Backend, matrix: HostTensor, rank: number, name: string): Promise<Svd> => {
  const operator = await uploadedOperator(backend, matrix);
  try {
    return await leadingSvd(operator, { rank, generator: random(hashText(name)) });
  } finally {
    await operator.dispose();
  }
};

const moduleOf = (name: string): string => name.slice(0, name.lastIndexOf("."));

const checkSameModel = (base: Base, tuned: Base): void => {
  const text = ({ model }: Base): string => JSON.stringify(model.parameters.map(({ name, shape }) => [name, shape]));
  if (base.model.type !== tuned.model.type || text(base) !== text(tuned))
    throw new LowrankError("adapter-mismatch", "The two models have not the same tensors.", {
      where: tuned.directory,
      fix: "Name the base that this model was tuned from.",
    });
};

/**
 * What tuning did to a model as an adapter of its base, with the share that is lost in each module. Throws `adapter-mismatch` for models of different shapes.
 * @example const { stored } = await extractAdapter(backend, base, tuned, { rank: 16 });
 */
export const extractAdapter = async (
  backend: Backend,
  base: Base,
  tuned: Base,
  { rank, energy = 1 }: ExtractOptions,
): Promise<Extraction> => {
  checkSameModel(base, tuned);
  const products = new Map<string, Product>();
  const modules: ModuleReport[] = [];
  const linears = new Map(base.model.linears.map((linear) => [`${linear.module}.weight`, linear]));
  const whole = new Set<string>();
  for (const { name, shape } of base.model.parameters) {
    const change = await differenceOf(base, tuned, name);
    if (change.every((value) => value === 0)) continue;
    const linear = linears.get(name);
    if (linear === undefined) {
      whole.add(moduleOf(name));
      continue;
    }
    const matrix = linear.turned ? turnFactor(f32(change, shape), name) : f32(change, shape);
    const most = Math.min(rank, ...shape);
    const found = await leadingTriplets(backend, matrix, most, name);
    const size = norm(Float64Array.from(change));
    // The share is one of the whole change, of which only the leading triplets are known.
    const enough = Math.min(1, (energy * size ** 2) / Math.max(norm(found.S) ** 2, Number.MIN_VALUE));
    const { svd } = truncate(found, Math.min(most, rankOf(found.S, enough)));
    const { a, b } = balancedFactors(svd);
    products.set(linear.module, { a: b, b: a });
    const left = Math.sqrt(Math.max(0, size ** 2 - norm(svd.S) ** 2));
    modules.push({ module: linear.module, rank: svd.S.length, norm: size, error: left / size });
  }
  if (products.size === 0)
    throw new LowrankError("adapter-mismatch", "No linear module differs between the two models.", {
      where: tuned.directory,
      fix: "Check that they are two.",
    });
  const saved = [...whole].filter((module) => !products.has(module));
  const stored = await productAdapter(base, products, { config: {}, saved, whole: (name) => storedValues(tuned, name) });
  return { stored, modules, whole: saved };
};
