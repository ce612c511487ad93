/** @file How frozen linear modules may be held in fewer bits: how a weight is rounded and how it is multiplied with. It knows no particular form. */
import type { Tensor } from "../../graph/index.ts";
import type { HostTensor } from "../../util/index.ts";
import { int4 } from "./int4.ts";
import { int8 } from "./int8.ts";
import { nf4 } from "./nf4.ts";

/** A form of weights with fewer bits; `parts` are stored tensors by short name. */
export interface Precision {
  /** Whether output embeddings and classifiers are held so too. */
  readonly heads: boolean;
  /** Tokens from which on a longer pass over such weights is no faster; without it, the longest one is the fastest. */
  readonly enoughTokens?: number;
  /** What takes the place of W (out, in), row-major. */
  round(W: Float32Array, outFeatures: number, inFeatures: number): Readonly<Record<string, HostTensor>>;
  /** The weight that the parts hold: (out, in), row-major. */
  restore(parts: Readonly<Record<string, HostTensor>>, outFeatures: number, inFeatures: number): Float32Array;
  /** Types and shapes of those parts. */
  shapes(outFeatures: number, inFeatures: number): Readonly<Record<string, Pick<HostTensor, "dtype" | "shape">>>;
  /** Whether parts of several modules, laid behind each other, are those of one module with the outputs of all; default they are not. */
  readonly joins?: boolean;
  /** Which of the parts serve the gradient alone. */
  readonly back: readonly string[];
  /** p·W for rows p of probabilities: (N, out) → (N, in). Without it, or without its parts, W is multiplied with in float32. */
  probabilities?(p: Tensor, W: Tensor, part: (name: string) => Tensor | undefined): Tensor | undefined;
  /** x·Wᵀ: (N, in) → (N, out); without the parts for the way back it has no gradient. */
  product(x: Tensor, part: (name: string) => Tensor | undefined): Tensor;
}

/** The forms by the name that `--base-precision` takes; without one, weights stay float32. */
export const precisions = { int8, int4, nf4 } satisfies Record<string, Precision>;

export type PrecisionName = keyof typeof precisions;

/** Tokens from which on a longer pass is no faster over weights in a form, or in float32 without one. */
export const enoughTokensOf = (form: PrecisionName | undefined): number | undefined => form && precisions[form].enoughTokens;

const partNames = Object.values(precisions).flatMap(({ shapes }) => Object.keys(shapes(1, 1)));

/** Finds tensors as `find` does, without the parts of modules whose weight is not the stored one. */
export const withoutParts =
  <T>(find: (name: string) => T | undefined, isReplaced: (weight: string) => boolean): ((name: string) => T | undefined) =>
  (name) => {
    const module = roundedModule(name);
    return module !== undefined && isReplaced(`${module}.weight`) ? undefined : find(name);
  };

/** The module that a tensor of this name belongs to as a part with fewer bits; undefined for any other tensor. */
export const roundedModule = (name: string): string | undefined => {
  const part = partNames.find((each) => name.endsWith(`.${each}`));
  return part === undefined ? undefined : name.slice(0, -part.length - 1);
};
