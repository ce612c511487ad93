/** @file The rules that mix tensors element by element, each a way to prune and a way to mix. Adding one is one line. It knows nothing about adapters. */
import { hash, random } from "../../util/index.ts";
import { agreeingMean, sumOf, type Mix, type SignElection } from "./mix.ts";
import { pruneAtRandom, pruneBySize, type Prune } from "./prune.ts";

interface Rule {
  readonly prune?: Prune;
  readonly mix: Mix;
}

/** By PEFT's names of `combination_type`. */
export const rules = {
  linear: { mix: sumOf },
  magnitude_prune: { prune: pruneBySize, mix: sumOf },
  ties: { prune: pruneBySize, mix: agreeingMean },
  dare_linear: { prune: pruneAtRandom, mix: sumOf },
  dare_ties: { prune: pruneAtRandom, mix: agreeingMean },
} satisfies Record<string, Rule>;

export type RuleName = keyof typeof rules;

export interface RuleOptions {
  /** Share of the elements that survive pruning, 0 to 1. */
  readonly density: number;
  readonly signs: SignElection;
  /** Decides which elements survive where they are drawn. */
  readonly seed: number;
}

/** Mixes tensors of one shape by a rule. */
export const mixTensors = (
  name: RuleName,
  tensors: readonly Float32Array[],
  weights: readonly number[],
  { density, signs, seed }: RuleOptions,
): Float32Array => {
  const { prune, mix }: Rule = rules[name];
  const kept = prune === undefined ? tensors : tensors.map((tensor, index) => prune(tensor, density, random(hash(seed, index))));
  return mix(kept, weights, signs);
};
