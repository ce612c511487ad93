/** @file Reads and writes PEFT adapter folders, and turns A and B between the file's orientation and the formula's. It knows nothing about models. */
import { join, resolve } from "node:path";
import { f32, LowrankError, type DType, type HostTensor } from "../util/index.ts";
import { writeFileAtomically } from "./atomic.ts";
import { listFolder, makeFolder } from "./disk.ts";
import { readJsonObject, sortedJson } from "./json.ts";
import { pickleRefused, quoted } from "./safetensors-header.ts";
import { tensorSources, writeSafetensors } from "./safetensors-write.ts";
import { eachTensorF32, readSafetensorsHeader } from "./safetensors.ts";

/**
 * An adapter as it is in memory. Names have no `base_model.model.` and tensors are float32:
 * `<module>.lora_A` (in, r), `<module>.lora_B` (r, out), `<module>.lora_B.bias` (out), `<module>.lora_magnitude_vector`,
 * `<module>.lora_embedding_A` (vocabulary, r), `<module>.lora_embedding_B` (r, width), `<module>.token_rows` (rows, width), and
 * `<module>.weight` or `.bias` for what is trained whole. AdaLoRA has `<module>.lora_E` (r, 1) as well; VeRA has `<module>.vera_lambda_b` (out)
 * and `.vera_lambda_d` (r), and for all modules `vera_A` (in, r) and `vera_B` (r, out).
 */
export interface PeftContent {
  /** `adapter_config.json` as it stands. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly tensors: ReadonlyMap<string, HostTensor>;
  /** Metadata of the safetensors file. */
  readonly metadata: Readonly<Record<string, string>>;
}

export interface PeftAdapter extends PeftContent {
  readonly directory: string;
}

const configName = "adapter_config.json";
const weightsName = "adapter_model.safetensors";
const pickleName = "adapter_model.bin";
const prefix = "base_model.model.";

/** The end of a key in files, and what it is here. Turned tensors change (rows, columns) to (columns, rows). */
interface Ending {
  readonly file: string;
  readonly ours: string;
  readonly turned: boolean;
}

interface KeyForm {
  /** What modules get that PEFT wraps. */
  readonly adapted: readonly Ending[];
  /** Whole keys, for tensors that all modules share. */
  readonly shared: readonly Ending[];
}

const tokenRows: Ending = { file: ".token_adapter.trainable_tokens_delta", ours: ".token_rows", turned: false };

/** Keys by `peft_type`. */
const keyForms = {
  LORA: {
    adapted: [
      { file: ".lora_A.weight", ours: ".lora_A", turned: true },
      { file: ".lora_B.weight", ours: ".lora_B", turned: true },
      { file: ".lora_B.bias", ours: ".lora_B.bias", turned: false },
      { file: ".lora_embedding_A", ours: ".lora_embedding_A", turned: true },
      { file: ".lora_embedding_B", ours: ".lora_embedding_B", turned: true },
      { file: ".lora_magnitude_vector", ours: ".lora_magnitude_vector", turned: false },
      tokenRows,
    ],
    shared: [],
  },
  ADALORA: {
    adapted: [
      { file: ".lora_A", ours: ".lora_A", turned: true },
      { file: ".lora_B", ours: ".lora_B", turned: true },
      { file: ".lora_E", ours: ".lora_E", turned: false },
      tokenRows,
    ],
    shared: [],
  },
  VERA: {
    adapted: [
      { file: ".vera_lambda_b", ours: ".vera_lambda_b", turned: false },
      { file: ".vera_lambda_d", ours: ".vera_lambda_d", turned: false },
    ],
    shared: [
      { file: "base_model.vera_A", ours: "vera_A", turned: true },
      { file: "base_model.vera_B", ours: "vera_B", turned: true },
    ],
  },
} as const satisfies Readonly<Record<string, KeyForm>>;

/** A `peft_type` whose files are known here. */
export type PeftType = keyof typeof keyForms;

const formOf = (type: PeftType): KeyForm => keyForms[type];

// A module's own tensors, trained whole; inside a module that is adapted the bias lies deeper.
const deepBias: Ending = { file: ".base_layer.bias", ours: ".bias", turned: false };
const own: readonly Ending[] = [
  { file: ".weight", ours: ".weight", turned: false },
  { file: ".bias", ours: ".bias", turned: false },
];

