/** @file CorDA: A and B begin as the part of W that matters most, or least, for the inputs of the data at hand [Yang et al. 2024]. */
import { leadingSvd } from "../algebra/leading-svd.ts";
import { productOperator, uploadedOperator } from "../algebra/operator.ts";
import { trailingSvd } from "../algebra/trailing-svd.ts";
import { fromColumns, fromRows, scaled } from "../algebra/vectors.ts";
import { f32, type HostTensor } from "../../util/index.ts";
import type { InputMoments } from "./calibration.ts";
import { needRank, type Initialisation } from "./initialisation.ts";

/** PEFT's `corda_config`, as far as it is offered. */
export interface CordaOptions {
  /** What is trained: the part that the data need most ("ipm", the default), or the one that they need least, so that what they need stays ("kpm"). */
  readonly corda_method: "ipm" | "kpm";
}

const decompositions = { ipm: leadingSvd, kpm: trailingSvd } satisfies Record<CordaOptions["corda_method"], unknown>;

/** Share of the mean of C's diagonal that is added to it, because few inputs leave C singular. */
const damping = 0.01;

/** C = E[x·xᵀ] as PEFT has it, the mean of the batches' sums, and a share of its diagonal's mean. */
const damped = ({ second, batches }: InputMoments, size: number): HostTensor => {
  const C = second.map((sum) => sum / batches);
  let trace = 0;
  for (let index = 0; index < size; index++) trace += C[index * (size + 1)];
  for (let index = 0; index < size; index++) C[index * (size + 1)] += (damping * trace) / size;
  return f32(C, [size, size]);
};

export const corda = ({ corda_method: method = "ipm" }: Partial<CordaOptions>): Initialisation => ({
  needs: "inputs",
  inputs: { rows: "all", scale: "largest" },
  shifts: true,
  // W·C = U·S·Vᵀ with C = E[x·xᵀ]; s·(A·B)ᵀ = U_r·S_r·(C⁻¹·V_r)ᵀ   [eq. 3 to 5]
  start: async (A, B, { backend, operator, inputs, target, generator }) => {
    needRank(target);
    const W = operator();
    const covariance = await uploadedOperator(backend(), damped(inputs(), target.inFeatures));
    const { U, S } = await decompositions[method](productOperator(W, covariance), { rank: target.rank, generator });
    await covariance.dispose();
    // UᵀW·C = S·Vᵀ, so that C⁻¹·V is WᵀU/S and nothing is inverted.
    const projected = await W.adjoint(U);
    A.set(fromColumns(projected.map((vector, index) => scaled(vector, S[index] === 0 ? 0 : 1 / Math.sqrt(S[index] * target.scaling)))));
    B.set(fromRows(U.map((vector, index) => scaled(vector, Math.sqrt(S[index] / target.scaling)))));
  },
});
