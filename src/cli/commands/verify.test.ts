import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { hasShared, sharedPath } from "../../../test/shared.ts";
import { readPeftAdapter, writePeftAdapter } from "../../formats/index.ts";
import { copyFolder, lowrank, lowrankJson, oneLine } from "./command.fixture.ts";

const cases = ["all-linear", "rslora", "patterns", "layers", "regex", "save-norm"].map((name) => `llama.${name}`);
const golden = (name: string): string => sharedPath("goldens", name);

interface Report {
  readonly passed: boolean;
  readonly cases: readonly {
    readonly directory: string;
    readonly passed: boolean;
    readonly logits: { readonly base: number; readonly adapter: number; readonly merged: number };
    readonly worstGradient: { readonly name: string; readonly difference: number };
    readonly worstLoss: { readonly step: number; readonly difference: number };
    readonly gradients: Readonly<Record<string, number>>;
    readonly losses: readonly number[];
    readonly error?: { readonly code: string };
  }[];
}

describe.skipIf(!hasShared)("lowrank verify", () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "lowrank-verify-"));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  const copy = (name: string): string => {
    const to = join(folder, name);
    copyFolder(golden("llama.all-linear"), to);
    return to;
  };

  it("passes every reference, a hundred times closer than it must", async () => {
    const report = (await lowrankJson(["verify", ...[...cases, "llama3.qv"].map(golden)])) as unknown as Report;
    expect(report.passed).toBe(true);
    expect(report.cases.map(({ passed }) => passed)).toEqual(Array.from({ length: 7 }, () => true));
    for (const { logits, worstGradient, worstLoss, gradients, losses } of report.cases) {
      for (const difference of Object.values(logits)) expect(difference).toBeLessThan(2e-6);
      expect(worstGradient.difference).toBe(Math.max(...Object.values(gradients)));
      expect(worstGradient.difference).toBe(gradients[worstGradient.name]);
      expect(worstGradient.difference).toBeLessThan(1e-5);
      expect(losses).toHaveLength(10);
      expect(worstLoss.difference).toBe(losses[worstLoss.step - 1]);
      expect(worstLoss.difference).toBe(Math.max(...losses));
      expect(worstLoss.difference).toBeLessThan(1e-5);
    }
  });

  it("shows a table, with the gradients' names where there is room", async () => {
    const wide = await lowrank(["verify", golden("llama.regex")], { columns: 120 });
    const narrow = await lowrank(["verify", golden("llama.regex")], { columns: 80 });
    expect(wide.code).toBe(0);
    expect(wide.stdout).toMatch(/^llama\.regex( +\d\.\de-\d){5} {2}pass {2}model\.layers\.\d\.self_attn\.[qkvo]_proj\.lora_[AB]$/m);
    expect(narrow.stdout).toMatch(/^llama\.regex( +\d\.\de-\d){5} {2}pass$/m);
    expect(narrow.stdout).toMatch(/^at most( +2\.0e-4){3}( +1\.0e-3){2}$/m);
  });

  it("says which references have rounded frequencies", async () => {
    const { stdout, code } = await lowrank(["verify", golden("llama-bf16.qv"), golden("llama.regex")], { columns: 200 });
    expect(code).toBe(0);
    expect(oneLine(stdout)).toMatch(/with rotary frequencies and embedding factors in bf16, but for merged: llama-bf16\.qv\./);
  });

  it.each([
    ["--tolerance", "1e-9"],
    ["--gradient-tolerance", "1e-9"],
    ["--loss-tolerance", "1e-9"],
  ])("fails above %s", async (flag, limit) => {
    const { stdout, code } = await lowrank(["verify", golden("llama.regex"), flag, limit]);
    expect(code).toBe(1);
    expect(stdout).toMatch(/^llama\.regex.* fail /m);
  });

  const withTampered = async (name: string, tamper: (value: number) => number): Promise<string> => {
    const tampered = copy(name);
    const adapter = await readPeftAdapter(join(tampered, "adapter"));
    const key = "model.layers.1.mlp.up_proj.lora_B";
    const tensor = adapter.tensors.get(key)!;
    const tensors = new Map(adapter.tensors).set(key, { ...tensor, data: (tensor.data as Float32Array).map(tamper) });
    await writePeftAdapter(join(tampered, "adapter"), { ...adapter, tensors });
    return tampered;
  };

  it("fails for an adapter that is off by a hundredth", async () => {
    const { stdout, code } = await lowrank(["verify", await withTampered("off", (value) => value * 1.01), "--json"]);
    const report = JSON.parse(stdout) as Report;
    expect([report.passed, code]).toEqual([false, 1]);
    expect(report.cases[0].logits.base).toBeLessThan(2e-6);
    expect(report.cases[0].logits.adapter).toBeGreaterThanOrEqual(2e-4);
  });

  it("refuses an adapter with values that are no numbers", async () => {
    const { stdout, code } = await lowrank(["verify", await withTampered("no-number", () => NaN), "--json"]);
    const report = JSON.parse(stdout) as Report;
    expect([report.passed, code]).toEqual([false, 1]);
    expect(report.cases[0].error?.code).toBe("invalid-file");
  });

  it("says what cannot be read, and goes on with the others", async () => {
    const damaged = copy("damaged");
    const path = join(damaged, "model", "model.safetensors");
    rmSync(path);
    writeFileSync(path, readFileSync(join(golden("llama.all-linear"), "model", "model.safetensors")).subarray(0, 100_000));
    const absent = join(folder, "absent");
    const { stdout, stderr, code } = await lowrank(["verify", damaged, absent, golden("llama.regex")], { columns: 200 });
    expect(code).toBe(1);
    expect(stdout).toMatch(/^damaged +error$/m);
    expect(stdout).toMatch(/^absent +error$/m);
    expect(stdout).toMatch(/^llama\.regex .* pass/m);
    expect(stderr.match(/^error: /gm)).toHaveLength(2);
    expect(oneLine(stderr)).toContain(`${join(absent, "golden.safetensors")}: There is no such file.`);
    expect(stderr).toContain(path);
  });
});
