/**
 * @file A rule on A and on B, each on its own, as PEFT's composition and LoraHub [Huang et al. 2023, eq. 1] do it. The product of two sums has
 * cross terms AᵢBⱼ that belong to no adapter: it is not the sum of products, and how far off it is has to be measured.
 */
import { LowrankError } from "../../util/index.ts";
import type { Vectors } from "../algebra/vectors.ts";
import type { Method } from "./method.ts";
import { mixTensors, type RuleName } from "./rules.ts";

const flat = (vectors: Vectors): Float32Array => Float32Array.from(vectors.flatMap((vector) => [...vector]));

const cut = (data: Float32Array, length: number): Float64Array[] =>
  Array.from({ length: data.length / length }, (_, index) => Float64Array.from(data.subarray(index * length, (index + 1) * length)));

/** The sign of a weight goes to A alone, and its size in equal shares to both. */
export const factorwise =
  (rule: RuleName): Method =>
  (terms, { module, seed, ...options }) => {
    const ranks = new Set(terms.map(({ a }) => a.length));
    if (ranks.size > 1)
      throw new LowrankError(
        "invalid-argument",
        `The adapters have the ranks ${[...ranks].join(", ")} here, and ${rule} adds factors of one rank.`,
        {
          where: module,
          fix: `Compose the updates instead: ${rule}_svd, or cat.`,
        },
      );
    const scales = terms.map(({ scaling, weight }) => scaling * weight);
    const sizes = scales.map((scale) => Math.sqrt(Math.abs(scale)));
    const signed = scales.map((scale, index) => (scale < 0 ? -sizes[index] : sizes[index]));
    const mixed = (factor: "a" | "b", weights: readonly number[], stream: number): Float64Array[] =>
      cut(
        mixTensors(
          rule,
          terms.map((term) => flat(term[factor])),
          weights,
          { ...options, seed: seed + stream },
        ),
        terms[0][factor][0].length,
      );
    return { a: mixed("a", signed, 0), b: mixed("b", sizes, 1) };
  };
