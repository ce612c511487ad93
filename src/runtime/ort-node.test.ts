import { execFile } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { afterAll, expect, it } from "vitest";
import { add, exp, input, matmul, program, scale, type Graph } from "../graph/index.ts";
import { f32 } from "../util/index.ts";
import { ortBackend, type Feed } from "./index.ts";

const folder = mkdtempSync(join(tmpdir(), "lowrank-"));
afterAll(() => rmSync(folder, { recursive: true }));

const pause = (milliseconds: number): Promise<void> => new Promise((done) => setTimeout(done, milliseconds));

/** Some 200 ms of one core. */
const heavy = (): Graph => {
  const x = input("x", [768, 768]);
  let y = x;
  for (let index = 0; index < 16; index++) y = scale(matmul(y, x), 1e-3);
  return program({ y });
};
const heavyFeeds = { x: f32(new Float32Array(768 * 768).fill(1), [768, 768]) };

const threads = (): number => process.getActiveResourcesInfo().filter((name) => /Worker|MessagePort/.test(name)).length;

it("leaves the event loop free during a run, is idle after it, and gone after the disposal", async () => {
  const before = threads();
  const backend = ortBackend({ threads: 2 });
  const executable = await backend.compile(heavy());
  let ticks = 0;
  const ticker = setInterval(() => ticks++, 1);
  const start = performance.now();
  const running = executable.run(heavyFeeds);
  expect(threads()).toBeGreaterThan(before);
  await running;
  const duration = performance.now() - start;
  clearInterval(ticker);
  expect(duration).toBeGreaterThan(40);
  expect(ticks).toBeGreaterThan(duration / 20);

  const used = process.cpuUsage();
  await pause(200);
  const { user, system } = process.cpuUsage(used);
  expect((user + system) / 1000).toBeLessThan(100);
  expect(threads()).toBe(before);
  await backend.dispose();
  expect(threads()).toBe(before);
});

it.skipIf(process.platform !== "linux")("takes its threads along when it is disposed", async () => {
  const tasks = (): number => readdirSync("/proc/self/task").length;
  const counts: number[] = [];
  for (let round = 0; round < 2; round++) {
    const backend = ortBackend({ threads: 2 });
    await backend.compile(program({ y: exp(input("x", [1])) }));
    await backend.dispose();
    await pause(20);
    counts.push(tasks());
  }
  expect(counts[1]).toBeLessThanOrEqual(counts[0]);
});

it("rejects what waits when it is disposed, and takes a late answer quietly", async () => {
  const backend = ortBackend({ threads: 1 });
  const executable = await backend.compile(program({ y: exp(input("x", [1])) }));
  const answered = executable.run({ x: f32([0]) });
  // The answer arrives while this thread is busy, and is delivered after the disposal.
  const until = performance.now() + 100;
  while (performance.now() < until);
  const disposal = backend.dispose();
  await expect(answered).rejects.toMatchObject({ name: "LowrankError", code: "backend-failed", message: "The backend has been disposed." });
  await disposal;
  await pause(20);
});

it.each([
  ["disposed", "await backend.dispose();"],
  ["idle", ""],
])("lets the process end when it is %s", async (name, end) => {
  const source = resolve(import.meta.dirname, "..");
  const path = join(folder, `${name}.mts`);
  writeFileSync(
    path,
    `import { exp, input, program } from "${source}/graph/index.ts";
     import { ortBackend } from "${source}/runtime/index.ts";
     const backend = ortBackend({ threads: 1 });
     const executable = await backend.compile(program({ y: exp(input("x", [1])) }));
     const { y } = await executable.run({ x: { dtype: "f32", shape: [1], data: Float32Array.of(0) } });
     console.log(y.data[0]);
     ${end}`,
  );
  const { stdout, stderr } = await promisify(execFile)(process.execPath, ["--import", "tsx", path], { cwd: resolve(source, "..") });
  expect([stdout, stderr]).toEqual(["1\n", ""]);
});

it("feeds what each run names, whether it stays with the backend, stayed before, or is released", async () => {
  const backend = ortBackend({ threads: 1 });
  const executable = await backend.compile(program({ y: add(input("a", [1]), input("b", [1])) }));
  const [one, two] = [await backend.upload(f32([1])), await backend.upload(f32([2]))];
  const sum = async (a: Feed, b: Feed): Promise<number> => ((await executable.run({ a, b })).y as { data: Float32Array }).data[0];
  const sums = [
    await sum(one, two),
    await sum(one, two),
    await sum(two, two),
    await sum(f32([10]), two),
    await sum(two, f32([20])),
    await sum(one, one),
  ];
  expect(sums).toEqual([3, 3, 4, 12, 22, 2]);
  await backend.release(one);
  await expect(sum(one, one)).rejects.toMatchObject({
    code: "invalid-argument",
    message: expect.stringMatching(/after its release/) as string,
  });
  expect(await sum(two, two)).toBe(4);
  await backend.dispose();
});
