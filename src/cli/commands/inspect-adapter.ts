/** @file What an adapter holds: its configuration, and ranks, scalings and norms of its updates. It needs no base. */
import { join } from "node:path";
import { readPeftAdapter, type PeftAdapter } from "../../formats/index.ts";
import { readLoraConfig, selectTargets, variantOf, type LoraConfig } from "../../lora/index.ts";
import { f32, LowrankError, sizeOf, type HostTensor } from "../../util/index.ts";
import { folderBytes } from "../folder-bytes.ts";
import { formatBytes, formatCount, formatFigure, formatPercent } from "../ui/format.ts";
import { groupBy, kindOf, sortByName } from "./by-kind.ts";
import { fittedTable, type TableContext } from "./fitted-table.ts";
import { frobeniusNorm, productNorm, type Matrix } from "./update-norm.ts";

interface ModuleReport {
  readonly module: string;
  readonly rank: number;
  readonly scaling: number;
  /** Frobenius norms of the factors and of the update s·A·B; none of experts, whose factors files stack in ways that only the base can tell apart. */
  readonly A: number;
  readonly B: number;
  readonly update: number | null;
}

interface TensorReport {
  readonly name: string;
  readonly shape: readonly number[];
  readonly norm: number;
}

export interface AdapterReport {
  readonly kind: "adapter";
  /** The adapter kind, as people call it. */
  readonly variant: string;
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
  /** The model's own tensors, trained whole. */
  readonly whole: readonly TensorReport[];
  /** What the adapter kind has beside A and B, such as magnitudes. */
  readonly others: readonly TensorReport[];
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
    const E = tensors.get(`${module}.lora_E`);
    return [{ module, A: E === undefined ? A : weighted(A, E), B }];
  });

/** The columns of a factor times the values between it and the other one. */
const weighted = ({ data, shape }: HostTensor, { data: values }: HostTensor): HostTensor =>
  f32(
    Float32Array.from(data as Float32Array, (value, index) => value * Number(values[index % shape[1]])),
    shape,
  );

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

// PEFT writes factors of experts under the module that holds their parameters: `…mlp.experts`, `…mlp.experts.base_layer`.
const isStacked = (module: string, { target_parameters: parameters }: LoraConfig): boolean =>
  (parameters ?? []).length > 0 && /\.experts(\.base_layer)*$/.test(module);

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
      update: isStacked(module, config) ? null : scaling * productNorm(left, right),
    };
  });
  const rest = [...adapter.tensors].filter(([name]) => !/\.lora_(embedding_)?[AB]$/.test(name));
  const isWhole = ({ name }: TensorReport): boolean => /\.(weight|bias)$/.test(name) && !name.endsWith(".lora_B.bias");
  const measured = rest.map(([name, tensor]): TensorReport => ({
    name,
    shape: tensor.shape,
    norm: frobeniusNorm(tensor as unknown as Matrix),
  }));
  return {
    kind: "adapter",
    variant: variantOf(config).name,
    directory: adapter.directory,
    base: config.base_model_name_or_path,
    config,
    metadata: adapter.metadata,
    parameters: [...adapter.tensors.values()].reduce((sum, { shape }) => sum + sizeOf(shape), 0),
    bytes: await folderBytes(directory, /^adapter_(config\.json|model\.safetensors)$/),
    modules,
    zeroShare: modules.length === 0 ? 0 : modules.filter(({ B }) => B === 0).length / modules.length,
    whole: measured.filter(isWhole),
    others: measured.filter((tensor) => !isWhole(tensor)),
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

const rangeOf = (updates: readonly (number | null)[]): string => {
  const known = updates.filter((update) => update !== null);
  return known.length === 0 ? "" : rangeText(known, norm);
};

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
    rangeOf(group.map(({ update }) => update)),
  ]);

/** Lists by the last part of their names, which tells most. */
const targetsText = ({ target_modules: modules, target_parameters: parameters }: LoraConfig): string => {
  const names = typeof modules === "string" ? [modules] : modules.map((name) => name.slice(name.lastIndexOf(".") + 1));
  return [...new Set([...names, ...(parameters ?? [])])].join(", ");
};

/** The report for people. */
export const adapterLines = (report: AdapterReport, every: boolean, context: TableContext): string[] => {
  const { config, modules, whole, others, metadata } = report;
  const notes = Object.entries(metadata).filter(([key]) => key !== "format");
  return [
    `${report.directory}: ${/^[AEIO]/.test(report.variant) ? "an" : "a"} ${report.variant} adapter`,
    `r ${config.r}, α ${config.lora_alpha}${config.use_rslora ? ", rsLoRA" : ""}, dropout ${config.lora_dropout}, targets ${targetsText(config)}`,
    `base ${report.base ?? "not recorded"}${notes.map(([key, value]) => `; ${key} ${value}`).join("")}`,
    `${formatCount(report.parameters)} parameters${modules.length === 0 ? "" : ` in ${modules.length} modules`}, ${formatBytes(report.bytes)}`,
    ...(modules.length === 0 ? [] : moduleLines(report, every, context)),
    ...Array.from(
      groupBy(others, ({ name }) => name.slice(name.lastIndexOf(".") + 1)),
      ([part, group]) => {
        const norms = group.map(({ norm: size }) => size);
        return `${part}: ${group.length} ×, norm ${rangeText(norms, formatFigure)}`;
      },
    ),
    ...whole.map(({ name, shape, norm: size }) => `trained whole: ${name} [${shape.join(", ")}], norm ${formatFigure(size)}`),
  ];
};

const moduleLines = ({ modules, zeroShare }: AdapterReport, every: boolean, context: TableContext): string[] => {
  const zero = modules.filter(({ B }) => B === 0).length;
  return [
    "",
    fittedTable(columns, moduleRows(modules, every), context),
    "",
    ...(every ? [] : ["‖A‖ and ‖B‖ are means; ‖ΔW‖ = ‖s·A·B‖, from the least to the most."]),
    zero === 0
      ? "No B is zero."
      : `${formatCount(zero)} of ${formatCount(modules.length)} Bs are zero (${formatPercent(zeroShare)}): these modules change nothing.`,
  ];
};
