/** @file Kahneman–Tversky optimisation: raises good answers and lowers bad ones that need no partner. It knows nothing about data formats. */
import { judgedKind, type Judged, type JudgedBatch } from "../../data/index.ts";
import { add, divide, input, multiply, relu, scalar, sigmoid, subtract, total, withGradient, type Tensor } from "../../graph/index.ts";
import { f32 } from "../../util/index.ts";
import { answerFeeds, answerInputs, answerLogProbs } from "../answers.ts";
import { shapeOf, type LabelledShape } from "../feeds.ts";
import { isPositive, meanOver } from "./compared.ts";
import type { Loss } from "./loss.ts";

export interface KtoSettings {
  /** How much a departure from the base counts, default 0.1; smaller values allow more. */
  readonly beta?: number;
  /** Weights of good and of bad answers, default 1. */
  readonly desirableWeight?: number;
  readonly undesirableWeight?: number;
}

export interface JudgedShape extends LabelledShape {
  /** Labelled positions of the mismatched rows, padded. */
  readonly M: number;
}

const mismatched = "mismatched.";

/** x, through which no gradient flows. */
const held = (x: Tensor): Tensor => withGradient(x, [], [], () => []);

/**
 * With r(y) = log π(y|x) − log π_ref(y|x), summed over an answer's tokens, and answers y′ to other prompts:
 *   z = max(0, mean of r(y′)), which estimates KL(π‖π_ref) and is not differentiated,
 *   loss = λ_D·(1 − σ(β·(r(y) − z))) for a good answer, λ_U·(1 − σ(β·(z − r(y)))) for a bad one   [Ethayarajh et al. 2024, eq. 7]
 * a mean over answers; z is that of the batch. π_ref is the stored base, which the same program runs with nothing beside it.
 */
export const kto = ({ beta = 0.1, desirableWeight = 1, undesirableWeight = 1 }: KtoSettings = {}): Loss<
  Judged,
  JudgedBatch,
  JudgedShape
> => ({
  name: "kto",
  settings: { beta, desirableWeight, undesirableWeight },
  kind: judgedKind,
  spansBatch: true,
  shapeOf: (batch) => ({ ...shapeOf(batch), M: shapeOf(batch.mismatched).L }),
  feeds: (batch, shape) => ({
    ...answerFeeds(batch, shape),
    ...answerFeeds(batch.mismatched, { ...shape, L: shape.M }, mismatched),
    desirable: f32(batch.desirable, [shape.B, 1]),
    present: f32(batch.present, [shape.B, 1]),
  }),
  build: (context, shape) => {
    const present = input("present", [shape.B, 1]);
    const desirable = input("desirable", [shape.B, 1]);
    const undesirable = subtract(present, desirable);
    const plain = { ...context, differentiable: false };
    const reference = context.reference();

    const answers = answerInputs(shape);
    const policy = answerLogProbs(context, context.modules, answers); // (B, 1)
    const ratio = subtract(policy, answerLogProbs(plain, reference, answers));
    const others = answerInputs({ ...shape, L: shape.M }, mismatched);
    const otherRatio = subtract(answerLogProbs(plain, context.modules, others), answerLogProbs(plain, reference, others));
    const z = held(relu(divide(total(otherRatio), total(present)))); // rows without an answer have ratio 0

    const towards = subtract(desirable, undesirable); // 1 for good answers, −1 for bad ones
    const gain = multiply(towards, subtract(ratio, z));
    const value = sigmoid(multiply(gain, scalar(beta)));
    const weights = add(multiply(desirable, scalar(desirableWeight)), multiply(undesirable, scalar(undesirableWeight)));
    const reward = multiply(ratio, scalar(beta));
    return {
      loss: total(multiply(weights, subtract(scalar(1), value))),
      weight: total(present),
      metrics: {
        accuracy: meanOver(present, isPositive(gain)),
        chosenReward: meanOver(desirable, reward),
        rejectedReward: meanOver(undesirable, reward),
        divergence: { sum: multiply(z, total(present)), weight: total(present) },
        chosenLogProb: meanOver(desirable, policy),
        rejectedLogProb: meanOver(undesirable, policy),
      },
    };
  },
  evaluationMetrics: (_, metrics) => {
    // Held-out data may have no bad answers, or no good ones.
    const both = "chosenReward" in metrics && "rejectedReward" in metrics;
    return both ? { margin: metrics["chosenReward"] - metrics["rejectedReward"], ...metrics } : metrics;
  },
});
