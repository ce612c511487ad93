/**
 * @file How long `lowrank train` takes until its first step begins, on a bfloat16 checkpoint of 1.2 GB (Qwen3-0.6B's shapes, random weights): once, and after that.
 * The first start converts the weights into the cache; the others map what is there. The step itself is not counted: the clock stops when its program is ready.
 * Run: npm run build && npx tsx bench/second-start.ts [starts] [base precision]
 */
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { loadavg, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { benchShapes, randomCheckpoint } from "../src/evaluate/bench/index.ts";
import { copyCompanions } from "../src/formats/index.ts";

const root = resolve(import.meta.dirname, "..");
const [starts, precision] = [Number(process.argv[2] ?? 4), process.argv[3] ?? "fp32"];
const scratch = mkdtempSync(join(tmpdir(), "lowrank-start-"));
const shape = "qwen3-0.6b";
const model = await randomCheckpoint(shape, benchShapes[shape], 0, "bf16");
await copyCompanions(join(root, "assets/tiny"), model); // a tokenizer, whose ids the vocabulary has
const data = join(scratch, "data.jsonl");
writeFileSync(data, `${JSON.stringify({ text: "Once upon a time there was a fox." })}\n`);

/** Milliseconds from the start of the process until its log says so. */
const until = (words: readonly string[], log: string, said: RegExp): Promise<number> =>
  new Promise((done, fail) => {
    const began = performance.now();
    const child = spawn(process.execPath, words, { stdio: ["ignore", "ignore", "inherit"] });
    const look = setInterval(() => {
      if (!existsSync(log) || !said.test(readFileSync(log, "utf8"))) return;
      clearInterval(look);
      done(performance.now() - began);
      child.kill("SIGKILL");
    }, 5);
    child.on("exit", (code) => {
      if (code === null) return;
      clearInterval(look);
      fail(new Error(`The command ended with ${code} before its first step.`));
    });
  });

for (let start = 1; start <= starts; start++) {
  const output = join(scratch, String(start));
  const words = ["train", "--model", model, "--data", data, "--output", output, "--max-steps", "1", "--base-precision", precision];
  const ms = await until([join(root, "dist/cli/main.js"), ...words], join(output, "log.jsonl"), /"compile-end"/);
  console.log(`start ${start}: first step begins after ${(ms / 1000).toFixed(2)} s (load ${loadavg()[0].toFixed(1)})`);
}
rmSync(scratch, { recursive: true });
