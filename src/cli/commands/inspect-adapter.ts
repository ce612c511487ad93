/** @file What an adapter holds: its configuration, and ranks, scalings and norms of its updates. It needs no base. */
import { join } from "node:path";
import { readPeftAdapter, type PeftAdapter } from "../../formats/index.ts";
import { readLoraConfig, selectTargets, type LoraConfig } from "../../lora/index.ts";
import { LowrankError, sizeOf, type HostTensor } from "../../util/index.ts";
import { folderBytes } from "../folder-bytes.ts";
import { formatBytes, formatCount, formatFigure, formatPercent } from "../ui/format.ts";
import { groupBy, kindOf, sortByName } from "./by-kind.ts";
import { fittedTable, type TableContext } from "./fitted-table.ts";
import { frobeniusNorm, productNorm, type Matrix } from "./update-norm.ts";

interface ModuleReport {
  readonly module: string;
  readonly rank: number;
  readonly scaling: number;
  /** Frobenius norms of the factors and of the update s·A·B. */
  readonly A: number;
  readonly B: number;
  readonly update: number;
}

export interface AdapterReport {
  readonly kind: "adapter";
  readonly directory: string;
  readonly base: LoraConfig["base_model_name_or_path"];
  readonly config: LoraConfig;
  /** What the weights' file says about itself, such as the digest of the base. */
  readonly metadata: Readonly<Record<string, string>>;
  readonly parameters: number;
  readonly bytes: number;
  readonly modules: readonly ModuleReport[];
  /** Share of the modules whose B is zero, so that they change nothing. */
  readonly zeroShare: number;
  /** Tensors that are no factors: trained whole. */
  readonly whole: readonly { readonly name: string; readonly shape: readonly number[]; readonly norm: number }[];
}

interface Factors {
  readonly module: string;
  readonly A: HostTensor;
  readonly B: HostTensor;
}

const factorsOf = ({ tensors, directory }: PeftAdapter): Factors[] =>
  [...tensors].flatMap(([name, A]) => {
    const [, module, kind] = /^(.+)\.lora_(embedding_)?A$/.exec(name) ?? [];
    if (module === undefined) return [];
    const B = tensors.get(`${module}.lora_${kind ?? ""}B`);
    if (B === undefined || A.shape[1] !== B.shape[0])
      throw new LowrankError(
        "adapter-mismatch",
        `${module} has an A of [${A.shape.join(", ")}] and ${B === undefined ? "no B" : `a B of [${B.shape.join(", ")}]`}.`,
        { where: directory, fix: "Copy the adapter again." },
      );
    return [{ module, A, B }];
  });

/** The scaling of each module as the configuration's patterns give it. */
const scalingsOf = (factors: readonly Factors[], config: LoraConfig): Map<string, number> => {
  const modules = factors.map(({ module }) => module);
  const all = { ...config, target_modules: modules, exclude_modules: null, layers_to_transform: null, modules_to_save: null };
  return new Map(
    selectTargets(
      modules.map((module) => ({ module, isOrdinary: true })),
      all,
    ).map(({ module, scaling }) => [module, scaling]),
  );
};

