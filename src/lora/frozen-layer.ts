/** @file The frozen layer under an adapter, as its weight lies in a graph: either way round. It knows no adapter kind. */
import { matmul, reshape, sumSquares, transpose, type Tensor } from "../graph/index.ts";
import type { AdapterTarget } from "./targets.ts";
import type { FrozenLayer } from "./variants/variant.ts";

/** W as (out, in) and back again: checkpoints hold some the other way round. */
export const oriented = ({ turned }: Pick<AdapterTarget, "turned">, W: Tensor): Tensor => (turned ? transpose(W, [1, 0]) : W);

/** The layer of a target, over its weight as the checkpoint holds it. */
export const frozenLayer = (
  { turned = false }: Pick<AdapterTarget, "turned">,
  weight: () => Tensor,
  kept: FrozenLayer["kept"],
): FrozenLayer => ({
  times: (A, s) => matmul(weight(), A, { transposeA: turned, alpha: s }), // (out, r)
  squares: () => reshape(sumSquares(weight(), [turned ? 0 : 1]), [-1, 1]), // (out, 1)
  kept,
});
