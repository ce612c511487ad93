import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { startFakeHub, type FakeHub } from "../../../test/fake-hub.ts";
import { hasShared, sharedPath } from "../../../test/shared.ts";
import { lowrank, oneLine } from "./command.fixture.ts";

const filesOf = (folder: string, names: readonly string[]): Record<string, Uint8Array> =>
  Object.fromEntries(names.map((name) => [name, readFileSync(join(folder, name))]));

describe.skipIf(!hasShared)("models and adapters by name", () => {
  let folder: string;
  let hub: FakeHub;
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "lowrank-open-"));
    const golden = sharedPath("goldens", "llama.regex");
    const commit = "c".repeat(40);
    hub = await startFakeHub({
      "org/tiny": { commit, files: filesOf(join(golden, "model"), ["config.json", "model.safetensors"]) },
      "org/tuned": { commit, files: filesOf(join(golden, "adapter"), ["adapter_config.json", "adapter_model.safetensors"]) },
    });
  });
  beforeEach(() => {
    for (const name of ["HF_TOKEN", "HF_HUB_OFFLINE", "HF_HUB_CACHE"]) vi.stubEnv(name, "");
    vi.stubEnv("HF_HOME", join(folder, "home"));
    vi.stubEnv("HF_ENDPOINT", hub.endpoint);
  });
  afterEach(() => vi.unstubAllEnvs());
  afterAll(async () => {
    await hub.close();
    rmSync(folder, { recursive: true });
  });

  it("downloads both once, and says so", async () => {
    const output = join(folder, "merged");
    const words = ["merge", "--model", "org/tiny", "--adapter", "org/tuned:0.5", "--output", output];
    const first = await lowrank(words);
    expect(first.stderr).toContain("model.safetensors");
    expect(first.stderr).toContain("adapter_model.safetensors");
    expect([first.stdout.split(":")[0], first.code]).toEqual([`Merged model in ${output}`, 0]);
    vi.stubEnv("HF_HUB_OFFLINE", "1");
    expect((await lowrank([...words, "--force"])).stderr).toBe("");
  });

  it("names the model and the cache when the network is switched off", async () => {
    vi.stubEnv("HF_HUB_OFFLINE", "1");
    const { stderr, code } = await lowrank(["inspect", "org/unknown"]);
    expect(oneLine(stderr)).toContain(`error: org/unknown: Revision main is not complete in the cache ${join(folder, "home", "hub")}.`);
    expect(oneLine(stderr)).toContain("Unset HF_HUB_OFFLINE to download it");
    expect(code).toBe(1);
  });

  it("takes a name beside a folder for a mistyped path", async () => {
    vi.stubEnv("HF_HUB_OFFLINE", "1");
    const { stderr } = await lowrank(["inspect", "src/absent"]);
    expect(oneLine(stderr)).toBe(
      "error: src/absent: There is no such folder, and the hub is out of reach to look for a model of this name. Check the path.",
    );
  });

  it("says that a file is no folder", async () => {
    const { stderr } = await lowrank(["inspect", "package.json"]);
    expect(oneLine(stderr)).toBe("error: package.json: This is a file where a folder is expected. Name the folder it is in.");
  });

  it("says that the hub has no such model", async () => {
    const { stderr, code } = await lowrank(["inspect", "src/absent"]);
    expect(oneLine(stderr)).toContain("The hub has no such model (404). Check the spelling of the model and of its revision.");
    expect(code).toBe(1);
  });
});
