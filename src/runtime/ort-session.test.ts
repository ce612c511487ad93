import { closeSync, ftruncateSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { listSupportedBackends } from "onnxruntime-node";
import { afterAll, expect, it } from "vitest";
import { add, exp, input, matmul, program, scalar, tanh, weight, type Graph } from "../graph/index.ts";
import { emitOnnx } from "../onnx/index.ts";
import { f32, type HostTensor } from "../util/index.ts";
import type { Feed } from "./index.ts";
import type { Device } from "./device.ts";
import { createEngine } from "./ort-session.ts";

const folder = mkdtempSync(join(tmpdir(), "lowrank-"));
afterAll(() => rmSync(folder, { recursive: true }));

const runOnce = async (
  graph: Graph,
  feeds: Record<string, Feed>,
  { threads = 1, device = "cpu" }: { threads?: number; device?: Device } = {},
): Promise<Record<string, HostTensor>> => {
  const engine = createEngine({ device, threads });
  const session = await engine.compile(emitOnnx(graph, device));
  const { hosts } = await engine.run(session, feeds, {});
  await engine.closeSession(session);
  return hosts;
};

it("gives the same on one thread and on two", async () => {
  const graph = program({ y: tanh(matmul(input("x", [64, 64]), input("w", [64, 64]))) });
  const x = f32(
    Float32Array.from({ length: 4096 }, (_, index) => Math.sin(index)),
    [64, 64],
  );
  expect(await runOnce(graph, { x, w: x }, { threads: 1 })).toEqual(await runOnce(graph, { x, w: x }, { threads: 2 }));
});

it("refuses a dtype that the binding does not take", async () => {
  const fed = runOnce(program({ y: input("x", [1], "u32") }), { x: { dtype: "u32", shape: [1], data: new Uint32Array(1) } });
  await expect(fed).rejects.toMatchObject({ name: "LowrankError", code: "unsupported", message: expect.stringMatching(/u32/) as string });
});

const hasCuda = listSupportedBackends().some(({ name, bundled }) => name === "cuda" && bundled);
it.skipIf(hasCuda)("refuses a device whose libraries are missing, instead of computing elsewhere", async () => {
  const run = runOnce(program({ y: scalar(1) }), {}, { device: "cuda" });
  await expect(run).rejects.toMatchObject({
    name: "LowrankError",
    code: "backend-failed",
    message: expect.stringMatching(/cuda/i) as string,
  });
});

it.skipIf(process.platform !== "linux")("maps a weight instead of copying it", async () => {
  const path = join(folder, "large.bin");
  const megabytes = 128;
  const file = openSync(path, "w");
  ftruncateSync(file, 8 + (megabytes << 20));
  closeSync(file);
  const privateMegabytes = (): number => Number(/RssAnon:\s+(\d+) kB/.exec(readFileSync("/proc/self/status", "utf8"))![1]) / 1024;

  await runOnce(program({ y: exp(input("x", [1])) }), { x: f32([0]) });
  const before = privateMegabytes();
  const w = weight("w", { path, offset: 8, bytes: megabytes << 20, dtype: "f32", shape: [megabytes << 8, 1024] });
  const graph = program({ y: add(matmul(input("x", [1, 1024]), w, { transposeB: true }), scalar(1)) });
  const engine = createEngine({ device: "cpu", threads: 1 });
  const session = await engine.compile(emitOnnx(graph));
  const { hosts } = await engine.run(session, { x: f32(new Float32Array(1024), [1, 1024]) }, {});
  expect(hosts.y.data.every((value) => value === 1)).toBe(true);
  expect(privateMegabytes() - before).toBeLessThan(megabytes / 4);
  await engine.closeSession(session);
});
