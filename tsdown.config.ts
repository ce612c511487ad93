import { defineConfig } from "tsdown";

const floors = ["util", "graph", "onnx", "runtime", "formats", "nn", "models", "lora", "data", "train", "generate", "interchange", "evaluate", "library"];

export default defineConfig({
  entry: ["src/index.ts", ...floors.map((floor) => `src/${floor}/index.ts`), "src/runtime/ort-worker.ts", "src/cli/main.ts"],
  format: "esm",
  target: "es2023",
  platform: "node",
  dts: true,
  fixedExtension: false,
});