/** Reads an adapter and measures its updates; damaged files are errors that name them. */
export const inspectAdapter = async (directory: string): Promise<AdapterReport> => {
  const adapter = await readPeftAdapter(directory);
  const config = readLoraConfig(adapter.config, join(directory, "adapter_config.json"));
  const factors = factorsOf(adapter);
  const scalings = factors.length === 0 ? new Map<string, number>() : scalingsOf(factors, config);
  const modules = sortByName(factors, ({ module }) => module).map(({ module, A, B }): ModuleReport => {
    const scaling = scalings.get(module)!;
    const [left, right] = [A, B] as unknown as readonly [Matrix, Matrix]; // the reader gives float32
    return {
      module,
      rank: A.shape[1],
      scaling,
      A: frobeniusNorm(left),
      B: frobeniusNorm(right),
      update: scaling * productNorm(left, right),
    };
  });
  const isFactor = (name: string): boolean => /\.lora_(embedding_)?[AB]$/.test(name);
  return {
    kind: "adapter",
    directory: adapter.directory,
    base: config.base_model_name_or_path,
    config,
    metadata: adapter.metadata,
    parameters: [...adapter.tensors.values()].reduce((sum, { shape }) => sum + sizeOf(shape), 0),
    bytes: await folderBytes(directory, /^adapter_(config\.json|model\.safetensors)$/),
    modules,
    zeroShare: modules.length === 0 ? 0 : modules.filter(({ B }) => B === 0).length / modules.length,
    whole: [...adapter.tensors]
      .filter(([name]) => !isFactor(name))
      .map(([name, tensor]) => ({ name, shape: tensor.shape, norm: frobeniusNorm(tensor as unknown as Matrix) })),
  };
};

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

/** `0.5`, or `0.25–0.5` where values differ. */
const rangeText = (values: readonly number[], text: (value: number) => string): string => {
  const [least, most] = [Math.min(...values), Math.max(...values)].map(text);
  return least === most ? least : `${least}–${most}`;
};

const exact = (value: number): string => String(Number(value.toPrecision(3)));

const norm = (value: number): string => value.toPrecision(3);

const columns = [
  { title: "module" },
  { title: "", align: "right" },
  { title: "rank", align: "right" },
  { title: "scaling", align: "right" },
  { title: "‖A‖", align: "right", optional: true },
  { title: "‖B‖", align: "right", optional: true },
  { title: "‖ΔW‖", align: "right" },
] as const;

const moduleRows = (modules: readonly ModuleReport[], every: boolean): string[][] =>
  Array.from(groupBy(modules, ({ module }) => (every ? module : kindOf(module))).values(), (group) => [
    group.length === 1 ? group[0].module : kindOf(group[0].module),
    group.length === 1 ? "" : `${group.length} ×`,
    rangeText(
      group.map(({ rank }) => rank),
      exact,
    ),
    rangeText(
      group.map(({ scaling }) => scaling),
      exact,
    ),
    norm(mean(group.map(({ A }) => A))),
    norm(mean(group.map(({ B }) => B))),
    rangeText(
      group.map(({ update }) => update),
      norm,
    ),
  ]);

/** A list by the last part of its names, which tells most. */
const targetsText = (targets: LoraConfig["target_modules"]): string =>
  typeof targets === "string" ? targets : [...new Set(targets.map((name) => name.slice(name.lastIndexOf(".") + 1)))].join(", ");

/** The report for people. */
export const adapterLines = (report: AdapterReport, every: boolean, context: TableContext): string[] => {
  const { config, modules, whole, metadata } = report;
  const notes = Object.entries(metadata).filter(([key]) => key !== "format");
  const zero = modules.filter(({ B }) => B === 0).length;
  return [
    `${report.directory}: a LoRA adapter`,
    `r ${config.r}, α ${config.lora_alpha}${config.use_rslora ? ", rsLoRA" : ""}, dropout ${config.lora_dropout}, targets ${targetsText(config.target_modules)}`,
    `base ${report.base ?? "not recorded"}${notes.map(([key, value]) => `; ${key} ${value}`).join("")}`,
    `${formatCount(report.parameters)} parameters in ${modules.length} modules, ${formatBytes(report.bytes)}`,
    "",
    fittedTable(columns, moduleRows(modules, every), context),
    "",
    ...(every ? [] : ["‖A‖ and ‖B‖ are means; ‖ΔW‖ = ‖s·A·B‖, from the least to the most."]),
    ...whole.map(({ name, shape, norm: size }) => `trained whole: ${name} [${shape.join(", ")}], norm ${formatFigure(size)}`),
    zero === 0
      ? "No B is zero."
      : `${formatCount(zero)} of ${formatCount(modules.length)} Bs are zero (${formatPercent(report.zeroShare)}): these modules change nothing.`,
  ];
};
