/** @file Models on WebGPU, held against recorded references. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, expect, it, vi } from "vitest";
import { ortBackend } from "../runtime/index.ts";
import { verifyGolden } from "./verify.ts";

const cache = mkdtempSync(join(tmpdir(), "lowrank-cache-"));
vi.stubEnv("LOWRANK_CACHE", cache);
const backend = ortBackend({ device: "webgpu", threads: 1 });
afterAll(async () => {
  await backend.dispose();
  rmSync(cache, { recursive: true });
  vi.unstubAllEnvs();
});

it.each(["llama.all-linear", "t5.all-linear", "mixtral.experts"])(
  "%s: logits, gradients and ten steps are the recorded ones",
  async (name) => {
    const { logits, gradients, losses, norms } = await verifyGolden(backend, resolve(import.meta.dirname, "../../test/golden", name));
    expect(Math.max(...Object.values(logits))).toBeLessThan(1e-5);
    expect(Math.max(...Object.values(gradients))).toBeLessThan(1e-5);
    expect(losses).toHaveLength(10);
    expect(Math.max(...losses, ...norms)).toBeLessThan(1e-5);
  },
);
