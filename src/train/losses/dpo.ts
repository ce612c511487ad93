/** @file Direct preference optimisation: raises chosen answers over rejected ones, as far as the base is left behind for it. It knows nothing about data formats. */
import { pairKind, type Pair, type PairBatch } from "../../data/index.ts";
import { add, multiply, negate, scalar, subtract, total } from "../../graph/index.ts";
import { logSigmoid } from "../../nn/index.ts";
import { answerInputs, answerLogProbs } from "../answers.ts";
import { shapeOf, type LabelledShape } from "../feeds.ts";
import { halves, meanOver, pairFeeds, presentPairs, rewardMetrics } from "./compared.ts";
import type { Loss } from "./loss.ts";

export interface DpoSettings {
  /** How much a departure from the base counts, default 0.1; smaller values allow more. */
  readonly beta?: number;
  /** Share of pairs that are taken to be the wrong way round, from 0 to below 0.5; default 0. */
  readonly labelSmoothing?: number;
}

/**
 * With y_w chosen, y_l rejected, and log p of an answer summed over its tokens:
 *   r(y) = β·(log π(y|x) − log π_ref(y|x)),  loss = −log σ(r(y_w) − r(y_l))   [Rafailov et al. 2023, eq. 7]
 *   with smoothing: −(1 − ε)·log σ(r(y_w) − r(y_l)) − ε·log σ(r(y_l) − r(y_w))   [Mitchell 2023]
 * a mean over pairs. π_ref is the stored base, which the same program runs with nothing beside it.
 */
export const dpo = ({ beta = 0.1, labelSmoothing = 0 }: DpoSettings = {}): Loss<Pair, PairBatch, LabelledShape> => ({
  name: "dpo",
  settings: { beta, labelSmoothing },
  kind: pairKind,
  shapeOf,
  feeds: pairFeeds,
  build: (context, shape) => {
    const inputs = answerInputs(shape);
    const present = presentPairs(shape);
    const policy = answerLogProbs(context, context.modules, inputs); // (B, 1)
    const reference = answerLogProbs({ ...context, differentiable: false }, context.reference(), inputs);
    const [chosen, rejected] = halves(multiply(subtract(policy, reference), scalar(beta))); // (P, 1)
    const margin = subtract(chosen, rejected);
    const right = multiply(logSigmoid(margin), scalar(1 - labelSmoothing));
    const wrong = multiply(logSigmoid(negate(margin)), scalar(labelSmoothing));
    const [chosenLogProb, rejectedLogProb] = halves(policy);
    return {
      loss: negate(total(multiply(present, add(right, wrong)))),
      weight: total(present),
      metrics: {
        ...rewardMetrics(present, chosen, rejected),
        chosenLogProb: meanOver(present, chosenLogProb),
        rejectedLogProb: meanOver(present, rejectedLogProb),
      },
    };
  },
});
