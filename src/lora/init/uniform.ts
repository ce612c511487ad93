/** @file PEFT's `init_lora_weights: false`: A and B both random, so that an untrained adapter has an effect; for tests. */
import type { Initialisation } from "./initialisation.ts";
import { kaiming } from "./kaiming.ts";

export const uniform: Initialisation = (target, A, B, generator) => {
  kaiming(target, A, B, generator);
  const bound = 1 / Math.sqrt(target.rank);
  for (let index = 0; index < B.length; index++) B[index] = (2 * generator.uniform() - 1) * bound;
};
