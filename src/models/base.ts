/** @file A pretrained base: a model with its checkpoint opened, every tensor accounted for, and its weights ready to be mapped. */
import { baseDigest, openCheckpoint, prepareRounded, prepareWeights, readTensorF32, type RoundedTensor } from "../formats/index.ts";
import { weight, type Tensor, type WeightLocation } from "../graph/index.ts";
import { modulesOf, precisions, type Modules, type PrecisionName } from "../nn/index.ts";
import { LowrankError, type HostTensor } from "../util/index.ts";
import { modelOf } from "./family.ts";
import { withLabels } from "./heads/labels.ts";
import type { Head, LinearSpec, Model, ParameterSpec } from "./model.ts";
import { namedTensors } from "./named-tensors.ts";
import { startWeights } from "./start.ts";
import { untied } from "./untied.ts";

export interface Base {
  readonly directory: string;
  readonly model: Model;
  /** Float32 tensors by name, in files that programs map. */
  readonly weights: ReadonlyMap<string, WeightLocation>;
  /** Parameters of a new head, which the checkpoint does not hold; the digest is none of theirs. */
  readonly fresh: ReadonlySet<string>;
  /** Digest of the checkpoint's content, which adapters record. */
  readonly digest: string;
  /** The form of the linear modules' weights that programs multiply with; float32 where absent. */
  readonly precision?: PrecisionName;
}

export interface BaseOptions {
  /** Makes a classifier with these labels of it, whatever its own head; what the checkpoint lacks of one starts by `seed`. Default: its own head. */
  readonly classifier?: Pick<Head, "labels" | "predicts">;
  /** Default 0. */
  readonly seed?: number;
  /** Of the linear modules' weights; default float32. */
  readonly precision?: PrecisionName;
}

// Buffers that old checkpoints carry and no forward pass reads.
const derived = /(^|\.)(rotary_emb\.inv_freq|attn\.(masked_)?bias|embeddings\.(position|token_type)_ids)$/;

const account = (model: Model, stored: ReadonlyMap<string, WeightLocation>, fresh: ReadonlySet<string>, where: string): void => {
  const wanted = new Map(model.parameters.filter(({ name }) => !fresh.has(name)).map(({ name, shape }) => [name, shape]));
  for (const [name, shape] of wanted) {
    const found = stored.get(name);
    if (found === undefined)
      throw new LowrankError("not-found", `The checkpoint has no tensor "${name}".`, {
        where,
        fix: model.head.parameters.some((own) => own.name === name)
          ? "Check that config.json belongs to these weights, or have a new head made (lowrank train --task)."
          : "Check that config.json belongs to these weights.",
      });
    if (found.shape.join() !== shape.join())
      throw new LowrankError(
        "shape-mismatch",
        `"${name}" is [${found.shape.join(", ")}] where the configuration makes it [${shape.join(", ")}].`,
        {
          where,
          fix: "Check that config.json belongs to these weights.",
        },
      );
  }
  for (const name of stored.keys())
    if (!wanted.has(name) && !Object.hasOwn(model.aliases, name) && !derived.test(name) && model.unread?.test(name) !== true)
      throw new LowrankError("unsupported", `The tensor "${name}" has no place in a ${model.type} of this configuration.`, { where });
};

/** The parts that take the place of a linear module's weight, which is given as the checkpoint holds it. */
export const roundedLinear = (
  form: PrecisionName,
  { inFeatures, outFeatures, turned = false }: LinearSpec,
  W: Float32Array,
): Readonly<Record<string, HostTensor>> =>
  precisions[form].round(turned ? turnedMatrix(W, inFeatures, outFeatures) : W, outFeatures, inFeatures);

/** The linear modules that a form holds in fewer bits. */
export const roundedLinears = ({ linears }: Pick<Model, "linears">, form: PrecisionName): LinearSpec[] =>
  linears.filter(({ isHead }) => precisions[form].heads || !isHead);

