/** @file The program of a training step: token ids and one flat vector in, the loss sum, the token count and one flat gradient out. */
import { cast, concat, gradients, input, program, reshape, total, type Graph, type Tensor } from "../graph/index.ts";
import { pooledDropout } from "../lora/index.ts";
import type { Model } from "../models/index.ts";
import { chunkedLoss, crossEntropy, linearCrossEntropy, trainingAttention, type Modules } from "../nn/index.ts";
import type { Find, Trainable } from "./trainable.ts";
import { trainedTensors } from "./trainable.ts";

/** The static sizes of a step. */
export interface StepShape {
  /** Rows of the batch. */
  readonly B: number;
  /** Tokens per row. */
  readonly T: number;
  /** Labelled positions, padded. */
  readonly L: number;
}

export interface StepOptions {
  readonly model: Model;
  readonly find: Find;
  readonly trainable: Trainable;
  readonly shape: StepShape;
  /** Layer checkpointing; default from 1,024 tokens on, where it saves four fifths of the memory for a third of the time. */
  readonly recompute?: boolean;
}

const recomputeFrom = 1024;
// Half as many queries would save a little more of the masked half and cost twice as many ops.
const queriesPerBlock = 128;
// Logits of a chunk stay within 64 MB.
const chunkElements = 1 << 24;

const chunkOf = (outputs: number): number => 2 ** Math.floor(Math.log2(Math.max(64, chunkElements / outputs)));

/** Elements of the widest input that an adapter reads in a step. */
export const widestInput = (model: Model, { B, T }: StepShape): number =>
  B * T * Math.max(...model.linears.map(({ inFeatures }) => inFeatures));

/** Final hidden states of a batch whose inputs are named `ids`, `positions` and `segments`: (B·T, D). */
export const hiddenStates = (model: Model, modules: Modules, { B, T }: Pick<StepShape, "B" | "T">, recompute: boolean): Tensor => {
  const ids = input("ids", [B, T], "i32");
  const positions = cast(input("positions", [B, T], "i32"), "i64");
  const segments = input("segments", [B, T], "i32");
  const attention = trainingAttention({
    positions,
    maxPositions: T,
    mask: model.mask(segments),
    block: queriesPerBlock,
  });
  return model.forward(modules, { ids, attention, recompute });
};

interface LossParts {
  readonly model: Model;
  readonly shape: StepShape;
  readonly modules: Modules;
  readonly recompute: boolean;
  readonly differentiable: boolean;
}

const lossOf = ({ model, shape, modules, recompute, differentiable }: LossParts): { loss: Tensor; tokens: Tensor } => {
  const hidden = hiddenStates(model, modules, shape, recompute);
  const weights = input("weights", [shape.L]);
  const { head } = model;
  const headWeight = head.linear === undefined ? undefined : modules.plainWeight(head.linear);
  const loss = chunkedLoss({
    hidden,
    rows: input("rows", [shape.L], "i32"),
    labels: input("labels", [shape.L], "i32"),
    weights,
    crossEntropy: (h, labels) =>
      headWeight === undefined ? crossEntropy(head.logits(modules, h), labels) : linearCrossEntropy(h, headWeight, labels),
    trainable: modules.trainable,
    chunk: chunkOf(head.outputs),
    differentiable,
  });
  return { loss, tokens: total(weights) };
};

/** Inputs `ids`, `positions`, `segments` (B, T), `rows`, `labels`, `weights` (L), `parameters` (N), `dropout`; outputs `loss`, `tokens`, `gradient` (N). */
export const trainingProgram = (options: StepOptions): Graph => {
  const { model, find, trainable, shape, recompute = shape.T >= recomputeFrom } = options;
  const tensors = trainedTensors(trainable, input("parameters", [trainable.layout.size]));
  const dropout = trainable.dropout === 0 ? undefined : pooledDropout(widestInput(model, shape));
  const modules = trainable.modules(tensors, find, dropout);
  const { loss, tokens } = lossOf({ model, shape, modules, recompute, differentiable: true });
  const parts = gradients(loss, [...tensors.values()]).map((gradient) => reshape(gradient, [-1]));
  return program({ loss, tokens, gradient: concat(parts, 0) });
};

/** The loss of modules as they are: inputs as in `trainingProgram` but for `parameters`; outputs `loss` and `tokens`. */
export const evaluationProgram = (model: Model, modules: Modules, shape: StepShape): Graph =>
  program(lossOf({ model, shape, modules, recompute: false, differentiable: false }));

/** As `trainingProgram`, without dropout and gradient: for held-out loss. */
export const lossProgram = ({ model, find, trainable, shape }: StepOptions): Graph =>
  evaluationProgram(model, trainable.modules(trainedTensors(trainable, input("parameters", [trainable.layout.size])), find), shape);
