/**
 * @file LoRA-FA's update: where A is frozen, the gradient of B becomes the one whose change of the weights is nearest to full fine-tuning's,
 * g_B ← (AᵀA)⁻¹·g_B / s² [Zhang et al. 2023; Wang et al. 2024, thm. 2.1]. It knows nothing about how B is then moved.
 */
import { namedIn, valuesOf, type StoredAdapter } from "../../lora/index.ts";
import type { Optimiser } from "./optimiser.ts";

/** Added to the diagonal, as PEFT does. */
const ridge = 1e-8;

/** s⁻²·(AᵀA + ridge)⁻¹ of A (in, r), row-major (r, r): by Cholesky's decomposition and the inverse of its triangle. */
const metricOf = (A: Float32Array, r: number, s: number): Float64Array => {
  const L = new Float64Array(r * r);
  for (let i = 0; i < r; i++)
    for (let j = 0; j <= i; j++) {
      let sum = i === j ? ridge : 0;
      for (let row = 0; row < A.length; row += r) sum += A[row + i] * A[row + j];
      for (let k = 0; k < j; k++) sum -= L[i * r + k] * L[j * r + k];
      L[i * r + j] = i === j ? Math.sqrt(sum) : sum / L[j * r + j];
    }
  const inverse = new Float64Array(r * r); // of L
  for (let i = 0; i < r; i++)
    for (let j = 0; j <= i; j++) {
      let sum = Number(i === j);
      for (let k = j; k < i; k++) sum -= L[i * r + k] * inverse[k * r + j];
      inverse[i * r + j] = sum / L[i * r + i];
    }
  const metric = new Float64Array(r * r);
  for (let i = 0; i < r; i++)
    for (let j = 0; j < r; j++) {
      let sum = 0;
      for (let k = Math.max(i, j); k < r; k++) sum += inverse[k * r + i] * inverse[k * r + j];
      metric[i * r + j] = sum / (s * s);
    }
  return metric;
};

interface Projection {
  readonly start: number;
  readonly rank: number;
  readonly columns: number;
  readonly metric: Float64Array;
}

// g ← M·g for g (r, columns)
const project = (gradient: Float32Array, { start, rank: r, columns, metric }: Projection, column: Float64Array): void => {
  for (let at = start; at < start + columns; at++) {
    for (let k = 0; k < r; k++) column[k] = gradient[at + k * columns];
    for (let i = 0; i < r; i++) {
      let sum = 0;
      for (let k = 0; k < r; k++) sum += metric[i * r + k] * column[k];
      gradient[at + i * columns] = sum;
    }
  }
};

/** An optimiser that is given the projected gradient of each B. The gradient that it is handed is changed in place. */
export const projectedGradient = (optimiser: Optimiser, stored: StoredAdapter): Optimiser => {
  const { adapter } = stored;
  const values = valuesOf(stored);
  const slots = new Map(adapter.layout.slots.map((slot) => [slot.name, slot]));
  const projections = [...adapter.targets.values()].map(({ module, kind, rank, scaling, outFeatures }): Projection => {
    const A = namedIn(values, module)(kind.A.name).data as Float32Array;
    return { start: slots.get(`${module}.${kind.B.name}`)!.offset, rank, columns: outFeatures, metric: metricOf(A, rank, scaling) };
  });
  const column = new Float64Array(Math.max(...projections.map(({ rank }) => rank)));
  return {
    ...optimiser,
    update: (parameters, gradient, learningRate, factor) => {
      for (const projection of projections) project(gradient, projection, column);
      optimiser.update(parameters, gradient, learningRate, factor);
    },
  };
};
