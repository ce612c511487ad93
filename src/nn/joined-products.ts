/** @file Products of one input with the weights of several modules as one product, where those lie behind each other in a file. It knows no form. */
import { joinedWeight, slice, type Tensor } from "../graph/index.ts";
import type { Precision } from "./precision/precision.ts";

// A product of few rows takes as long to start as to read its weights.
const fewRows = 64;

/** x·Wᵀ for each module, whose parts are found by short names: (N, in) → (N, out) each. Undefined where one product would not serve. */
export const joinedProducts = (
  form: Precision,
  x: Tensor,
  modules: readonly ((part: string) => Tensor | undefined)[],
): Tensor[] | undefined => {
  if (!form.joins || modules.length < 2 || x.shape[0] >= fewRows) return undefined;
  const names = Object.keys(form.shapes(1, 1));
  const parts = new Map(names.map((name) => [name, joinedWeight(modules.map((partOf) => partOf(name)))]));
  if (names.some((name) => parts.get(name) === undefined)) return undefined;
  const together = form.product(x, (name) => parts.get(name)); // (N, Σ out)
  let end = 0;
  return modules.map((partOf) => {
    const start = end;
    end += partOf(names[0])!.shape[0];
    return slice(together, 1, start, end);
  });
};
