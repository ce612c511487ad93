/** @file How two adapters differ: what is said of them, their configurations, and their updates module by module. It knows nothing about terminals. */
import { join } from "node:path";
import { readPeftAdapter, type PeftAdapter } from "../formats/index.ts";
import { readLoraConfig, selectTargets } from "../lora/index.ts";
import type { HostTensor } from "../util/index.ts";
import { normalisedConfig } from "./digest.ts";
import { getAdapter } from "./find.ts";
import type { LibraryFolder } from "./folder.ts";
import { adapterPath } from "./layout.ts";
import type { AdapterRecord } from "./record.ts";

/** A value that differs; undefined where one side has none. */
export interface Difference {
  readonly key: string;
  readonly before: unknown;
  readonly after: unknown;
}

export interface ModuleDifference {
  readonly module: string;
  /** ‖ΔW‖ of each, 0 where one has no update there. */
  readonly before: number;
  readonly after: number;
  /** ⟨ΔW, ΔW′⟩ / (‖ΔW‖·‖ΔW′‖): 1 for the same direction; 0 where one has no update there. */
  readonly cosine: number;
  /** ‖ΔW′ − ΔW‖. */
  readonly distance: number;
}

export interface AdapterDifference {
  readonly before: AdapterRecord;
  readonly after: AdapterRecord;
  /** Tags, metrics, base and the rest of what is said. */
  readonly said: readonly Difference[];
  readonly config: readonly Difference[];
  readonly modules: readonly ModuleDifference[];
}

const differences = (before: Readonly<Record<string, unknown>>, after: Readonly<Record<string, unknown>>): Difference[] =>
  [...new Set([...Object.keys(before), ...Object.keys(after)])]
    .sort()
    .filter((key) => JSON.stringify(before[key]) !== JSON.stringify(after[key]))
    .map((key) => ({ key, before: before[key], after: after[key] }));

const saidOf = ({ tags, metrics, lineage, licence, notes, facts }: AdapterRecord): Record<string, unknown> => ({
  ...Object.fromEntries(Object.entries(metrics).map(([name, value]) => [`metric ${name}`, value])),
  tags,
  licence,
  notes,
  parameters: facts.parameters,
  base: lineage.base ?? lineage.baseName,
  data: lineage.data,
  run: lineage.run,
  parents: lineage.parents,
});

/** s, A (in, r) and B (r, out) of a module. */
interface Update {
  readonly scaling: number;
  readonly A: HostTensor;
  readonly B: HostTensor;
}

const updatesOf = ({ tensors, config, directory }: PeftAdapter): Map<string, Update> => {
  const modules = [...tensors.keys()].flatMap((name) =>
    tensors.has(name.replace(/A$/, "B")) ? (/^(.+)\.lora_A$/.exec(name)?.[1] ?? []) : [],
  );
  if (modules.length === 0) return new Map();
  const read = readLoraConfig(config, join(directory, "adapter_config.json"));
  const all = { ...read, target_modules: modules, exclude_modules: null, layers_to_transform: null, modules_to_save: null };
  const targets = selectTargets(
    modules.map((module) => ({ module, isOrdinary: true })),
    all,
  );
  return new Map(
    targets.map(({ module, scaling }) => [module, { scaling, A: tensors.get(`${module}.lora_A`)!, B: tensors.get(`${module}.lora_B`)! }]),
  );
};

/** ⟨s·A·B, s′·A′·B′⟩ = s·s′·tr((AᵀA′)(B′Bᵀ)), so that no (in, out) matrix ever exists. */
const innerProduct = (one: Update, other: Update): number => {
  const [inFeatures, r] = one.A.shape;
  const [, q] = other.A.shape;
  const outFeatures = one.B.shape[1];
  if (other.A.shape[0] !== inFeatures || other.B.shape[1] !== outFeatures) return 0; // of other bases: nothing in common
  const [a, b, c, d] = [one.A, one.B, other.A, other.B].map(({ data }) => data as Float32Array);
  let sum = 0;
  for (let i = 0; i < r; i++)
    for (let j = 0; j < q; j++) {
      let left = 0; // (AᵀA′)ᵢⱼ
      for (let k = 0; k < inFeatures; k++) left += a[k * r + i] * c[k * q + j];
      let right = 0; // (B′Bᵀ)ⱼᵢ
      for (let k = 0; k < outFeatures; k++) right += b[i * outFeatures + k] * d[j * outFeatures + k];
      sum += left * right;
    }
  return one.scaling * other.scaling * sum;
};

const moduleDifference = (module: string, one: Update | undefined, other: Update | undefined): ModuleDifference => {
  const [before, after] = [one, other].map((update) => (update === undefined ? 0 : Math.sqrt(Math.max(0, innerProduct(update, update)))));
  const product = one === undefined || other === undefined ? 0 : innerProduct(one, other);
  const cosine = before * after === 0 ? 0 : product / (before * after);
  return { module, before, after, cosine, distance: Math.sqrt(Math.max(0, before ** 2 + after ** 2 - 2 * product)) };
};

/** Compares two adapters of the library. Updates of a form that is not known here are left out of the modules. */
export const diffAdapters = async (library: LibraryFolder, beforeName: string, afterName: string): Promise<AdapterDifference> => {
  const [before, after] = [await getAdapter(library, beforeName), await getAdapter(library, afterName)];
  const one = await readPeftAdapter(adapterPath(library.folder, before.digest));
  const other = await readPeftAdapter(adapterPath(library.folder, after.digest));
  const [updates, others] = [updatesOf(one), updatesOf(other)];
  const modules = [...new Set([...updates.keys(), ...others.keys()])];
  return {
    before,
    after,
    said: differences(saidOf(before), saidOf(after)),
    config: differences(normalisedConfig(one.config), normalisedConfig(other.config)),
    modules: modules.map((module) => moduleDifference(module, updates.get(module), others.get(module))),
  };
};
