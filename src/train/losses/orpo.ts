/** @file Odds-ratio preference optimisation: learns chosen answers and, without a reference, what sets them apart from rejected ones. It knows nothing about data formats. */
import { pairKind, type Pair, type PairBatch } from "../../data/index.ts";
import { add, divide, log, multiply, negate, scalar, subtract, tanh, total, type Tensor } from "../../graph/index.ts";
import { logSigmoid } from "../../nn/index.ts";
import { answerInputs, answerLengths, answerLogProbs } from "../answers.ts";
import { shapeOf, type LabelledShape } from "../feeds.ts";
import { halves, meanOver, pairFeeds, presentPairs, rewardMetrics } from "./compared.ts";
import type { Loss } from "./loss.ts";

export interface OrpoSettings {
  /** Weight of the odds ratio beside the chosen answers' own loss, default 0.1. */
  readonly lambda?: number;
}

// Of an answer that is certain to the last bit, 1 − p would be 0.
const smallest = 1e-12;

/** log(1 − eˡ) for l ≤ 0, with t = tanh(l/2): 1 − eˡ = −2t/(1 − t), which loses nothing where eˡ is close to 1. */
const logComplement = (l: Tensor): Tensor => {
  const t = tanh(multiply(l, scalar(0.5)));
  return subtract(log(add(multiply(t, scalar(-2)), scalar(smallest))), log(subtract(scalar(1), t)));
};

/**
 * With l(y) = log p of an answer's tokens, averaged, and odds(y) = eˡ/(1 − eˡ)   [Hong et al. 2024, eq. 3 and 4]:
 *   loss = −l(y_w) − λ·log σ(log(odds(y_w)/odds(y_l)))   [eq. 6 and 7]
 * a mean over pairs. Prompts are not learnt.
 */
export const orpo = ({ lambda = 0.1 }: OrpoSettings = {}): Loss<Pair, PairBatch, LabelledShape> => ({
  name: "orpo",
  settings: { lambda },
  kind: pairKind,
  shapeOf,
  feeds: pairFeeds,
  build: (context, shape) => {
    const inputs = answerInputs(shape);
    const present = presentPairs(shape);
    const mean = divide(answerLogProbs(context, context.modules, inputs), answerLengths(inputs)); // (B, 1)
    const [chosen, rejected] = halves(mean); // (P, 1)
    const [oddsChosen, oddsRejected] = halves(subtract(mean, logComplement(mean)));
    const logOddsRatio = subtract(oddsChosen, oddsRejected);
    const each = add(chosen, multiply(logSigmoid(logOddsRatio), scalar(lambda)));
    return {
      loss: negate(total(multiply(present, each))),
      weight: total(present),
      metrics: {
        ...rewardMetrics(present, multiply(chosen, scalar(lambda)), multiply(rejected, scalar(lambda))),
        logOddsRatio: meanOver(present, logOddsRatio),
        chosenLogProb: meanOver(present, chosen),
        rejectedLogProb: meanOver(present, rejected),
      },
    };
  },
});
