/**
 * @file How an adapter sits in its base, module by module: how large its update is beside W, over how many directions it is spread, and whether
 * it brings leading directions that the base does not have ("intruder dimensions") [Shuttleworth et al. 2024]. It knows nothing about tasks.
 */
import { storedTensors, storedValues, type Base } from "../models/index.ts";
import type { Backend } from "../runtime/index.ts";
import { f32, hashText, random, type HostTensor } from "../util/index.ts";
import type { StoredAdapter } from "./adapter.ts";
import { leadingSvd } from "./algebra/leading-svd.ts";
import { uploadedOperator } from "./algebra/operator.ts";
import { productSvd, type Svd } from "./algebra/svd.ts";
import { dot, norm } from "./algebra/vectors.ts";
import { sumOfTerms, termsOf } from "./compose/term.ts";
import { mergeModule } from "./merge.ts";

export interface ModuleHealth {
  readonly module: string;
  /** ‖ΔW‖, and over ‖W‖, by Frobenius. */
  readonly norm: number;
  readonly share: number;
  /** exp(entropy of σ²/Σσ²) of ΔW's singular values [Roy and Vetterli 2007]: 1 for one direction, r for r equal ones. */
  readonly effectiveRank: number;
  /** How many of the leading left singular vectors of W + ΔW have no cosine of `likeness` with any of the base's. */
  readonly intruders: number;
}

export interface HealthOptions {
  /** Leading directions of W + ΔW that are looked at. Default 10. */
  readonly directions?: number;
  /** A cosine below this is none. Default 0.5. */
  readonly likeness?: number;
}

// Directions of the base beyond those looked at, among which a shifted one may be found again.
const more = 3;

const effectiveRank = ({ S }: Svd): number => {
  const all = dot(S, S);
  if (all === 0) return 0;
  return Math.exp(S.reduce((sum, value) => (value === 0 ? sum : sum - (value ** 2 / all) * Math.log(value ** 2 / all)), 0));
};

const leading = async (backend: Backend, matrix: HostTensor, isTurned: boolean, rank: number, seed: number): Promise<Svd> => {
  const operator = await uploadedOperator(backend, matrix, isTurned);
  try {
    return await leadingSvd(operator, { rank: Math.min(rank, ...matrix.shape), tolerance: 1e-4, generator: random(seed) });
  } finally {
    await operator.dispose();
  }
};

/** Measures every module that an adapter targets; costs a few dozen products with each W. */
export const adapterHealth = async (
  backend: Backend,
  base: Base,
  stored: StoredAdapter,
  { directions = 10, likeness = 0.5 }: HealthOptions = {},
): Promise<ModuleHealth[]> => {
  const find = storedTensors(base);
  const found: ModuleHealth[] = [];
  for (const { module, parts = [module], rank, turned = false, inFeatures, outFeatures } of stored.adapter.targets.values()) {
    const adapters = [{ ...stored, weight: 1 }];
    const shape = turned ? [inFeatures, outFeatures] : [outFeatures, inFeatures];
    const [W, mergedW] = [new Float32Array(inFeatures * outFeatures), new Float32Array(inFeatures * outFeatures)];
    const size = W.length / parts.length;
    for (const [index, part] of parts.entries()) {
      const [values, bias] = [await storedValues(base, `${part}.weight`), find(`${part}.bias`)];
      const own = f32(values, turned ? shape : [outFeatures / parts.length, inFeatures]);
      const merged = await mergeModule(backend, part, { weight: own, ...(bias && { bias }) }, adapters);
      W.set(values, index * size);
      mergedW.set(merged!.weight.data as Float32Array, index * size);
    }
    const { a, b } = sumOfTerms(await termsOf(backend, base, adapters, module, rank));
    const update = productSvd(a, b);
    const seed = hashText(module);
    const before = await leading(backend, f32(W, shape), turned, more * directions, seed);
    const after = await leading(backend, f32(mergedW, shape), turned, directions, seed);
    const isIntruder = (u: Float64Array): boolean => before.U.every((v) => Math.abs(dot(u, v)) < likeness);
    found.push({
      module,
      norm: norm(update.S),
      share: norm(update.S) / norm(Float64Array.from(W)),
      effectiveRank: effectiveRank(update),
      intruders: after.U.filter(isIntruder).length,
    });
  }
  return found;
};
