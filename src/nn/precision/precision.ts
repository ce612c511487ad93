/** @file How frozen linear modules may be held in fewer bits: how a weight is rounded and how it is multiplied with. It knows no particular form. */
import type { Tensor } from "../../graph/index.ts";
import type { HostTensor } from "../../util/index.ts";
import { int8 } from "./int8.ts";

/** A form of weights with fewer bits; `parts` are stored tensors by short name. */
export interface Precision {
  /** What takes the place of W (out, in), row-major. */
  round(W: Float32Array, outFeatures: number, inFeatures: number): Readonly<Record<string, HostTensor>>;
  /** Types and shapes of those parts. */
  shapes(outFeatures: number, inFeatures: number): Readonly<Record<string, Pick<HostTensor, "dtype" | "shape">>>;
  /** x·Wᵀ: (N, in) → (N, out). */
  product(x: Tensor, part: (name: string) => Tensor): Tensor;
}

/** The forms by the name that `--base-precision` takes; without one, weights stay float32. */
export const precisions = { int8 } satisfies Record<string, Precision>;

export type PrecisionName = keyof typeof precisions;
