import { expect, it } from "vitest";
import { input, matmul, program } from "../graph/index.ts";
import { f32 } from "../util/index.ts";
import { ortBackend, type Resident } from "./index.ts";

/** k³·64² by three products of matrices that are k everywhere, several times over. */
const busy = async (k: number): Promise<number> => {
  const backend = ortBackend({ device: "webgpu", threads: 1 });
  const x = input("x", [64, 64]);
  const executable = await backend.compile(program({ y: matmul(matmul(x, x), x) }));
  const feed = await backend.upload(f32(new Float32Array(64 * 64).fill(k), [64, 64]));
  let total = 0;
  for (let round = 0; round < 10; round++) {
    const { y } = await executable.run({ x: feed }, { keep: ["y"] });
    total += Number((await backend.download(y as Resident)).data[0]);
  }
  await backend.dispose();
  return total / 10;
};

it("backends that are busy at once, and one after the other, do not disturb each other", async () => {
  const expected = [1, 2, 3].map((k) => k ** 3 * 64 ** 2);
  expect(await Promise.all([busy(1), busy(2), busy(3)])).toEqual(expected);
  expect(await busy(2)).toBe(expected[1]);
});

it("one that is disposed rejects what waits, and leaves the other alone", async () => {
  const [one, other] = [ortBackend({ device: "webgpu" }), ortBackend({ device: "webgpu" })];
  const graph = program({ y: matmul(input("x", [2, 2]), input("w", [2, 2])) });
  const feeds = { x: f32([1, 2, 3, 4], [2, 2]), w: f32([1, 0, 0, 1], [2, 2]) };
  const [first, second] = await Promise.all([one.compile(graph), other.compile(graph)]);
  const [waits, goesOn] = [first.run(feeds), second.run(feeds)];
  const disposal = one.dispose();
  await expect(waits).rejects.toMatchObject({ code: "backend-failed", message: "The backend has been disposed." });
  await disposal;
  expect(await goesOn).toEqual({ y: feeds.x });
  await other.dispose();
});
