import { defineConfig } from "vitest/config";

// Programs on WebGPU need a driver, so their tests are run apart: `vitest run --mode webgpu`, one file at a time because they share the device.
const onWebgpu = "{src,test}/**/*.webgpu.test.ts";

export default defineConfig(({ mode }) => ({
  test: {
    include: mode === "webgpu" ? [onWebgpu] : ["src/**/*.test.ts", "test/**/*.test.ts"],
    exclude: mode === "webgpu" ? [] : [onWebgpu],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    maxWorkers: mode === "webgpu" ? 1 : 2,
    coverage: { include: ["src/**/*.ts"], exclude: ["src/**/*.test.ts", "src/**/*_pb.ts"] },
  },
}));
