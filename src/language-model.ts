/** @file A pretrained model in hand: attach adapters, train them, generate with them, merge them. The library's front door; it knows nothing about flags or terminals. */
import { existsSync } from "node:fs";
import { loadExamples, type Dataset, type Texts } from "./data/index.ts";
import { predict, type Prediction, type PredictOptions } from "./evaluate/index.ts";
import { loadTokenizer, resolveModel, type Tokenizer } from "./formats/index.ts";
import {
  adaptedInference,
  baseInference,
  createGenerator,
  mergedInference,
  type FinishReason,
  type GenerateOptions,
  type Generator,
  type Inference,
} from "./generate/index.ts";
import type { ResolveAdapterOptions } from "./library/index.ts";
import {
  configForHead,
  loadAdapter,
  loadedOn,
  loraConfig,
  planAdapter,
  saveAdapter,
  startAdapter,
  writeMergedCheckpoint,
  type Calibration,
  type LoraOptions,
  type MergedCheckpointOptions,
  type StoredAdapter,
  type WeightedAdapter,
} from "./lora/index.ts";
import { openBase, type Base, type BaseOptions } from "./models/index.ts";
import { checkDevice, ortBackend, type Backend, type OrtOptions } from "./runtime/index.ts";
import { switching, type AdapterChoice, type PromptRequest, type SwitchOptions, type Switching } from "./switching.ts";
import {
  calibrationBatches,
  calibrationOf,
  checkOutput,
  lossForModel,
  lossOfHead,
  run,
  type Loss,
  type RunSettings,
  type TrainEvent,
} from "./train/index.ts";
import { LowrankError } from "./util/index.ts";

export type { Generator } from "./generate/index.ts";

/** Settings of a run as most people leave them. */
export const defaultSettings: RunSettings = {
  epochs: 1,
  batchSize: 8,
  accumulate: 1,
  sequenceLength: 512,
  pack: false,
  optimiser: "adamw",
  learningRate: 2e-4,
  schedule: "linear",
  warmupSteps: 0,
  weightDecay: 0,
  loraPlusRatio: 1,
  maxGradientNorm: 1,
  evalEvery: 0,
  saveEvery: 0,
  patience: 0,
  seed: 0,
};

export interface TrainOptions extends Partial<RunSettings> {
  /** File or folder with training data, or a data set that is loaded already, with examples of the kind that the loss learns from. */
  readonly data: string | Dataset<unknown>;
  /** Held-out data, likewise. */
  readonly evalData?: string | Dataset<unknown>;
  /** What is minimised, such as `dpo({ beta: 0.1 })`; default what a data file calls for, and next-token prediction for a data set. */
  readonly loss?: Loss;
  /** Folder for the result, the checkpoints and the log. */
  readonly output: string;
  /** The adapter to train, as `attach` gives it; without one every parameter is trained. */
  readonly adapter?: StoredAdapter;
  /** Bytes that the process may take; batches are cut into smaller ones, and layers computed again, as far as that takes. */
  readonly memoryLimit?: number;
  readonly resume?: boolean;
  readonly signal?: AbortSignal;
}

/** What an adapter's starting values are made from, where `init_lora_weights` is "eva", "corda" or "lora_ga". */
export interface StartData {
  /** File or folder with data, or a data set that is loaded already. */
  readonly data: string | Dataset<unknown>;
  /** The loss that the data are for, and whose gradients may be asked for. Default next-token prediction. */
  readonly loss?: Loss;
  /** Batches at most. Default 8. */
  readonly batches?: number;
  /** Rows of a batch, and tokens of a row at most. Default as in training. */
  readonly batchSize?: number;
  readonly sequenceLength?: number;
}

export interface TextOptions extends GenerateOptions {
  /** Adapters at work, each with its weight; empty for the base alone. Default those that `use` has chosen. */
  readonly adapters?: readonly WeightedAdapter[];
  /** Fold the adapters into the weights first: slower to start, faster per token. Default false. */
  readonly merge?: boolean;
  /** Tokens that each run guesses ahead from what came before in the text: the same text, sooner where it repeats itself. Default 0, none. */
  readonly speculate?: number;
}

export interface ClassifyOptions extends PredictOptions {
  /** Adapters at work, each with its weight; none for the base alone. */
  readonly adapters?: readonly WeightedAdapter[];
}

