import { mkdtemp, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { randomAdapter, tinyModel } from "../../../test/tiny-model.ts";
import { readPeftAdapter } from "../../formats/index.ts";
import { openBase, type Base } from "../../models/index.ts";
import { loadAdapter, saveAdapter } from "../store.ts";
import { veraProjections } from "./vera-projection.ts";

let base: Base;
let folder: string;
beforeAll(async () => {
  process.env["LOWRANK_CACHE"] = await mkdtemp(join(tmpdir(), "lowrank-cache-"));
  base = await openBase(await tinyModel({ vocab_size: 97, num_hidden_layers: 1 }));
  folder = await mkdtemp(join(tmpdir(), "lowrank-vera-"));
});

it("draws A and B as PEFT does, bit for bit", () => {
  const { A, B } = veraProjections(11, { r: 2, inFeatures: 3, outFeatures: 4 });
  // PEFT 0.21 with torch 2.13: _kaiming_init of (2, 3) and then (4, 2) by one generator with the seed 11.
  const recorded = {
    A: [-0.9926599264144897, -0.038033485412597656, 1.3736581802368164, -0.9379023909568787, 0.23742786049842834, 0.547581136226654],
    B: [
      0.2878144681453705, -1.287129282951355, 0.2498401254415512, 1.4716869592666626, -0.7990373969078064, 0.9784592986106873,
      -0.7902045249938965, -0.1273687779903412,
    ],
  };
  expect({ A, B }).toEqual({ A: Float32Array.from(recorded.A), B: Float32Array.from(recorded.B) });
});

describe("VeRA's files", () => {
  const targets = { r: 5, target_modules: ["q_proj", "down_proj"] };

  const values = async (name: string) => {
    const { parameters, frozen } = await loadAdapter(join(folder, name), base.model, { baseDigest: base.digest });
    return { parameters, frozen };
  };

  it("hold A and B once for all modules, as wide as the widest", async () => {
    const stored = await randomAdapter(base, { ...targets, vera: {} });
    await saveAdapter(join(folder, "whole"), base.model, stored, base.digest);
    const { tensors } = await readPeftAdapter(join(folder, "whole"));
    expect(["vera_A", "vera_B"].map((name) => tensors.get(name)!.shape)).toEqual([
      [24, 5],
      [5, 16],
    ]);
    expect(await values("whole")).toEqual({ parameters: stored.parameters, frozen: stored.frozen });
  });

  it("hold the key alone where that is asked for, which gives the same A and B", async () => {
    const stored = await randomAdapter(base, { ...targets, vera: { projection_prng_key: 7, save_projection: false } });
    await saveAdapter(join(folder, "key"), base.model, stored, base.digest);
    expect((await readPeftAdapter(join(folder, "key"))).tensors.has("vera_A")).toBe(false);
    expect(await values("key")).toEqual({ parameters: stored.parameters, frozen: stored.frozen });
  });

  it("make no A and B of a rank that the file's tensors do not have", async () => {
    const stored = await randomAdapter(base, { ...targets, vera: { projection_prng_key: 7, save_projection: false } });
    await saveAdapter(join(folder, "huge"), base.model, stored, base.digest);
    const path = join(folder, "huge", "adapter_config.json");
    await writeFile(path, (await readFile(path, "utf8")).replace(/"r": \d+/, '"r": 2000000000'));
    await expect(values("huge")).rejects.toMatchObject({
      code: "adapter-mismatch",
      message: expect.stringContaining("2000000000") as string,
    });
  });
});
