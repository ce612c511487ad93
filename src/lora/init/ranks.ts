/** @file Shares a total rank out among modules by what each component explains of its module's inputs. It knows no initialisation. */
import type { LoraConfig } from "../config.ts";
import type { AdapterTarget } from "../targets.ts";

/** A target with the share of its inputs' variance that each of its components explains, in descending order. */
export interface RankCandidate {
  readonly target: AdapterTarget;
  readonly shares: Float64Array;
}

/**
 * The rank of each target: as many components as all ranks together, those with the greatest shares wherever they lie
 * [Paischer et al. 2024, alg. 1]. A target may get none.
 */
export const sharedRanks = (candidates: readonly RankCandidate[]): number[] => {
  const budget = candidates.reduce((sum, { target }) => sum + target.rank, 0);
  const components = candidates.flatMap(({ shares }, index) => Array.from(shares, (share) => ({ index, share })));
  const chosen = components.sort((a, b) => b.share - a.share).slice(0, budget);
  const ranks = candidates.map(() => 0);
  for (const { index } of chosen) ranks[index] += 1;
  return ranks;
};

/** The configuration that gives targets these ranks, by name; those of rank 0 are targets no more. With `keepsScaling` α changes along. */
export const withRanks = (
  config: LoraConfig,
  targets: readonly AdapterTarget[],
  ranks: readonly number[],
  keepsScaling: boolean,
): LoraConfig => {
  // α of s = α/r, or of s = α/√r, without the rounding errors of the division.
  const alphaOf = (index: number): number => {
    const { rank, scaling } = targets[index];
    const alpha = scaling * (config.use_rslora ? Math.sqrt(rank) : rank);
    return Number((keepsScaling ? (alpha * ranks[index]) / rank : alpha).toPrecision(12));
  };
  const kept = targets.map((_, index) => index).filter((index) => ranks[index] > 0);
  const pattern = (value: (index: number) => number, usual: number): Record<string, number> =>
    Object.fromEntries(kept.filter((index) => value(index) !== usual).map((index) => [targets[index].module, value(index)]));
  return {
    ...config,
    target_modules: kept.map((index) => targets[index].module),
    rank_pattern: pattern((index) => ranks[index], config.r),
    alpha_pattern: pattern(alphaOf, config.lora_alpha),
  };
};