export interface LoadOptions {
  /** Take an adapter that was trained on another base. Default false. */
  readonly allowOtherBase?: boolean;
  /** Folder of the library. Default: the user's. */
  readonly library?: string;
}

export interface LanguageModel {
  readonly base: Base;
  readonly tokenizer: Tokenizer;
  readonly backend: Backend;
  /** A new adapter for this model; `seed` decides its starting values, and for some starts data do. */
  attach(config?: LoraOptions, seed?: number, from?: StartData): Promise<StoredAdapter>;
  /** An adapter from a folder in PEFT's form, from the library (`name`, `name@version`, `name:alias`, a digest) or from the hub, checked against this model. */
  loadAdapter(reference: string, options?: LoadOptions): Promise<StoredAdapter>;
  /** Writes an adapter as PEFT reads it. */
  saveAdapter(directory: string, adapter: StoredAdapter): Promise<void>;
  /** Trains an adapter (its parameters end up as trained), yielding events. */
  train(options: TrainOptions): AsyncGenerator<TrainEvent>;
  /** Prepares programs and adapters once for many texts; close it when they are done. */
  generator(options?: Pick<TextOptions, "adapters" | "merge" | "speculate">): Promise<Generator>;
  /**
   * Chooses the adapters of texts that name none themselves; without any, the base alone. They stay in memory, so that coming back to them
   * costs next to nothing; texts that are under way keep theirs. Refused are those that cannot be mixed, and then nothing changes.
   */
  use(...adapters: readonly AdapterChoice[]): Promise<void>;
  /** Loads adapters that will be wanted soon. */
  prefetch(...adapters: readonly string[]): Promise<void>;
  /** Text after a prompt, piece by piece. With adapters that `use` has chosen, texts under way at once share a batch; for several others `generator` is faster. */
  generate(prompt: string, options?: TextOptions): AsyncGenerator<string, FinishReason>;
  /**
   * The texts after many prompts, in their order, each with adapters of its own. Those that can be mixed share a batch and are loaded ahead of
   * their turn; others have a batch for each choice of adapters.
   */
  generateAll(requests: readonly PromptRequest[], options?: GenerateOptions): Promise<string[]>;
  /** What a classifier says of texts, or of pairs of them, in their order. */
  classify(texts: readonly (string | Texts)[], options?: ClassifyOptions): Promise<Prediction[]>;
  /** Writes a checkpoint with the adapters folded in, with the base's tokenizer; tensors keep the base's type unless `dtype` names one. */
  merge(directory: string, adapters: readonly WeightedAdapter[], options?: MergedCheckpointOptions): Promise<void>;
  /** Frees everything; the process can end. */
  close(): Promise<void>;
}

const inferenceOf = (
  backend: Backend,
  base: Base,
  { adapters = [], merge = false }: Pick<TextOptions, "adapters" | "merge">,
): Promise<Inference> => {
  if (adapters.length === 0) return Promise.resolve(baseInference(base));
  return merge ? mergedInference(backend, base, adapters) : adaptedInference(backend, base, adapters);
};

/** The folder of an adapter. What is no folder is looked up with the library's code and its SQLite, which are loaded then. */
const adapterFolder = async (reference: string, options: ResolveAdapterOptions): Promise<string> => {
  if (existsSync(reference)) return reference;
  const { resolveAdapter } = await import("./library/index.ts");
  return (await resolveAdapter(reference, options)).directory;
};

/**
 * Opens a model: a folder in Hugging Face's layout, or a name on the hub, which is downloaded once. `precision` (default float32) is that of
 * its frozen weights; `classifier` makes a classifier with these labels of it, with a new head where it has none.
 * @example
 * const model = await loadModel("assets/tiny");
 * const adapter = await model.attach({ r: 8, lora_alpha: 16 });
 * for await (const event of model.train({ adapter, data: "orders.jsonl", output: "runs/orders", learningRate: 1e-2 })) console.log(event.type);
 * for await (const text of model.generate("Mia wants two red apples.", { adapters: [{ ...adapter, weight: 1 }] })) process.stdout.write(text);
 * await model.merge("merged", [{ ...adapter, weight: 1 }]);
 * await model.close();
 */
