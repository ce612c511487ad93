import { closeSync, ftruncateSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { add, gather, input, program, scalar, weight } from "../graph/index.ts";
import { emitOnnx } from "../onnx/index.ts";
import { f32, i32 } from "../util/index.ts";
import { createEngine } from "./ort-session.ts";

const folder = mkdtempSync(join(tmpdir(), "lowrank-"));
afterAll(() => rmSync(folder, { recursive: true }));

const megabytes = 64;
const path = join(folder, "large.bin");
const file = openSync(path, "w");
ftruncateSync(file, megabytes << 20);
closeSync(file);
const w = weight("w", { path, offset: 0, bytes: megabytes << 20, dtype: "f32", shape: [megabytes << 8, 1024] });

// The memory of a software device is the process's own.
const privateMegabytes = (): number => {
  globalThis.gc?.();
  return Number(/RssAnon:\s+(\d+) kB/.exec(readFileSync("/proc/self/status", "utf8"))![1]) / 1024;
};

it.skipIf(process.platform !== "linux")(
  "a weight that several programs read is on the device once, until the last of them is gone",
  async () => {
    const engine = createEngine({ device: "webgpu", threads: 1 });
    const compile = (k: number): Promise<number> =>
      engine.compile(emitOnnx(program({ y: add(gather(w, input("at", [1], "i32")), scalar(k)) }), "webgpu"));
    const valueOf = async (session: number): Promise<unknown> => (await engine.run(session, { at: i32([7]) }, {})).hosts["y"];

    const first = await compile(1);
    await valueOf(first);
    const before = privateMegabytes();
    const others = [await compile(2), await compile(3), await compile(4), await compile(5)];
    for (const [index, session] of others.entries())
      expect(await valueOf(session)).toEqual(f32(new Float32Array(1024).fill(index + 2), [1, 1024]));
    expect(privateMegabytes() - before).toBeLessThan(megabytes);

    for (const session of [first, ...others.slice(1)]) await engine.closeSession(session);
    expect(await valueOf(others[0])).toEqual(f32(new Float32Array(1024).fill(2), [1, 1024]));
    await engine.closeSession(others[0]);
    await engine.dispose();
  },
);
