/** @file Starts the runtime's worker thread, from the built package or from its TypeScript source. It knows nothing about what the thread does. */
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { Worker } from "node:worker_threads";

/** Starts `<name>.js` of the built package, or `<name>.ts` beside its source through the development loader. */
export const startWorker = (name: string): Worker => {
  // A build may put this code into any chunk; the package's own exports say where the folder is.
  if (!import.meta.url.endsWith(".ts")) return new Worker(new URL(`./${name}.js`, import.meta.resolve("lowrank/runtime")));
  const loader = pathToFileURL(
    createRequire(import.meta.url)
      .resolve("tsx/esm/api")
      .replace(/cjs$/, "mjs"),
  ).href;
  const entry = new URL(`./${name}.ts`, import.meta.url).href;
  // A thread does not inherit the loader that its parent was started with.
  const source = `import(${JSON.stringify(loader)}).then(({ register }) => { register(); return import(${JSON.stringify(entry)}); });`;
  return new Worker(source, { eval: true });
};
