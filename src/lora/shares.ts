/** @file Which modules a target acts on: itself, or several whose weights lie one above the other in one parameter. It knows no adapter kind. */
import { slice, type Tensor } from "../graph/index.ts";
import type { AdapterTarget } from "./targets.ts";

/** A module's share of a target. */
export interface Share {
  /** The target, as wide as the module. */
  readonly target: AdapterTarget;
  /** A tensor of the target, by its short name, as far as it concerns the module. */
  own(name: string, tensor: Tensor): Tensor;
}

const whole = (target: AdapterTarget): Share => ({ target, own: (_, tensor) => tensor });

/** The shares of targets by module. */
export const sharesOf = (targets: Iterable<AdapterTarget>): ReadonlyMap<string, Share> => {
  const shares = new Map<string, Share>();
  for (const target of targets) {
    const { module, parts = [module], kind, outFeatures } = target;
    const width = outFeatures / parts.length;
    if (parts.length === 1) shares.set(parts[0], whole(target));
    else
      parts.forEach((part, index) =>
        shares.set(part, {
          target: { ...target, outFeatures: width },
          own: (name, tensor) => (name === kind.B.name ? slice(tensor, 1, index * width, (index + 1) * width) : tensor),
        }),
      );
  }
  return shares;
};
