/** @file Mean loss and perplexity of a model, with or without adapters, over batches. It knows nothing about data formats. */
import type { Inference } from "../generate/index.ts";
import type { Graph } from "../graph/index.ts";
import type { Backend, Executable } from "../runtime/index.ts";
import { evaluationProgram, nextToken, shapeOf, stepFeeds, type LabelledRows } from "../train/index.ts";
import { LowrankError, type HostTensor } from "../util/index.ts";

export interface LossReport {
  /** Mean of −log p over the labels, in nats. */
  readonly loss: number;
  readonly perplexity: number;
  /** Labels that the loss is a mean of. */
  readonly tokens: number;
}

/** Measures the loss over batches; `onBatch` is told how many are done. Batches without a single label are `invalid-data`. */
export const evaluateLoss = async (
  backend: Backend,
  { model, modules, feeds }: Inference,
  batches: Iterable<LabelledRows>,
  onBatch: (done: number) => void = () => {},
): Promise<LossReport> => {
  const compiled = new Map<string, Executable>();
  let sum = 0;
  let tokens = 0;
  let done = 0;
  for (const batch of batches) {
    const shape = shapeOf(batch);
    const key = Object.values(shape).join("×");
    // Next-token prediction asks for no reference.
    const built = (): Graph => evaluationProgram(nextToken, { model, modules: modules(), reference: modules }, shape);
    const executable = compiled.get(key) ?? (await backend.compile(built()));
    compiled.set(key, executable);
    const result = (await executable.run({ ...feeds, ...stepFeeds(batch, shape) })) as Record<string, HostTensor>;
    sum += Number(result["loss"].data[0]);
    tokens += Number(result["weight"].data[0]);
    onBatch(++done);
  }
  for (const executable of compiled.values()) await executable.dispose();
  if (tokens === 0)
    throw new LowrankError("invalid-data", "There is no token to measure the loss on.", {
      fix: "Give data in which something is supervised.",
    });
  return { loss: sum / tokens, perplexity: Math.exp(sum / tokens), tokens };
};
