/** @file The loss of a few examples as a function of the weights of many adapters, compiled once for all weights. It knows nothing about searches. */
import { gradients, input, program, type Tensor } from "../../graph/index.ts";
import type { ModuleTerms } from "../../lora/index.ts";
import { frozenModules, type Base } from "../../models/index.ts";
import type { Modules } from "../../nn/index.ts";
import type { Backend, Executable, Resident } from "../../runtime/index.ts";
import { shapeKey, type Loss, type TrainingBatch } from "../../train/index.ts";
import { f32, LowrankError, type HostTensor } from "../../util/index.ts";
import { forms, type FormName, type WeightedForm } from "./forms.ts";

export interface HubLoss {
  /** Mean loss at weights w (n). */
  value(w: Float64Array): Promise<number>;
  /** The same with its gradient (n). */
  gradient(w: Float64Array): Promise<{ readonly loss: number; readonly gradient: Float64Array }>;
  dispose(): Promise<void>;
}

export interface HubLossOptions<Batch extends TrainingBatch> {
  readonly base: Base;
  /** What the adapters do to each module, at weight 1. */
  readonly modules: readonly ModuleTerms[];
  /** How many adapters there are. */
  readonly count: number;
  readonly form: FormName;
  readonly loss: Loss<unknown, Batch>;
  readonly batches: readonly Batch[];
}

interface Part {
  readonly module: ModuleTerms;
  readonly form: WeightedForm;
  readonly names: { readonly A: string; readonly B: string };
}

/** The base's modules with weighted adapters beside them. */
const weightedModules = (base: Base, parts: readonly Part[], w: Tensor): Modules => {
  const frozen = frozenModules(base);
  const byModule = new Map(parts.map((part) => [part.module.module, part]));
  const made = new Map<string, Tensor>();
  const fed = (name: string, { shape }: HostTensor): Tensor => {
    const tensor = made.get(name) ?? input(name, shape);
    made.set(name, tensor);
    return tensor;
  };
  const adapted = (module: string, x: Tensor, y: Tensor): Tensor => {
    const part = byModule.get(module);
    if (part === undefined) return y;
    const { form, names } = part;
    const { kind } = part.module;
    return form.add(y, fed(names.A, form.tensors.A), fed(names.B, form.tensors.B), w, (A) => kind.reduce(x, A, 1, {}));
  };
  const modules: Modules = {
    ...frozen,
    linear: (module, x) => adapted(module, x, frozen.linear(module, x)),
    linears: (names, x) => names.map((name) => modules.linear(name, x)),
    embedding: (module, ids) => adapted(module, ids, frozen.embedding(module, ids)),
    frozenLinear: (module) => (byModule.has(module) ? undefined : frozen.frozenLinear(module)),
    trainable: new Set([w]),
  };
  return modules;
};

const weightsInput = "w";

/** Compiles the loss; the adapters' factors stay with the backend until it is disposed. */
export const hubLoss = async <Batch extends TrainingBatch>(backend: Backend, options: HubLossOptions<Batch>): Promise<HubLoss> => {
  const { base, modules, count, loss, batches } = options;
  const unheard = modules.find(({ kind }) => kind.isGrouped);
  if (unheard !== undefined)
    throw new LowrankError("unsupported", `The loss of weighted adapters is not offered where they act on experts: ${unheard.module}.`, {
      fix: "Leave these adapters out, or compose them with weights of your own.",
    });
  const parts = modules.map((module): Part => {
    const names = { A: `${module.module}.A`, B: `${module.module}.B` };
    return { module, form: forms[options.form](module), names };
  });
  const residents: Record<string, Resident> = {};
  for (const { form, names } of parts)
    for (const part of ["A", "B"] as const) residents[names[part]] = await backend.upload(form.tensors[part]);

  const compiled = new Map<string, Promise<Executable>>();
  const executable = (batch: Batch, differentiable: boolean): Promise<Executable> => {
    const shape = loss.shapeOf(batch);
    const key = `${differentiable} ${shapeKey(shape)}`;
    const make = async (): Promise<Executable> => {
      const w = input(weightsInput, [count]);
      const context = { model: base.model, modules: weightedModules(base, parts, w), reference: () => frozenModules(base), differentiable };
      const { loss: sum, weight } = loss.build(context, shape);
      const outputs: Record<string, Tensor> = { loss: sum, weight };
      if (differentiable) [outputs["gradient"]] = gradients(sum, [w]);
      return backend.compile(program(outputs));
    };
    const made = compiled.get(key) ?? make();
    compiled.set(key, made);
    return made;
  };
  const run = async (w: Float64Array, differentiable: boolean) => {
    let [sum, weight] = [0, 0];
    const gradient = new Float64Array(count);
    for (const batch of batches) {
      const feeds = { ...residents, ...loss.feeds(batch, loss.shapeOf(batch)), [weightsInput]: f32(Float32Array.from(w)) };
      const result = (await (await executable(batch, differentiable)).run(feeds)) as Record<string, HostTensor>;
      sum += Number(result["loss"].data[0]);
      weight += Number(result["weight"].data[0]);
      if (differentiable) gradient.forEach((_, index) => (gradient[index] += Number(result["gradient"].data[index])));
    }
    return { loss: sum / weight, gradient: gradient.map((value) => value / weight) };
  };
  return {
    value: async (w) => (await run(w, false)).loss,
    gradient: (w) => run(w, true),
    dispose: async () => {
      for (const made of compiled.values()) await (await made).dispose();
      for (const resident of Object.values(residents)) await backend.release(resident);
    },
  };
};
