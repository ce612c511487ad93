/** @file EVA: A begins as the directions in which a module's inputs vary most, and modules with more to say get more of the rank [Paischer et al. 2024]. */
import { input, matmul, subtract, type Tensor } from "../../graph/index.ts";
import type { Backend } from "../../runtime/index.ts";
import { f32, LowrankError } from "../../util/index.ts";
import { leadingSvd } from "../algebra/leading-svd.ts";
import { graphOperator, type Operator } from "../algebra/operator.ts";
import { fromColumns, scaled } from "../algebra/vectors.ts";
import type { InputMoments } from "./calibration.ts";
import type { Components, Initialisation, StartContext } from "./initialisation.ts";

/** PEFT's `eva_config`, as far as it is offered. */
export interface EvaOptions {
  /** Looks at the tokens that are learned alone. Default true. */
  readonly use_label_mask: boolean;
  /** How many times its rank a module may get at most; 1 leaves the ranks as they are. Default 2. */
  readonly rho: number;
  /** Divides directions by the root of how far the inputs reach along them. Default false. */
  readonly whiten: boolean;
  /** Changes α along with the rank, so that the scaling stays. Default true. */
  readonly adjust_scaling_factors: boolean;
}

/** Σ (x − x̄)·(x − x̄)ᵀ = Σ x·xᵀ − s·sᵀ/n with s = Σ x. */
const scatterOperator = async (backend: Backend, { second, sum, rows }: InputMoments): Promise<Operator> => {
  const size = sum.length;
  const resident = await backend.upload(f32(second, [size, size]));
  const [G, s] = [input("G", [size, size]), input("s", [1, size])];
  const apply = (x: Tensor): Tensor => subtract(matmul(x, G), matmul(matmul(x, s, { transposeB: true }), s, { alpha: 1 / rows })); // (N, in)
  const operator = graphOperator(backend, {
    inFeatures: size,
    outFeatures: size,
    forward: apply,
    adjoint: apply,
    feeds: { G: resident, s: f32(sum, [1, size]) },
  });
  return {
    ...operator,
    dispose: async () => {
      await operator.dispose();
      await backend.release(resident);
    },
  };
};

const largestIsPositive = (vector: Float64Array): Float64Array => {
  const largest = vector.reduce((most, value) => (Math.abs(value) > Math.abs(most) ? value : most), 0);
  return largest < 0 ? scaled(vector, -1) : vector;
};

const principalComponents = async (context: StartContext, { rho, whiten }: EvaOptions): Promise<Components> => {
  const { target, generator } = context;
  const moments = context.inputs();
  const { second, sum, rows } = moments;
  const size = target.inFeatures;
  const count = Math.min(Math.round(rho * target.rank), size);
  if (rows < count)
    throw new LowrankError("invalid-argument", `EVA looks for ${count} directions among ${rows} inputs.`, {
      where: target.module,
      fix: "Give it more data (--init-batches), or lower the rank or ρ.",
    });
  const scatter = await scatterOperator(context.backend(), moments);
  const { S, V } = await leadingSvd(scatter, { rank: count, generator });
  await scatter.dispose();
  let total = 0;
  for (let index = 0; index < size; index++) total += second[index * (size + 1)] - sum[index] ** 2 / rows;
  return {
    shares: S.map((variance) => variance / total),
    vectors: V.map((vector, index) => scaled(largestIsPositive(vector), whiten ? S[index] ** -0.25 : 1)),
  };
};

const defaults: EvaOptions = { rho: 2, use_label_mask: true, whiten: false, adjust_scaling_factors: true };

export const eva = (given: Partial<EvaOptions>): Initialisation => {
  const options = { ...defaults, ...given };
  return {
    needs: "inputs",
    inputs: { rows: options.use_label_mask ? "supervised" : "all", scale: "none" },
    ranks: { components: (context) => principalComponents(context, options), keepsScaling: options.adjust_scaling_factors },
    start: (A, _, { target, components }) => {
      A.set(fromColumns(components().vectors.slice(0, target.rank)));
    },
  };
};
