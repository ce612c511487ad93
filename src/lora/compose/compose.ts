/** @file Composes adapters of one base into one ordinary adapter, module by module, and measures how far it is from their exact sum. It knows no method. */
import { storedValues, type Base } from "../../models/index.ts";
import type { Backend } from "../../runtime/index.ts";
import { hashText, LowrankError } from "../../util/index.ts";
import { planAdapter, valuesOf, type StoredAdapter } from "../adapter.ts";
import { norm, scaled, fromColumns, fromRows } from "../algebra/vectors.ts";
import { productSvd } from "../algebra/svd.ts";
import { loraConfig, type LoraConfig } from "../config.ts";
import { candidatesOf } from "../kinds/index.ts";
import type { WeightedAdapter } from "../merge.ts";
import { isWhole, mixedTensors } from "../whole.ts";
import { methods, type MethodOptions } from "./method.ts";
import { sumOfTerms, termsOf, type Product, type Term } from "./term.ts";

export interface ComposeOptions extends Partial<Pick<MethodOptions, "density" | "signs" | "energy">> {
  /** One of `methods`. Default "cat", which is exact. */
  readonly method?: string;
  /** Rank of the result where the method chooses one. Default: the largest of the adapters'. */
  readonly rank?: number;
  /** A factor on an adapter's weight, by module and the adapter's place. Default 1. */
  readonly moduleWeight?: (module: string, adapter: number) => number;
  /** Decides what DARE drops. Default 0. */
  readonly seed?: number;
}

/** How one module of the result compares with the exact weighted sum of the adapters. */
export interface ModuleReport {
  readonly module: string;
  readonly rank: number;
  /** ‖exact sum‖, by Frobenius. */
  readonly norm: number;
  /** ‖result − exact sum‖/‖exact sum‖. */
  readonly error: number;
}

export interface Composition {
  readonly stored: StoredAdapter;
  readonly modules: readonly ModuleReport[];
  /** The same over all modules together. */
  readonly error: number;
  /** Share of the exact sum's ‖·‖² that the result keeps, 1 − error², as far as it is a projection of it. */
  readonly energy: number;
}

const normOf = ({ a, b }: Product): number => norm(productSvd(a, b).S);

const compare = (module: string, terms: readonly Term[], result: Product): ModuleReport => {
  const exact = sumOfTerms(terms);
  const size = normOf(exact);
  const gap = { a: [...exact.a, ...result.a.map((column) => scaled(column, -1))], b: [...exact.b, ...result.b] };
  // What a kind without a rank has lost on its way to a product is lost here too.
  const lost = terms.reduce((sum, { residual, weight }) => sum + Math.abs(weight) * residual, 0);
  return { module, rank: result.a.length, norm: size, error: size === 0 ? 0 : (normOf(gap) + lost) / size };
};

const overall = (modules: readonly ModuleReport[]): number => {
  const squares = (value: (report: ModuleReport) => number): number => modules.reduce((sum, report) => sum + value(report) ** 2, 0);
  const all = squares(({ norm: size }) => size);
  return all === 0 ? 0 : Math.sqrt(squares(({ error, norm: size }) => error * size) / all);
};

const checkParts = (adapters: readonly WeightedAdapter[]): void => {
  if (adapters.some(({ adapter }) => adapter.tokens.length > 0))
    throw new LowrankError("unsupported", 'An adapter trains rows of tokens ("trainable_token_indices"), which are not composed.', {
      fix: "Merge it into the model instead.",
    });
  const biased = adapters.find(({ adapter }) => adapter.config.bias !== "none");
  if (biased !== undefined)
    throw new LowrankError("unsupported", `An adapter trains biases ("bias": "${biased.adapter.config.bias}"), which are not composed.`, {
      fix: "Merge it into the model instead.",
    });
};

/**
 * One adapter in place of several at their weights (negative ones take an adapter's effect away). The result is plain LoRA with scaling 1 and a
 * rank for each module; tensors that adapters train whole are mixed by weight.
 * @example const { stored, error } = await composeAdapters(backend, base, [{ ...pirate, weight: 0.5 }, { ...weather, weight: 0.5 }], { method: "svd", rank: 8 });
 */
