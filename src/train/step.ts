/** @file The program of a training step: a loss's inputs and one flat vector in, its sum, its weight, its metrics and one flat gradient out. It knows no loss. */
import {
  add,
  cast,
  concat,
  equal,
  gradients,
  input,
  integers,
  multiply,
  program,
  reshape,
  scalar,
  scale,
  subtract,
  type Graph,
  type Tensor,
} from "../graph/index.ts";
import { pooledDropout } from "../lora/index.ts";
import { modelModules, type Model } from "../models/index.ts";
import { loadBalance, type RoutedTokens } from "../nn/index.ts";
import type { CompileOptions } from "../runtime/index.ts";
import type { Loss, LossContext, LossParts, MemorySettings, MetricParts, StepShape } from "./losses/loss.ts";
import { trainedTensors, type Find, type Trainable } from "./trainable.ts";

export interface StepOptions extends MemorySettings {
  readonly model: Model;
  /** The stored base. */
  readonly find: Find;
  readonly trainable: Trainable;
  readonly loss: Loss;
  readonly shape: StepShape;
}

/** What the outputs that hold a metric's sum and weight are called, before its name. */
export const metricPrefix = "metric.";
/** What the outputs that hold counts are called, before their name. */
export const countPrefix = "count.";

/** Elements of the widest input that an adapter reads in a step. */
export const widestInput = (model: Model, { B, T }: StepShape): number =>
  B * T * Math.max(...model.linears.map(({ inFeatures }) => inFeatures));

const pair = ({ sum, weight }: MetricParts): Tensor => concat([reshape(sum, [1]), reshape(weight, [1])], 0); // (2)

const outputsOf = ({ loss, weight, metrics = {}, counts = {} }: LossParts): Record<string, Tensor> => ({
  loss,
  weight,
  ...Object.fromEntries(Object.entries(metrics).map(([name, metric]) => [metricPrefix + name, pair(metric)])),
  ...Object.fromEntries(Object.entries(counts).map(([name, vector]) => [countPrefix + name, reshape(vector, [-1])])),
});

// 1 for a token and 0 for padding: (B, T) gives (B·T).
const isToken = (segments: Tensor): Tensor => subtract(scalar(1), reshape(cast(equal(segments, integers([0])), "f32"), [-1]));

/** Penalties count once per update, however many batches and labels that has. */
const withPenalties = (parts: LossParts, penalties: readonly Tensor[]): LossParts & { readonly objective: Tensor } => {
  if (penalties.length === 0) return { ...parts, objective: parts.loss };
  const sum = multiply(
    penalties.reduce((all, penalty) => add(all, penalty)),
    parts.weight,
  );
  return { ...parts, objective: add(parts.loss, sum), metrics: { ...parts.metrics, penalty: { sum, weight: parts.weight } } };
};

// What so few tokens leave behind takes little memory, and making it again takes a twentieth of the time.
const keptTokens = 512;

/** Whether norms and attention weights are kept for the backward pass. */
const keepOf = ({ keep, recompute, shape: { B, T } }: Pick<StepOptions, "keep" | "recompute" | "shape">): boolean =>
  keep ?? (recompute !== true && B * T <= keptTokens);

/** How a training step is compiled. */
export const stepCompilation: CompileOptions = { rewrites: false };

/** Those that are given. */
export const memorySettings = ({ recompute, keep, chunk }: MemorySettings): MemorySettings => ({
  ...(recompute !== undefined && { recompute }),
  ...(keep !== undefined && { keep }),
  ...(chunk !== undefined && { chunk }),
});

/** Inputs: the loss's, `parameters` (N) and `dropout`; outputs: `loss`, `weight`, `metric.…` (2) and the `gradient` (N) of the sum. */
export const trainingProgram = (options: StepOptions): Graph => {
  const { model, find, trainable, loss, shape } = options;
  const tensors = trainedTensors(trainable, input("parameters", [trainable.layout.size]));
  const keep = keepOf(options);
  const dropout = trainable.dropout === 0 ? undefined : pooledDropout(widestInput(model, shape));
  const routers: RoutedTokens[] = [];
  const context: LossContext = {
    model,
    modules: trainable.modules(tensors, find, dropout),
    reference: () => modelModules(model, find),
    differentiable: true,
    ...(model.balance && { onRouting: (logits, segments) => void routers.push({ logits, weights: isToken(segments) }) }),
    ...memorySettings({ ...options, keep }),
  };
  const plain = loss.build(context, shape);
  const { objective, ...parts } = withPenalties(plain, [
    ...(trainable.penalty ? [trainable.penalty(tensors)] : []),
    ...(model.balance && routers.length > 0 ? [scale(loadBalance(routers, model.balance.perToken), model.balance.coefficient)] : []),
  ]);
  const gradient = concat(
    gradients(objective, [...tensors.values()], { remakes: !keep }).map((part) => reshape(part, [-1])),
    0,
  );
  return program({ ...outputsOf(parts), gradient });
};

/** The loss of modules as they are: inputs as in `trainingProgram` but for parameters; outputs `count.…` instead of the gradient. */
export const evaluationProgram = (
  loss: Loss,
  context: Pick<LossContext, "model" | "modules" | "reference" | "chunk">,
  shape: StepShape,
): Graph => program(outputsOf(loss.build({ ...context, differentiable: false }, shape)));

/** As `trainingProgram`, without dropout, penalty and gradient: for held-out loss. */
export const lossProgram = (options: StepOptions): Graph => {
  const { model, find, trainable, loss, shape } = options;
  const modules = trainable.modules(trainedTensors(trainable, input("parameters", [trainable.layout.size])), find);
  return evaluationProgram(loss, { model, modules, reference: () => modelModules(model, find), ...memorySettings(options) }, shape);
};