export const loadModel = async (reference: string, options: OrtOptions & BaseOptions & SwitchOptions = {}): Promise<LanguageModel> => {
  await checkDevice(options);
  const directory = await resolveModel(reference);
  const [base, tokenizer] = [await openBase(directory, options), await loadTokenizer(directory)];
  const backend = ortBackend(options);
  const dataset = async (data: string | Dataset<unknown>, { kind }: Loss, maxLength: number): Promise<Dataset<unknown>> =>
    typeof data === "string" ? loadExamples(kind, { path: data, tokenizer, maxLength }) : data;

  let switched: Promise<Switching> | undefined;
  const switches = (): Promise<Switching> => (switched ??= switching(backend, base, tokenizer, options));

  const calibration = async (from: StartData, seed: number): Promise<Calibration> => {
    const { loss = lossOfHead(base.model), batches: count = 8, batchSize = defaultSettings.batchSize } = from;
    const { sequenceLength = Math.min(defaultSettings.sequenceLength, base.model.maxPositions) } = from;
    const { examples } = await dataset(from.data, loss, sequenceLength);
    return calibrationOf({ backend, base, loss, batches: calibrationBatches(loss, { examples, count, batchSize, sequenceLength, seed }) });
  };

  const model: LanguageModel = {
    base,
    tokenizer,
    backend,
    attach: async (config = {}, seed = 0, from) => {
      const given = configForHead(base, { base_model_name_or_path: reference, ...config });
      const sources = { backend, ...(from && { calibration: await calibration(from, seed) }) };
      return startAdapter(planAdapter(base.model, loraConfig(given)), base, seed, sources);
    },
    loadAdapter: async (adapter, { allowOtherBase = false, library } = {}) => {
      const bases = { ...loadedOn(base, backend), allowOtherBase };
      return loadAdapter(await adapterFolder(adapter, { ...bases, ...(library !== undefined && { library }) }), base.model, bases);
    },
    saveAdapter: (folder, adapter) => saveAdapter(folder, base.model, adapter, base.digest),
    train: async function* ({ data, evalData, loss: chosen, output, adapter, memoryLimit, resume = false, signal, ...given }) {
      const sequenceLength = Math.min(defaultSettings.sequenceLength, base.model.maxPositions);
      const settings = { ...defaultSettings, sequenceLength, ...given };
      const loss = chosen ?? (await lossForModel(base.model, typeof data === "string" ? data : undefined));
      await checkOutput(output, resume);
      yield* run({
        backend,
        subject: adapter === undefined ? { method: "full", base } : { method: "lora", base, stored: adapter },
        settings,
        loss,
        data: await dataset(data, loss, settings.sequenceLength),
        ...(evalData !== undefined && { heldOut: await dataset(evalData, loss, settings.sequenceLength) }),
        output,
        ...(memoryLimit !== undefined && { memoryLimit }),
        resume,
        ...(signal && { signal }),
      });
    },
    generator: async (which = {}) => createGenerator(backend, tokenizer, await inferenceOf(backend, base, which), which),
    use: async (...choices) => {
      if (choices.length > 0 || switched !== undefined) await (await switches()).use(choices);
    },
    prefetch: async (...references) => (await switches()).prefetch(references),
    generate: async function* (prompt, { adapters, merge = false, speculate = 0, ...options } = {}) {
      const held = adapters === undefined ? await switched : undefined;
      if (held !== undefined && speculate > 0)
        throw new LowrankError("unsupported", "Tokens cannot be guessed ahead in the batch of the adapters that `use` has chosen.", {
          where: "speculate",
          fix: "Name the adapters of this text, or generate without it.",
        });
      if (held !== undefined) return yield* held.generator.text(prompt, { ...options, adapters: held.chosen });
      const generator = await model.generator({ merge, speculate, ...(adapters && { adapters }) });
      try {
        return yield* generator.text(prompt, options);
      } finally {
        await generator.close();
      }
    },
    generateAll: async (requests, given = {}) => (await switches()).texts(requests, given),
    classify: async (texts, { adapters = [], ...given } = {}) => {
      const inference = await inferenceOf(backend, base, { adapters });
      try {
        const pairs = texts.map((text): Texts => (typeof text === "string" ? [text] : text));
        return await predict(backend, inference, tokenizer, pairs, given);
      } finally {
        await inference.dispose();
      }
    },
    merge: (folder, adapters, options) => writeMergedCheckpoint(backend, base, adapters, folder, options),
    close: () => backend.dispose(),
  };
  return model;
};
