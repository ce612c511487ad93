/**
 * @file Rebuilds `assets/`: text, tokenizer, the base by `lowrank pretrain`, one adapter per domain by `lowrank train`, and the model card.
 *
 *     npx tsx scripts/embedded/build.ts [data] [base] [adapters] [card]
 *
 * Without a step it does all four. Text and runs go to `runs/embedded`.
 */
import { spawn } from "node:child_process";
import { cp, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { corpus } from "./corpus.ts";
import { domainData, domains, jsonl } from "./domains/index.ts";
import { modelCard, type Measured } from "./card.ts";
import { recipe } from "./recipe.ts";
import { buildTokenizer, tokenizerConfig } from "./tokenizer.ts";

const root = resolve(import.meta.dirname, "../..");
const assets = join(root, "assets");
const tiny = join(assets, "tiny");
/** As the adapters record it: relative to the repository. */
const tinyName = "assets/tiny";
const runs = join(root, "runs/embedded");

const writeJson = (path: string, value: unknown, space?: number): Promise<void> =>
  writeFile(path, `${JSON.stringify(value, undefined, space)}\n`);

/** Runs a command of this repository; progress goes to this terminal. Gives back what `--json` prints. */
const lowrank = async (command: string, flags: Readonly<Record<string, string | number | true>>): Promise<Record<string, unknown>> => {
  const words = Object.entries(flags).flatMap(([name, value]) => {
    if (value === true) return [`--${name}`];
    return String(value)
      .split(",")
      .flatMap((part) => [`--${name}`, part]);
  });
  const child = spawn(process.execPath, ["--import", "tsx", join(root, "src/cli/main.ts"), command, ...words, "--json"], {
    cwd: root,
    stdio: ["ignore", "pipe", "inherit"],
  });
  const chunks: Buffer[] = [];
  child.stdout.on("data", (chunk: Buffer) => chunks.push(chunk));
  const code = await new Promise<number | null>((done, fail) => child.on("error", fail).on("close", done));
  if (code !== 0) throw new Error(`lowrank ${command} ended with ${code}.`);
  return JSON.parse(Buffer.concat(chunks).toString()) as Record<string, unknown>;
};

const dataOf = (domain: string, part: "train" | "valid"): string => join(assets, "data", domain, `${part}.jsonl`);

/** Text, domain data, tokenizer and configuration. */
const data = async (): Promise<void> => {
  await mkdir(tiny, { recursive: true });
  await mkdir(runs, { recursive: true });
  const rows = (seed: number, size: number): { text: string }[] => [...corpus(seed, size)].map((text) => ({ text }));
  await writeFile(join(runs, "train.jsonl"), jsonl(rows(recipe.seed, recipe.trainCharacters)));
  await writeFile(join(runs, "valid.jsonl"), jsonl(rows(recipe.validSeed, recipe.validCharacters)));
  for (const domain of domains) {
    const { train, valid } = domainData(domain, recipe.seed);
    await mkdir(join(assets, "data", domain.name), { recursive: true });
    await writeFile(dataOf(domain.name, "train"), jsonl(train));
    await writeFile(dataOf(domain.name, "valid"), jsonl(valid));
  }
  await writeJson(join(tiny, "tokenizer.json"), buildTokenizer(corpus(recipe.seed, recipe.tokenizerCharacters)));
  await writeJson(join(tiny, "tokenizer_config.json"), tokenizerConfig(recipe.shape.max_position_embeddings), 2);
  await writeJson(join(tiny, "config.json"), recipe.shape, 2);
  const { bos_token_id, eos_token_id, pad_token_id } = recipe.shape;
  await writeJson(
    join(tiny, "generation_config.json"),
    { bos_token_id, eos_token_id, pad_token_id, temperature: 0.7, top_k: 40, do_sample: true },
    2,
  );
};

/** The base, from nothing but `config.json`, the tokenizer and the text. */
const base = async (): Promise<void> => {
  const output = join(runs, "base");
  await rm(output, { recursive: true, force: true });
  await lowrank("pretrain", {
    model: tiny,
    data: join(runs, "train.jsonl"),
    "eval-data": join(runs, "valid.jsonl"),
    output,
    pack: true,
    ...recipe.pretrain,
  });
  await cp(join(output, "model.safetensors"), join(tiny, "model.safetensors"));
};

const adapters = async (): Promise<void> => {
  for (const [name, flags] of Object.entries(recipe.adapters)) {
    const output = join(runs, name);
    await rm(output, { recursive: true, force: true });
    await lowrank("train", { model: tinyName, data: dataOf(name, "train"), "eval-data": dataOf(name, "valid"), output, ...flags });
    await mkdir(join(assets, "adapters", name), { recursive: true });
    for (const file of ["adapter_config.json", "adapter_model.safetensors"])
      await cp(join(output, file), join(assets, "adapters", name, file));
  }
};

/** Measures the base and every adapter on held-out text and writes the model card. */
const card = async (): Promise<void> => {
  const lossOf = async (path: string, adapter?: string): Promise<number> =>
    (await lowrank("evaluate", { model: tiny, data: path, ...(adapter && { adapter: join(assets, "adapters", adapter) }) }))[
      "loss"
    ] as number;
  const measured: Measured = { corpus: await lossOf(join(runs, "valid.jsonl")), domains: {} };
  for (const name of Object.keys(recipe.adapters))
    measured.domains[name] = { base: await lossOf(dataOf(name, "valid")), adapter: await lossOf(dataOf(name, "valid"), name) };
  const tensors = await readFile(join(tiny, "model.safetensors"));
  await writeFile(join(tiny, "README.md"), modelCard(measured, tensors.length));
};

const steps: Readonly<Record<string, () => Promise<void>>> = { data, base, adapters, card };
const chosen = process.argv.slice(2);
for (const name of chosen.length > 0 ? chosen : Object.keys(steps)) {
  if (!Object.hasOwn(steps, name)) throw new Error(`No step "${name}"; there are ${Object.keys(steps).join(", ")}.`);
  await steps[name]();
}