/** The parts that take the place of each linear module's weight, named `<module>.<part>`. */
const roundedParts = (model: Model, weights: ReadonlyMap<string, WeightLocation>, form: PrecisionName): RoundedTensor[] => {
  const { aliases } = model;
  // The file takes the parts of one type after those of another, so only the module that was rounded last is kept.
  let last: { readonly module: string; readonly parts: Promise<Readonly<Record<string, HostTensor>>> } | undefined;
  return roundedLinears(model, form).flatMap((linear) => {
    const { module, inFeatures, outFeatures } = linear;
    const name = `${module}.weight`;
    const round = async () => {
      const { data } = await readTensorF32(weights.get(aliases[name] ?? name)!);
      return roundedLinear(form, linear, data as Float32Array);
    };
    return Object.entries(precisions[form].shapes(outFeatures, inFeatures)).map(([part, type]) => ({
      name: `${module}.${part}`,
      ...type,
      make: async () => {
        if (last?.module !== module) last = { module, parts: round() };
        return (await last.parts)[part];
      },
    }));
  });
};

const turnedMatrix = (matrix: Float32Array, rows: number, columns: number): Float32Array =>
  Float32Array.from(matrix, (_, index) => matrix[(index % rows) * columns + Math.floor(index / rows)]);

/** What a checkpoint lacks of a model's head. */
const missingOf = ({ head }: Model, stored: ReadonlyMap<string, unknown>): ParameterSpec[] =>
  head.parameters.filter(({ name }) => !stored.has(name));

/**
 * Opens a checkpoint in Hugging Face's layout.
 * @example const base = await openBase("models/SmolLM2-135M", { precision: "int8" });
 */
export const openBase = async (directory: string, { classifier, seed = 0, precision }: BaseOptions = {}): Promise<Base> => {
  const checkpoint = await openCheckpoint(directory);
  const config = classifier === undefined ? checkpoint.config : withLabels(checkpoint.config, classifier);
  const described = modelOf(config, `${directory}/config.json`);
  const stored = namedTensors(described, checkpoint.tensors);
  const model = await untied(described, stored);
  const missing = classifier === undefined ? [] : missingOf(model, stored);
  const fresh = new Set(missing.map(({ name }) => name));
  account(model, stored, fresh, directory);
  const weights = new Map([...namedTensors(model, await prepareWeights(checkpoint)), ...(await startWeights(missing, seed))]);
  const digest = await baseDigest(checkpoint);
  if (precision === undefined) return { directory, model, weights, fresh, digest };
  // A new head is not the checkpoint's, by whose digest the rounded form is kept.
  const stays = model.linears.filter(({ module }) => !fresh.has(`${module}.weight`));
  const rounded = await prepareRounded(digest, precision, roundedParts({ ...model, linears: stays }, weights, precision));
  return { directory, model, weights: new Map([...weights, ...rounded]), fresh, digest, precision };
};

/** Finds the stored tensors of a base, one graph tensor for each. */
export const storedTensors = ({ model, weights }: Pick<Base, "model" | "weights">): ((name: string) => Tensor | undefined) => {
  const made = new Map<string, Tensor>();
  return (name) => {
    const location = Object.hasOwn(model.aliases, name) ? undefined : weights.get(name);
    if (location === undefined) return undefined;
    const tensor = made.get(name) ?? weight(name, location);
    made.set(name, tensor);
    return tensor;
  };
};

/** The values of a base's tensor, by any of its names. */
export const storedValues = async ({ model, weights }: Pick<Base, "model" | "weights">, name: string): Promise<Float32Array> =>
  (await readTensorF32(weights.get(model.aliases[name] ?? name)!)).data as Float32Array;

/** A model's modules over a way to find its tensors. */
export const modelModules = (
  { aliases, linears, embeddings }: Model,
  find: (name: string) => Tensor | undefined,
  trainable: readonly Tensor[] = [],
): Modules => {
  const turned = new Set(linears.filter((linear) => linear.turned).map(({ module }) => module));
  const padding = new Map(embeddings.flatMap(({ module, padding: row }) => (row === undefined ? [] : [[module, row] as const])));
  return modulesOf({ find, aliases, turned, padding, trainable });
};

/** The modules of a frozen base. */
export const frozenModules = (base: Pick<Base, "model" | "weights">): Modules => modelModules(base.model, storedTensors(base));