const endingsOf = (type: PeftType): readonly Ending[] => [...formOf(type).adapted, deepBias, ...own];

// A copy of frozen weights, which PEFT adds for adapted embeddings and heads.
const frozenCopy = ".base_layer.weight";

// With bias "all" PEFT writes the biases of modules that are saved whole a second time, and those of the frozen modules beside them.
const repeatedBias = /\.(original_module|modules_to_save)\.(.+\.)?bias$/;

// Segments that are PEFT's own: a module whose name has one belongs to a form of key that is not known here.
const reserved =
  /(^|\.)(base_layer|original_module|modules_to_save|token_adapter|lora_(A|B|E|embedding_A|embedding_B|magnitude_vector)|vera_(A|B|lambda_b|lambda_d)|token_rows)(\.|$)/;

// A module that PEFT has wrapped more than once, of which one wrapper's factors are meant.
const wrapped = /(\.base_layer)+$/;

const isReserved = (module: string, ours: string): boolean =>
  module === "" || reserved.test(/^\.lora_[AB]$/.test(ours) ? module.replace(wrapped, "") : module);

/** A tensor's name on the other side, in files or here. */
export interface PeftPlace {
  readonly name: string;
  /** True where the file holds the transpose. */
  readonly turned: boolean;
}

/** What a key of a PEFT file is here: a name, null for a frozen copy that is skipped, undefined for a key of no known form. */
export const ourName = (key: string, type: PeftType = "LORA"): PeftPlace | null | undefined => {
  const shared = formOf(type).shared.find(({ file }) => file === key);
  if (shared !== undefined) return { name: shared.ours, turned: shared.turned };
  if (!key.startsWith(prefix)) return undefined;
  const path = key.slice(prefix.length);
  const endings = endingsOf(type);
  if (repeatedBias.test(path)) return null;
  const file = path.endsWith(frozenCopy) ? frozenCopy : endings.find((ending) => path.endsWith(ending.file))?.file;
  if (file === undefined) return undefined;
  const module = path.slice(0, -file.length);
  const ending = endings.find((one) => one.file === file);
  if (isReserved(module, ending?.ours ?? file)) return undefined;
  return ending === undefined ? null : { name: `${module}${ending.ours}`, turned: ending.turned };
};

/** The key of one of our names in a PEFT file; the bias of a module in `adapted`, which PEFT wraps, lies in its `base_layer`. */
export const peftName = (name: string, adapted: ReadonlySet<string> = new Set(), type: PeftType = "LORA"): PeftPlace | undefined => {
  const shared = formOf(type).shared.find(({ ours }) => ours === name);
  if (shared !== undefined) return { name: shared.file, turned: shared.turned };
  const ending = endingsOf(type).find(
    (one) => name.endsWith(one.ours) && (one !== deepBias || adapted.has(name.slice(0, -one.ours.length))),
  );
  if (ending === undefined) return undefined;
  const module = name.slice(0, -ending.ours.length);
  return isReserved(module, ending.ours) ? undefined : { name: `${prefix}${module}${ending.file}`, turned: ending.turned };
};

/** The modules of our names that PEFT wraps. */
const adaptedModules = (names: Iterable<string>, type: PeftType): Set<string> => {
  const modules = new Set<string>();
  for (const name of names) {
    const ending = formOf(type).adapted.find(({ ours }) => name.endsWith(ours));
    if (ending !== undefined) modules.add(name.slice(0, -ending.ours.length));
  }
  return modules;
};

/** The transpose of a low-rank factor, float32; `where` names it in the error when it has not two dimensions. */
export const turnFactor = ({ shape, data }: HostTensor, where: string): HostTensor => {
  if (shape.length !== 2)
    throw new LowrankError("shape-mismatch", `A low-rank factor has two dimensions; this one is [${shape.join(", ")}].`, { where });
  const [rows, columns] = shape;
  const values = data as Float32Array;
  const turned = new Float32Array(values.length);
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++) turned[column * rows + row] = values[row * columns + column];
  return { dtype: "f32", shape: [columns, rows], data: turned };
};

const isKnown = (type: unknown): type is PeftType => typeof type === "string" && Object.hasOwn(keyForms, type);

const floats: ReadonlySet<DType> = new Set(["f64", "f32", "f16", "bf16"]);

