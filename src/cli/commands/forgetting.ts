/** @file What an adapter costs elsewhere: the losses of base and adapter on its data and on general text. It knows nothing about how adapters are trained. */
import { loadTextStream, planBatches } from "../../data/index.ts";
import { evaluateLoss } from "../../evaluate/index.ts";
import { baseInference, type Inference } from "../../generate/index.ts";
import type { LanguageModel } from "../../language-model.ts";
import { nextToken, type Loss, type TrainingBatch } from "../../train/index.ts";
import type { CommandContext } from "../context.ts";
import { formatFigure } from "../ui/format.ts";
import { formatTable } from "../ui/table.ts";

interface Pair {
  readonly base: number;
  readonly adapter: number;
}

export interface Forgetting {
  readonly data: Pair;
  readonly general: Pair;
}

interface Measured {
  readonly loss: Loss;
  readonly batches: readonly TrainingBatch[];
  readonly withAdapter: number;
}

interface Flags {
  readonly againstBase?: string | undefined;
  readonly batchSize: number;
  readonly seqLength: number;
}

// Enough to tell losses apart by a hundredth, and quick.
const blocks = 64;

/** Undefined where no general text is named. */
export const againstBase = async (
  { base, backend, tokenizer }: LanguageModel,
  inference: Inference,
  { againstBase: path, batchSize, seqLength }: Flags,
  { loss, batches, withAdapter }: Measured,
): Promise<Forgetting | undefined> => {
  if (path === undefined) return undefined;
  const blockLength = Math.min(seqLength, base.model.maxPositions);
  const { train } = await loadTextStream({ path, tokenizer, blockLength });
  const { kind } = nextToken;
  const examples = train.examples.slice(0, blocks);
  const plans = planBatches(kind, { examples, batchSize, maxLength: blockLength, order: "sequential", seed: 0, epoch: 0 });
  const general = plans.map((plan) => kind.collate(plan));
  const generalLoss = async (given: Inference): Promise<number> =>
    (await evaluateLoss(backend, { base, inference: given, loss: nextToken, batches: general })).loss;
  const bare = baseInference(base);
  return {
    data: { base: (await evaluateLoss(backend, { base, inference: bare, loss, batches })).loss, adapter: withAdapter },
    general: { base: await generalLoss(bare), adapter: await generalLoss(inference) },
  };
};

/** The four losses for people. */
export const forgettingTable = ({ data, general }: Forgetting, context: CommandContext): string =>
  formatTable(
    [{ title: "loss on" }, { title: "base", align: "right" }, { title: "adapter", align: "right" }, { title: "change", align: "right" }],
    Object.entries({ "the data": data, "general text": general }).map(([name, { base, adapter }]) => [
      name,
      formatFigure(base),
      formatFigure(adapter),
      `${adapter > base ? "+" : ""}${formatFigure(adapter - base)}`,
    ]),
    context,
  );
