import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { readPeftAdapter } from "../formats/index.ts";
import { openLibrary, type Library } from "./library.ts";
import { workshop } from "./library.fixture.ts";
import { writeAdapter } from "./small-adapter.fixture.ts";

const folder = workshop();
let library: Library;
beforeAll(async () => {
  library = await openLibrary(join(folder, "library"), { create: true });
  await library.add(await writeAdapter(join(folder, "1"), 1), { name: "one", tags: ["a"], metrics: { loss: 1 } });
  await library.add(await writeAdapter(join(folder, "2"), 2, { config: { r: 2, lora_alpha: 8 } }), {
    name: "two",
    metrics: { loss: 2, bleu: 3 },
  });
  await library.add(await writeAdapter(join(folder, "3"), 1, { scale: -1 }), { name: "turned" });
});
afterAll(() => library.close());

/** s·A·B (in, out), written out. */
const update = async (reference: string, scaling: number): Promise<number[]> => {
  const { tensors } = await readPeftAdapter(library.path(await library.get(reference)));
  const [A, B] = ["A", "B"].map((factor) => tensors.get(`model.layers.0.self_attn.q_proj.lora_${factor}`)!);
  const [inFeatures, r] = A.shape;
  const outFeatures = B.shape[1];
  return Array.from({ length: inFeatures * outFeatures }, (_, index) => {
    const [row, column] = [Math.floor(index / outFeatures), index % outFeatures];
    let sum = 0;
    for (let k = 0; k < r; k++) sum += (A.data[row * r + k] as number) * (B.data[k * outFeatures + column] as number);
    return scaling * sum;
  });
};

const dot = (a: readonly number[], b: readonly number[]): number => a.reduce((sum, value, index) => sum + value * b[index], 0);

it("compares updates as if they were written out", async () => {
  const { said, config, modules } = await library.diff("one", "two");
  const [one, two] = [await update("one", 2), await update("two", 4)];
  expect(modules).toHaveLength(1);
  const [{ module, before, after, cosine, distance }] = modules;
  expect(module).toBe("model.layers.0.self_attn.q_proj");
  expect(before).toBeCloseTo(Math.sqrt(dot(one, one)), 5);
  expect(after).toBeCloseTo(Math.sqrt(dot(two, two)), 5);
  expect(cosine).toBeCloseTo(dot(one, two) / Math.sqrt(dot(one, one) * dot(two, two)), 6);
  const apart = one.map((value, index) => two[index] - value);
  expect(distance).toBeCloseTo(Math.sqrt(dot(apart, apart)), 5);
  expect(config).toEqual([{ key: "lora_alpha", before: 4, after: 8 }]);
  expect(said).toEqual([
    { key: "metric bleu", before: undefined, after: 3 },
    { key: "metric loss", before: 1, after: 2 },
    { key: "tags", before: ["a"], after: [] },
  ]);
});

it("finds an adapter equal to itself and opposite to its negative", async () => {
  expect(await library.diff("one", "one")).toMatchObject({ said: [], config: [] });
  expect((await library.diff("one", "one")).modules[0].cosine).toBeCloseTo(1, 12);
  expect((await library.diff("one", "turned")).modules[0].cosine).toBeCloseTo(-1, 12);
});
