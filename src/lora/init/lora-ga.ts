/** @file LoRA-GA: A and B begin along the singular vectors of the loss's gradient, so that the first step is that of full fine-tuning [Wang et al. 2024]. */
import { leadingSvd } from "../algebra/leading-svd.ts";
import type { Svd } from "../algebra/svd.ts";
import { fromColumns, fromRows, scaled } from "../algebra/vectors.ts";
import { permutation, type Random } from "../../util/index.ts";
import { needRank, type Initialisation, type StartContext } from "./initialisation.ts";

/** PEFT's `lora_ga_config`. */
export interface LoraGaOptions {
  /** Which of the 2r leading singular vectors A and B get: A the first and B the last r ("ArB2r", the default), and so on. */
  readonly direction: keyof typeof directions;
  /** How large they become. Default "stable". */
  readonly scale: keyof typeof scales;
  /** γ of the "stable" scale. Default 16. */
  readonly stable_gamma: number;
}

interface Choice {
  readonly ofA: readonly number[];
  readonly ofB: readonly number[];
}

const range = (start: number, count: number, step = 1): number[] => Array.from({ length: count }, (_, index) => start + index * step);

const directions = {
  ArB2r: (r: number): Choice => ({ ofA: range(0, r), ofB: range(r, r) }),
  A2rBr: (r: number): Choice => ({ ofA: range(r, r), ofB: range(0, r) }),
  ArBr: (r: number): Choice => ({ ofA: range(1, r, 2), ofB: range(0, r, 2) }),
  random: (r: number, generator: Random): Choice => {
    const chosen = [...permutation(2 * r, generator).subarray(0, r)];
    return { ofA: chosen, ofB: chosen };
  },
};

/** Factors on A and B. */
interface Factors {
  readonly a: number;
  readonly b: number;
}

interface Scaling {
  readonly context: StartContext;
  readonly options: LoraGaOptions;
  /** The largest of the singular values that B has taken. */
  readonly largest: number;
}

const scales = {
  // d_out^¼/√γ, which keeps the update's size at any width   [eq. 13]
  stable: ({ context, options }: Scaling): Factors => ({ a: 1, b: context.target.outFeatures ** 0.25 / Math.sqrt(options.stable_gamma) }),
  weight_svd: async ({ context: { operator, generator }, largest }: Scaling): Promise<Factors> => {
    if (largest === 0) return { a: 1, b: 1 };
    const { S } = await leadingSvd(operator(), { rank: 1, generator });
    return { a: 1, b: S[0] / largest };
  },
  gd_scale: ({ context: { target } }: Scaling): Factors => ({ a: 1 / target.scaling, b: 1 / target.scaling }),
  unit: (): Factors => ({ a: 1, b: 1 }),
};

const defaults: LoraGaOptions = { direction: "ArB2r", scale: "stable", stable_gamma: 16 };

export const loraGa = (given: Partial<LoraGaOptions>): Initialisation => ({
  needs: "gradients",
  shifts: true,
  // The gradient dL/dW (out, in) = U·S·Vᵀ: A from V, B from U·S   [alg. 1]
  start: async (A, B, context) => {
    const { target, gradient, generator } = context;
    const { rank } = target;
    const options = { ...defaults, ...given };
    needRank(target, 2);
    const { U, S, V }: Svd = await leadingSvd(await gradient(), { rank: 2 * rank, generator });
    const { ofA, ofB } = directions[options.direction](rank, generator);
    const { a, b } = await scales[options.scale]({ context, options, largest: S[ofB[0]] });
    A.set(fromColumns(ofA.map((index) => scaled(V[index], a))));
    B.set(fromRows(ofB.map((index) => scaled(U[index], b * S[index]))));
  },
});
