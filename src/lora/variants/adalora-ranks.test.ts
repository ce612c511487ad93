import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { randomAdapter, tinyModel } from "../../../test/tiny-model.ts";
import { readPeftAdapter, writePeftAdapter } from "../../formats/index.ts";
import { openBase, type Base } from "../../models/index.ts";
import { viewOf } from "../../nn/index.ts";
import { f32 } from "../../util/index.ts";
import type { StoredAdapter } from "../adapter.ts";
import { loadAdapter, saveAdapter } from "../store.ts";

let base: Base;
let folder: string;
beforeAll(async () => {
  process.env["LOWRANK_CACHE"] = await mkdtemp(join(tmpdir(), "lowrank-cache-"));
  base = await openBase(await tinyModel({ vocab_size: 97, num_hidden_layers: 1 }));
  folder = await mkdtemp(join(tmpdir(), "lowrank-ranks-"));
});

const [q, v] = ["model.layers.0.self_attn.q_proj", "model.layers.0.self_attn.v_proj"];

/** An adapter on two modules whose triplets of these values have lost them. */
const adapter = async (lost: Readonly<Record<string, readonly number[]>>): Promise<StoredAdapter> => {
  const stored = await randomAdapter(base, { r: 3, target_modules: ["q_proj", "v_proj"], adalora: { total_step: 9 } });
  for (const [module, ranks] of Object.entries(lost)) {
    const E = stored.adapter.layout.slots.find(({ name }) => name === `${module}.lora_E`)!;
    for (const rank of ranks) viewOf(stored.parameters, E)[rank] = 0;
  }
  return stored;
};

const load = (directory: string): Promise<StoredAdapter> => loadAdapter(directory, base.model, { baseDigest: base.digest });

describe("AdaLoRA's files", () => {
  it.each<[string, Record<string, number[]>, unknown, number[]]>([
    ["all ranks where none is lost", {}, null, [3, 3]],
    [
      "the ranks that have a value",
      { [q]: [0, 2], [v]: [1] },
      { [`${q}.lora_E`]: [false, true, false], [`${v}.lora_E`]: [true, false, true] },
      [1, 2],
    ],
    [
      "nothing of a module that has lost all",
      { [q]: [0, 1, 2] },
      { [`${q}.lora_E`]: [false, false, false], [`${v}.lora_E`]: [true, true, true] },
      [0, 3],
    ],
  ])("hold %s, and give the others back as zeros", async (name, lost, pattern, ranks) => {
    const stored = await adapter(lost);
    const directory = join(folder, name.replaceAll(" ", "-"));
    await saveAdapter(directory, base.model, stored, base.digest);
    const { config, tensors } = await readPeftAdapter(directory);
    expect(config["rank_pattern"]).toEqual(pattern);
    expect([q, v].map((module) => tensors.get(`${module}.lora_A`)!.shape)).toEqual(ranks.map((rank) => [16, rank]));
    expect([q, v].map((module) => tensors.get(`${module}.lora_E`)!.shape)).toEqual(ranks.map((rank) => [rank, 1]));
    const again = await load(directory);
    const kept = (module: string, rank: number): boolean => !(lost[module] ?? []).includes(rank);
    for (const slot of stored.adapter.layout.slots) {
      const module = slot.name.slice(0, slot.name.lastIndexOf("."));
      const rankOf = (index: number): number => (slot.name.endsWith("lora_A") ? index % 3 : Math.floor(index / (slot.size / 3)));
      expect(viewOf(again.parameters, slot)).toEqual(
        viewOf(stored.parameters, slot).map((value, index) => (kept(module, rankOf(index)) ? value : 0)),
      );
    }
  });

  it("hold an adapter without any value whole, and it is refused for that", async () => {
    const directory = join(folder, "nothing");
    await saveAdapter(directory, base.model, await adapter({ [q]: [0, 1, 2], [v]: [0, 1, 2] }), base.digest);
    expect((await readPeftAdapter(directory)).config["rank_pattern"]).toBeNull();
    await expect(load(directory)).rejects.toThrow("The adapter has no effect");
  });

  it("are refused where the tensors are not what the pattern says", async () => {
    const directory = join(folder, "damaged");
    await saveAdapter(directory, base.model, await adapter({ [q]: [1] }), base.digest);
    const { config, tensors, metadata } = await readPeftAdapter(directory);
    const damaged = new Map([...tensors, [`${q}.lora_A`, f32(new Float32Array(16), [16, 1])] as const]);
    await writePeftAdapter(directory, { config, tensors: damaged, metadata });
    await expect(load(directory)).rejects.toThrow(`${q}.lora_A is [16, 1], needed [16, 3]`);
  });
});