const readTensors = async (path: string, type: PeftType): Promise<Omit<PeftContent, "config">> => {
  const file = await readSafetensorsHeader(path);
  const whereOf = (key: string): string => `${path}, tensor ${quoted(key)}`;
  const places = new Map<string, PeftPlace>();
  const names = new Set<string>();
  for (const [key, location] of file.tensors) {
    const where = whereOf(key);
    const place = ourName(key, type);
    if (place === null) continue;
    if (place === undefined)
      throw new LowrankError("unsupported", "A LoRA adapter has no such tensor, as far as is known here.", {
        where,
        fix: `Keys begin with ${prefix} and end in ${endingsOf(type)
          .map((ending) => ending.file)
          .join(", ")}.`,
      });
    if (names.has(place.name)) throw new LowrankError("invalid-file", `The file holds ${quoted(place.name)} twice.`, { where });
    if (!floats.has(location.dtype))
      throw new LowrankError("invalid-file", `It holds ${location.dtype} values; floats are expected.`, { where });
    names.add(place.name);
    places.set(key, place);
  }
  const wanted = new Map([...file.tensors].filter(([key]) => places.has(key)));
  const tensors = new Map<string, HostTensor>();
  await eachTensorF32(path, wanted, (key, tensor) => {
    const { name, turned } = places.get(key)!;
    tensors.set(name, turned ? turnFactor(tensor, whereOf(key)) : f32((tensor.data as Float32Array).slice(), tensor.shape));
  });
  return { tensors, metadata: file.metadata };
};

/**
 * Reads a PEFT adapter folder; every tensor of its file is accounted for, or it is an error that names it.
 * @example const { config, tensors } = await readPeftAdapter("runs/my-adapter"); tensors.get("model.layers.0.self_attn.q_proj.lora_A")
 */
export const readPeftAdapter = async (directory: string): Promise<PeftAdapter> => {
  const folder = resolve(directory);
  const present = await listFolder(folder);
  if (!present.includes(configName))
    throw new LowrankError("not-found", `There is no ${configName}.`, {
      where: folder,
      fix: present.includes("config.json")
        ? "This folder holds a model; name the folder of an adapter."
        : "Name a folder with an adapter in PEFT's layout.",
    });
  const configPath = join(folder, configName);
  const config = await readJsonObject(configPath);
  const { peft_type: type } = config;
  if (type === undefined)
    throw new LowrankError("invalid-config", '"peft_type" is missing.', { where: configPath, fix: "Only PEFT's adapters are read here." });
  if (!isKnown(type))
    throw new LowrankError("unsupported", `"peft_type" is ${JSON.stringify(type)}; known: ${Object.keys(keyForms).join(", ")}.`, {
      where: configPath,
    });
  if (!present.includes(weightsName)) {
    if (present.includes(pickleName)) throw pickleRefused(join(folder, pickleName), weightsName);
    throw new LowrankError("not-found", `There is no ${weightsName}.`, { where: folder, fix: "Download it beside the configuration." });
  }
  return { directory: folder, config, ...(await readTensors(join(folder, weightsName), type)) };
};

/** Writes a PEFT adapter folder by the `peft_type` of its configuration, weights before configuration, each atomically; the same content gives the same bytes. */
export const writePeftAdapter = async (directory: string, { config, tensors, metadata }: PeftContent): Promise<void> => {
  const { peft_type: given } = config;
  const type = isKnown(given) ? given : "LORA";
  const adapted = adaptedModules(tensors.keys(), type);
  const stored = new Map<string, HostTensor>();
  for (const [name, tensor] of tensors) {
    const where = `tensor ${quoted(name)}`;
    const place = peftName(name, adapted, type);
    if (place === undefined) throw new LowrankError("invalid-argument", "PEFT's layout has no place for a tensor of this name.", { where });
    if (tensor.dtype !== "f32") throw new LowrankError("invalid-argument", `Adapters are float32, not ${tensor.dtype}.`, { where });
    stored.set(place.name, place.turned ? turnFactor(tensor, where) : tensor);
  }
  await makeFolder(directory);
  await writeSafetensors(join(directory, weightsName), tensorSources(stored), { format: "pt", ...metadata });
  await writeFileAtomically(join(directory, configName), sortedJson(config));
};
