import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { packedByHand } from "../../../test/bitsandbytes.ts";
import { hasShared, sharedPath } from "../../../test/shared.ts";
import { openCheckpoint, readPeftAdapter, tensorSources, writeCheckpoint, writePeftAdapter } from "../../formats/index.ts";
import { precisions } from "../../nn/index.ts";
import { f32 } from "../../util/index.ts";
import { copyFolder, lowrank, lowrankJson, oneLine } from "./command.fixture.ts";

const golden = (...parts: string[]): string => sharedPath("goldens", ...parts);

describe.skipIf(!hasShared)("lowrank inspect", () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "lowrank-inspect-"));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  it("shows a checkpoint by kinds of tensors", async () => {
    const { stdout } = await lowrank(["inspect", sharedPath("models", "stories260k")], { columns: 120 });
    const lines = stdout.split("\n");
    expect(lines[1]).toBe(
      "family llama, layers 5, hidden 64, feed-forward 172, heads 8, key/value heads 4, vocabulary 512, positions 512, tied head yes",
    );
    expect(lines[2]).toBe("260 k parameters (260,032), 1.04 MB in 1 file");
    expect(lines).toContain("model.embed_tokens.weight                            f32    512 × 64      32,768   131 kB");
    expect(lines).toContain("model.layers.*.mlp.down_proj.weight             5 ×  f32    64 × 172      55,040   220 kB");
    expect(lines).toContain("f32: 47 tensors, 260,032 parameters, 1.04 MB");
  });

  it("lists every tensor for --tensors, layer 2 before layer 10", async () => {
    const { stdout } = await lowrank(["inspect", sharedPath("models", "stories260k"), "--tensors"]);
    expect(stdout.split("\n").filter((line) => / f32 /.test(line))).toHaveLength(47);
    expect(stdout).toMatch(/^model\.layers\.4\.self_attn\.v_proj\.weight +f32 +32 × 64 +2,048 +8\.19 kB$/m);
  });

  it("gives a checkpoint as one object", async () => {
    const report = await lowrankJson(["inspect", golden("llama-bf16.qv", "model")]);
    expect(report).toMatchObject({
      kind: "checkpoint",
      config: { family: "llama", layers: 2, tiedHead: true },
      parameters: 80_640,
      dtypes: [{ dtype: "bf16", tensors: 20, parameters: 80_640, bytes: 161_280 }],
    });
    expect(report["tensors"]).toHaveLength(20);
  });

  it("says which tensors bitsandbytes has packed", async () => {
    const model = join(folder, "packed");
    const { config } = await openCheckpoint(sharedPath("models", "stories260k"));
    const { tensors } = packedByHand("model.norm.weight", f32(new Float32Array(64).fill(1)), "bfloat16", false);
    await writeCheckpoint(model, { config, tensors: tensorSources(tensors) });
    expect(await lowrankJson(["inspect", model])).toMatchObject({
      parameters: 64,
      dtypes: [{ dtype: "4-bit", tensors: 1, bytes: 32 }],
      tensors: [{ name: "model.norm.weight", dtype: "4-bit", shape: [64] }],
    });
  });

  it("shows an adapter with the norms of its updates", async () => {
    const { stdout } = await lowrank(["inspect", golden("llama.patterns", "adapter")]);
    expect(stdout).toContain(
      "r 4, α 8, dropout 0, targets down_proj, v_proj, q_proj\nbase tiny-random/llama\n3,040 parameters in 6 modules, 14.9 kB\n",
    );
    expect(stdout).toMatch(/^model\.layers\.\*\.mlp\.down_proj +2 × +4–6 +1\.33–2 +1\.29 +1\.72 +1\.48–1\.72$/m);
    expect(stdout).toContain("No B is zero.");
  });

  it("shows an adapter of experts with their parameters, and measures no product of factors that are stacked", async () => {
    const directory = join(import.meta.dirname, "../../../test/golden/mixtral.experts/adapter");
    const { stdout } = await lowrank(["inspect", directory], { columns: 100 });
    expect(stdout).toMatch(/targets q_proj, .*gate_up_proj/);
    expect(stdout).toMatch(/^model\.layers\.\*\.mlp\.experts +2 × +6 +2 +\d\.\d+ +\d\.\d+ *$/m);
    expect(stdout).toMatch(/^model\.layers\.\*\.mlp\.gate +2 × +2 +2 +\d\.\d+ +\d\.\d+ +[\d.–]+ *$/m);
  });

  it("measures ‖ΔW‖ as the full product would give it", async () => {
    const directory = golden("llama.rslora", "adapter");
    const { modules } = (await lowrankJson(["inspect", directory])) as { modules: { module: string; scaling: number; update: number }[] };
    const { tensors } = await readPeftAdapter(directory);
    expect(modules).toHaveLength(14);
    for (const { module, scaling, update } of modules) {
      const [A, B] = [tensors.get(`${module}.lora_A`)!, tensors.get(`${module}.lora_B`)!];
      const [rows, rank] = A.shape;
      const columns = B.shape[1];
      let sum = 0;
      for (let row = 0; row < rows; row++)
        for (let column = 0; column < columns; column++) {
          let product = 0;
          for (let k = 0; k < rank; k++) product += Number(A.data[row * rank + k]) * Number(B.data[k * columns + column]);
          sum += product ** 2;
        }
      expect(scaling).toBe(4); // α/√r = 8/√4
      expect(update).toBeCloseTo(scaling * Math.sqrt(sum), 9);
    }
  });

  it("says which tensors were trained whole", async () => {
    const { stdout } = await lowrank(["inspect", golden("llama.save-norm", "adapter")]);
    expect(stdout).toContain("trained whole: lm_head.weight [199, 64], norm 6.818\n");
  });

  it("counts Bs that are zero, and shows what the file records of its base", async () => {
    const directory = join(folder, "half-trained");
    const adapter = await readPeftAdapter(golden("llama.regex", "adapter"));
    const zeroed = [...adapter.tensors].map(([name, tensor], index) =>
      name.endsWith("lora_B") && index < 4
        ? ([name, { ...tensor, data: new Float32Array(tensor.data.length) }] as const)
        : ([name, tensor] as const),
    );
    const zeros = zeroed.filter(([name, { data }]) => name.endsWith("lora_B") && data.every((value) => value === 0)).length;
    const modules = zeroed.filter(([name]) => name.endsWith("lora_B")).length;
    await writePeftAdapter(directory, { ...adapter, tensors: new Map(zeroed), metadata: { "lowrank.base": "sha256:abc" } });
    const { stdout } = await lowrank(["inspect", directory, "--tensors"]);
    expect(zeros).toBe(2);
    expect(stdout).toContain(`2 of ${modules} Bs are zero (${(200 / modules).toFixed(0)} %): these modules change nothing.`);
    expect(stdout).toContain("base tiny-random/llama; lowrank.base sha256:abc\n");
    expect((await lowrankJson(["inspect", directory]))["zeroShare"]).toBe(2 / modules);
  });

  it.each<[string, (copy: string) => void, string]>([
    [
      "a checkpoint that is cut short",
      (copy) => {
        const path = join(copy, "model", "model.safetensors");
        writeFileSync(path, readFileSync(path).subarray(0, 1000));
      },
      "model.safetensors",
    ],
    [
      "a configuration that is no JSON",
      (copy) => writeFileSync(join(copy, "model", "config.json"), "{"),
      "config.json: The file is not valid JSON",
    ],
    ["a folder without weights", (copy) => rmSync(join(copy, "model", "model.safetensors")), "There is neither model.safetensors nor"],
  ])("says what is wrong with %s", async (name, damage, message) => {
    const copy = join(folder, name.replaceAll(" ", "-"));
    copyFolder(golden("llama.regex"), copy);
    damage(copy);
    const { stdout, stderr, code } = await lowrank(["inspect", join(copy, "model")]);
    expect(oneLine(stderr)).toContain(message);
    expect([stdout, code]).toEqual(["", 1]);
  });

  it("says what is wrong with an adapter whose factors do not fit together", async () => {
    const directory = join(folder, "misfit");
    const adapter = await readPeftAdapter(golden("llama.regex", "adapter"));
    const tensors = new Map(adapter.tensors);
    const name = [...tensors.keys()].find((key) => key.endsWith("lora_B"))!;
    tensors.delete(name);
    await writePeftAdapter(directory, { ...adapter, tensors });
    const { stderr, code } = await lowrank(["inspect", directory]);
    expect(oneLine(stderr)).toContain(`${directory}: ${name.replace(".lora_B", "")} has an A of [64, 4] and no B. Copy the adapter again.`);
    expect(code).toBe(1);
  });

  it("says that there is no such folder", async () => {
    const { stderr, code } = await lowrank(["inspect", join(folder, "absent")]);
    expect(oneLine(stderr)).toContain("absent: There is no such folder");
    expect(code).toBe(1);
  });
});

