/** @file PEFT's `init_lora_weights: false`: A and B both random, so that an untrained adapter has an effect; for tests. */
import type { Initialisation } from "./initialisation.ts";
import { kaiming } from "./kaiming.ts";

export const uniform: Initialisation = {
  needs: "nothing",
  start: async (A, B, context) => {
    await kaiming.start(A, B, context);
    const bound = 1 / Math.sqrt(context.target.rank);
    for (let index = 0; index < B.length; index++) B[index] = (2 * context.generator.uniform() - 1) * bound;
  },
};
