/** @file The README of an adapter on a hub: written from its record, and read for what it says. It knows nothing about networks. */
import { isObject } from "../formats/index.ts";
import { messageOf, LowrankError } from "../util/index.ts";
import { splitTag, checkTag } from "./names.ts";
import type { AdapterRecord } from "./record.ts";

/** What a card says that a record can hold. */
export interface CardFacts {
  readonly tags: readonly string[];
  readonly metrics: Readonly<Record<string, number>>;
  readonly licence: string | null;
  readonly baseName: string | null;
  readonly data: string | null;
}

/** Tags that hubs and tools give to every adapter. */
const usual: readonly string[] = ["lora", "peft", "lowrank", "transformers", "safetensors", "base_model:adapter"];

const valuesOf = (tags: readonly string[], key: string): string[] =>
  tags.map(splitTag).flatMap(([name, value]) => (name === key && value !== "" ? [value] : []));

// A path of the trainer's machine names nothing on a hub.
const isHubName = (name: string): boolean => /^[\w.-]+\/[\w.-]+$/.test(name);

const modelIndex = (name: string, metrics: AdapterRecord["metrics"], data: string | null): object[] => [
  {
    name,
    results: [
      {
        task: { type: "text-generation" },
        dataset: { type: "custom", name: data ?? "held-out data" },
        metrics: Object.entries(metrics).map(([type, value]) => ({ type, name: type, value })),
      },
    ],
  },
];

const frontMatter = ({ tags, metrics, licence, lineage, names }: AdapterRecord): object => {
  const languages = valuesOf(tags, "language");
  const datasets = valuesOf(tags, "dataset").filter(isHubName);
  const base = lineage.baseName !== null && isHubName(lineage.baseName) ? lineage.baseName : undefined;
  return {
    library_name: "peft",
    ...(base !== undefined && { base_model: base, base_model_relation: "adapter" }),
    pipeline_tag: "text-generation",
    ...(licence !== null && { license: licence.toLowerCase() }),
    ...(languages.length > 0 && { language: languages }),
    ...(datasets.length > 0 && { datasets }),
    tags: ["lora", "lowrank", ...tags.filter((tag) => splitTag(tag)[0] !== "language")],
    ...(Object.keys(metrics).length > 0 && { "model-index": modelIndex(names[0]?.name ?? "adapter", metrics, lineage.data) }),
  };
};

const table = (rows: readonly (readonly [string, string])[]): string =>
  ["| | |", "|---|---|", ...rows.map(([title, text]) => `| ${title} | ${text.replaceAll("|", "\\|").replaceAll("\n", " ")} |`)].join("\n");

/** A model card with the hub's adapter tags in front, as Markdown. */
export const modelCard = async (record: AdapterRecord): Promise<string> => {
  const { stringify } = await import("yaml");
  const { names, facts, lineage, metrics, notes, digest } = record;
  const rows: [string, string][] = [
    ["kind", `${facts.kind}${facts.rank === null ? "" : `, r ${facts.rank}`}${facts.alpha === null ? "" : `, α ${facts.alpha}`}`],
    ["base", [lineage.baseName, lineage.base].filter((text) => text !== null).join(", ") || "not recorded"],
    ...Object.entries(metrics).map(([name, value]): [string, string] => [name, String(value)]),
    ...(lineage.data === null ? [] : [["data", lineage.data] as [string, string]]),
    ...lineage.parents.map(({ name, digest: parent, weight }): [string, string] => ["composed of", `${weight} × ${name ?? parent}`]),
    ["digest", `\`${digest}\``],
  ];
  const title = names[0]?.name ?? "adapter";
  return `---\n${stringify(frontMatter(record))}---\n\n# ${title}\n\n${notes === "" ? "" : `${notes}\n\n`}${table(rows)}\n`;
};

const texts = (value: unknown): string[] =>
  (Array.isArray(value) ? value : [value]).filter((one): one is string => typeof one === "string");

const isTag = (tag: string): boolean => {
  try {
    return checkTag(tag) !== "";
  } catch {
    return false;
  }
};

const metricsOf = (index: unknown): Record<string, number> => {
  const models = (Array.isArray(index) ? index : []).filter(isObject);
  const results = models.flatMap(({ results: list }) => (Array.isArray(list) ? list : [])).filter(isObject);
  const metrics = results.flatMap(({ metrics: list }) => (Array.isArray(list) ? list : [])).filter(isObject);
  return Object.fromEntries(
    metrics.flatMap(({ type, name, value }) => {
      const key = typeof type === "string" ? type : name;
      return typeof key === "string" && isTag(key) && typeof value === "number" && Number.isFinite(value) ? [[key, value]] : [];
    }),
  );
};

const longestCard = 1_000_000;

/** Reads the front matter of a card; a card without any says nothing. One whose YAML is broken is `invalid-file`. */
export const readCard = async (text: string, where: string): Promise<CardFacts> => {
  const [, front = ""] = /^\uFEFF?---\r?\n([\s\S]*?)\r?\n---/.exec(text.slice(0, longestCard)) ?? [];
  const { parse } = await import("yaml");
  let value: unknown;
  try {
    value = parse(front, { maxAliasCount: 0 });
  } catch (error) {
    throw new LowrankError("invalid-file", `The front matter of the card is not YAML: ${messageOf(error)}.`, {
      where,
      fix: "Correct the card.",
      cause: error,
    });
  }
  const card = isObject(value) ? value : {};
  const { tags, language, datasets, license, base_model: base } = card;
  const all = [
    ...texts(tags).filter((tag) => !usual.some((one) => tag === one || tag.startsWith(`${one}:`))),
    ...texts(language).map((one) => `language=${one}`),
    ...texts(datasets).map((one) => `dataset=${one}`),
  ];
  return {
    tags: [...new Set(all.filter(isTag))].sort(),
    metrics: metricsOf(card["model-index"]),
    licence: texts(license)[0] ?? null,
    baseName: texts(base)[0] ?? null,
    data: texts(datasets).join(", ") || null,
  };
};
