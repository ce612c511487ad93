/**
 * @file The LoRA layer and its mathematics. It knows nothing about models, files or training.
 *
 *            ┌───────── W  (d_in × d_out), frozen ─────────┐
 *     x ─────┤                                             (+)──── h
 *            └── dropout ── A (d_in × r) ── B (r × d_out) ── s ┘
 *
 *     h = x·W + s·(x·A)·B,   s = α/r  (α/√r for rsLoRA)        [Hu et al. 2021, eq. 3; Kalajdzievski 2023]
 */
import { add, matmul, scale, subtract, type Tensor } from "../graph/index.ts";
import { LowrankError } from "../util/index.ts";

/** s = α/r [Hu et al. 2021, §4.1], or α/√r, which keeps its size at high ranks [Kalajdzievski 2023, thm. 3.2]. */
export const scalingOf = (alpha: number, rank: number, rankStabilised = false): number => alpha / (rankStabilised ? Math.sqrt(rank) : rank);

/**
 * A low-rank update beside a frozen linear layer. A is (d_in, r), B is (r, d_out); checkpoints hold W as (d_out, d_in).
 * @example
 * const x = input("x", [4, 8]), W = input("W", [16, 8]);
 * const layer = new LoRALayer(input("A", [8, 2]), input("B", [2, 16]), scalingOf(4, 2));
 * const h = layer.adapt(x, matmul(x, W, { transposeB: true })); // (4, 16)
 */
export class LoRALayer {
  readonly A: Tensor;
  readonly B: Tensor;
  readonly scaling: number;

  constructor(A: Tensor, B: Tensor, scaling: number) {
    if (A.shape.length !== 2 || B.shape.length !== 2 || A.shape[1] !== B.shape[0])
      throw new LowrankError("shape-mismatch", `A [${A.shape.join(", ")}] and B [${B.shape.join(", ")}] do not share a rank.`, {
        fix: "A is (d_in, r) and B is (r, d_out).",
      });
    this.A = A;
    this.B = B;
    this.scaling = scaling;
  }

  /** h = x·W + s·(x·A)·B from x (N, d_in) and base = x·W (N, d_out); what A reads may have gone through dropout. */
  adapt(x: Tensor, base: Tensor): Tensor {
    return this.expand(matmul(x, this.A, { alpha: this.scaling }), base);
  }

  /** base + z·B from z = s·x·A (N, r). */
  expand(z: Tensor, base: Tensor): Tensor {
    return matmul(z, this.B, {}, base);
  }

  /** ΔW = s·A·B as (d_in, d_out), the paper's orientation. */
  update(): Tensor {
    return scale(matmul(this.A, this.B), this.scaling);
  }

  /** W + ΔW, for W as checkpoints hold it: (d_out, d_in). */
  merge(W: Tensor): Tensor {
    return add(W, this.delta());
  }

  /** W′ − ΔW: what `merge` was given. */
  unmerge(merged: Tensor): Tensor {
    return subtract(merged, this.delta());
  }

  /** ΔW as checkpoints hold W: (A·B)ᵀ = Bᵀ·Aᵀ, (d_out, d_in). */
  delta(): Tensor {
    return matmul(this.B, this.A, { transposeA: true, transposeB: true, alpha: this.scaling });
  }
}