export const composeAdapters = async (
  backend: Backend,
  base: Base,
  adapters: readonly WeightedAdapter[],
  { method = "cat", rank, moduleWeight = () => 1, energy = 1, density = 0.5, signs = "total", seed = 0 }: ComposeOptions = {},
): Promise<Composition> => {
  if (adapters.length === 0)
    throw new LowrankError("invalid-argument", "There is nothing to compose.", { fix: "Name at least one adapter." });
  if (!Object.hasOwn(methods, method))
    throw new LowrankError("invalid-argument", `There is no method "${method}".`, {
      fix: `Choose among ${Object.keys(methods).join(", ")}.`,
    });
  checkParts(adapters);

  const products = new Map<string, Product>();
  const modules: ModuleReport[] = [];
  for (const module of new Set(adapters.flatMap(({ adapter }) => [...adapter.targets.keys()]))) {
    const ranks = adapters.flatMap(({ adapter }) => adapter.targets.get(module)?.rank ?? []);
    const own = rank ?? Math.max(...ranks);
    const weighted = adapters.map((stored, index) => ({ ...stored, weight: stored.weight * moduleWeight(module, index) }));
    const terms = await termsOf(backend, base, weighted, module, own);
    const result = await methods[method](terms, { backend, rank: own, energy, density, signs, seed: seed + hashText(module), module });
    products.set(module, result);
    modules.push(compare(module, terms, result));
  }
  const error = overall(modules);
  return { stored: await composedAdapter(base, adapters, products), modules, error, energy: Math.max(0, 1 - error ** 2) };
};

const composedAdapter = async (
  base: Base,
  adapters: readonly WeightedAdapter[],
  products: ReadonlyMap<string, Product>,
): Promise<StoredAdapter> => {
  const saved = [...new Set(adapters.flatMap(({ adapter }) => adapter.config.modules_to_save ?? []))];
  const [{ config }] = adapters.map(({ adapter }) => adapter);
  const mixed = mixedTensors(base, adapters);
  return productAdapter(base, products, {
    config: { task_type: config.task_type, base_model_name_or_path: config.base_model_name_or_path },
    saved,
    whole: async (name) => ((await mixed.get(name)?.())?.data as Float32Array | undefined) ?? (await storedValues(base, name)),
  });
};

interface ProductAdapterOptions {
  readonly config: Partial<LoraConfig>;
  /** Modules that are kept whole, and their tensors. */
  readonly saved: readonly string[];
  readonly whole: (name: string) => Promise<Float32Array>;
}

// A product of a higher rank: the same and nothing.
const widened = ({ a, b }: Product, rank: number): Product => {
  const nothing = ([first]: readonly Float64Array[], count: number): Float64Array[] =>
    Array.from({ length: count }, () => new Float64Array(first.length));
  return { a: [...a, ...nothing(a, rank - a.length)], b: [...b, ...nothing(b, rank - b.length)] };
};

/** Plain LoRA of scaling 1 with a product for each module; the experts of one parameter get the highest of their ranks. */
export const productAdapter = async (
  base: Base,
  products: ReadonlyMap<string, Product>,
  { config, saved, whole }: ProductAdapterOptions,
): Promise<StoredAdapter> => {
  const parameters = new Map(candidatesOf(base.model).flatMap(({ module, parameter }) => (parameter ? [[module, parameter]] : [])));
  const ranks: Record<string, number> = {};
  for (const [module, { a }] of products) {
    const name = parameters.get(module) ?? module;
    ranks[name] = Math.max(ranks[name] ?? 0, a.length);
  }
  const names = Object.keys(ranks);
  const stacks = new Set(parameters.values());
  const stacked = names.filter((name) => stacks.has(name));
  const r = Math.max(...Object.values(ranks));
  const others = Object.fromEntries(Object.entries(ranks).filter(([, size]) => size !== r));
  const adapter = planAdapter(
    base.model,
    loraConfig({
      r,
      lora_alpha: r, // s = 1: scalings are in the factors
      rank_pattern: others,
      alpha_pattern: others,
      target_modules: names.filter((name) => !stacks.has(name)),
      target_parameters: stacked.length === 0 ? null : stacked,
      modules_to_save: saved.length === 0 ? null : saved,
      ...config,
    }),
  );
  const stored: StoredAdapter = { adapter, parameters: new Float32Array(adapter.layout.size), frozen: new Float32Array(0) };
  const values = valuesOf(stored);
  const fill = (name: string, data: Float32Array): void => (values.get(name)!.data as Float32Array).set(data);
  for (const [module, product] of products) {
    const { kind, rank } = adapter.targets.get(module)!;
    const { a, b } = widened(product, rank);
    fill(`${module}.${kind.A.name}`, fromColumns(a));
    fill(`${module}.${kind.B.name}`, fromRows(b));
  }
  for (const slot of adapter.layout.slots.filter(isWhole)) fill(slot.name, await whole(slot.name));
  return stored;
};