describe("lowrank inspect --precision", () => {
  const measure = ["inspect", "--precision", join(import.meta.dirname, "../../../assets/tiny")];
  const data = ["--data", join(import.meta.dirname, "../../../assets/data/orders/train.jsonl"), "--batches", "1", "--threads", "1"];

  const names = ["fp32", ...Object.keys(precisions)];

  it("measures every precision on the user's data and recommends one", async () => {
    const report = await lowrankJson([...measure, ...data]);
    expect(report["kind"]).toBe("precision");
    const measured = report["precisions"] as { precision: string; gradientCosine: number }[];
    expect(measured.map(({ precision }) => precision)).toEqual(names);
    for (const { gradientCosine } of measured) expect(gradientCosine).toBeGreaterThan(0.9);
    expect(names).toContain(report["recommended"]);
  });

  it("says a line for each where nobody watches, and a table where somebody does", async () => {
    const { stdout } = await lowrank([...measure, ...data]);
    expect(stdout).toMatch(
      /^int8 +logits, rms [\d.]+ +largest [\d.]+ +same top \d+ % +loss [\d.]+ +drift [+−][\d.]+ +gradient 0\.9\d+ +step .* +weights .* +forward alone .*$/m,
    );
    expect(stdout).toMatch(/^Recommended: --base-precision \w+; /m);
    const { stdout: drawn } = await lowrank([...measure, ...data], { columns: 120 });
    expect(drawn).toMatch(/base +logits, rms +largest +same top +loss +drift +gradient +step +weights +forward alone\n/);
  });

  it("asks for data", async () => {
    expect(oneLine((await lowrank(measure)).stderr)).toContain(
      "There is nothing to measure precisions on. Name some of your data with --data.",
    );
  });
});
