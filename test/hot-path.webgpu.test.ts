/** @file The programs of training and generation are computed on WebGPU alone: nothing of a step waits for the CPU. */
import { mkdtempSync } from "node:fs";
import { join, resolve } from "node:path";
import { expect, it, vi } from "vitest";
import type { Graph, OpName } from "../src/graph/index.ts";
import { loadModel } from "../src/language-model.ts";
import type { BaseOptions } from "../src/models/index.ts";
import { scratchFolder } from "./scratch.ts";
import { runsOnWebgpuAlone } from "./without-fallback.ts";

const assets = resolve(import.meta.dirname, "../assets");
const folder = scratchFolder();

// Ranking, which only the gradient over a head in 8 bits needs.
const leftToTheCpu: OpName = "top-k";
const ranks = ({ order }: Graph): boolean => order.some(({ op }) => op.name === leftToTheCpu);

it.each<[string, BaseOptions]>([
  ["float32", {}],
  ["int8", { precision: "int8" }],
  ["int4", { precision: "int4" }],
  ["nf4", { precision: "nf4" }],
])("over a base in %s", async (_, precision) => {
  const model = await loadModel(join(assets, "tiny"), { threads: 1, ...precision });
  // Compiled for the CPU here, so that the device is free for the question below.
  const compile = vi.spyOn(model.backend, "compile");
  const graphs = (): readonly Graph[] => compile.mock.calls.map(([graph]) => graph);

  const adapter = await model.attach({ r: 4, lora_alpha: 8 });
  const recipe = { maxSteps: 1, batchSize: 2, sequenceLength: 48, output: mkdtempSync(join(folder, "run-")) };
  for await (const event of model.train({ adapter, data: join(assets, "data/orders/train.jsonl"), ...recipe })) void event;
  expect(graphs()).toHaveLength(1);
  for await (const piece of model.generate("Once", { adapters: [{ ...adapter, weight: 1 }], maxTokens: 3 })) void piece;
  expect(graphs().length).toBeGreaterThan(2);
  const choices = [{ adapter: join(assets, "adapters/pirate"), weight: 1 }];
  await model.generateAll([{ prompt: "Once" }, { prompt: "The cat", adapters: choices }], { maxTokens: 3 });
  await model.close();

  expect(graphs().filter(ranks)).toHaveLength(precision.precision === "int8" ? 1 : 0);
  for (const graph of graphs()) expect(await runsOnWebgpuAlone(graph), Object.keys(graph.outputs).join()).toBe(!ranks(graph));
});
