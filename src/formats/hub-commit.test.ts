import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, describe, expect, it, vi } from "vitest";
import { startFakeHub, type FakeHub } from "../../test/fake-hub.ts";
import { random } from "../util/index.ts";
import { commitFiles } from "./hub-commit.ts";
import type { CommitSource } from "./hub-exchange.ts";
import { connectHub } from "./hub.ts";

const folder = mkdtempSync(join(tmpdir(), "lowrank-commit-"));
afterAll(() => rmSync(folder, { recursive: true }));
const draw = random(5);
const weights = Uint8Array.from({ length: 300_000 }, () => draw.integer(256));
const weightsPath = join(folder, "adapter_model.safetensors");
writeFileSync(weightsPath, weights);
const sources: CommitSource[] = [
  { name: "README.md", from: Buffer.from("# A card\n") },
  { name: "adapter_config.json", from: Buffer.from("{}") },
  { name: "adapter_model.safetensors", from: weightsPath },
];

let hub: FakeHub;
afterEach(() => hub.close());

const commit = async (
  files = sources,
  { token = "hf_mine", ...options }: { token?: string; isPrivate?: boolean; onProgress?: () => void } = {},
) => {
  vi.stubEnv("HF_HOME", folder);
  const client = await connectHub({ endpoint: hub.endpoint, token, retry: { sleep: () => Promise.resolve(), attempts: 3 } });
  vi.unstubAllEnvs();
  return commitFiles(client, "org/tales", files, { summary: "Add an adapter", ...options });
};

const written = (): string[] => hub.seen.filter(({ method }) => method !== "GET").map(({ method, path }) => `${method} ${path}`);

describe.each([
  ["whole", undefined],
  ["in parts", 70_000],
])("commitFiles, with large files %s", (_, partBytes) => {
  it("makes the model, sends each file as it must be sent, and says how far it is", async () => {
    hub = await startFakeHub({}, "hf_mine", partBytes === undefined ? {} : { partBytes });
    const sent: number[] = [];
    const result = await commit(sources, { onProgress: ({ sent: bytes }: { sent: number }) => sent.push(bytes) } as never);
    const { files, commit: now, isPrivate } = hub.models["org/tales"];
    expect(result).toEqual({ commit: now, moved: weights.length });
    expect(isPrivate).toBe(false);
    expect(Buffer.from(files["adapter_model.safetensors"]).equals(weights)).toBe(true);
    expect(String(files["README.md"])).toBe("# A card\n");
    expect(sent.at(-1)).toBe(weights.length);
    // The storage is elsewhere: it gets no token.
    expect(hub.seen.filter(({ server }) => server === "storage").every(({ authorization }) => authorization === undefined)).toBe(true);
    expect(hub.seen.filter(({ server }) => server === "hub").every(({ authorization }) => authorization === "Bearer hf_mine")).toBe(true);
  });

  it("sends nothing twice: no commit where all is there, and no large file that the storage has", async () => {
    hub = await startFakeHub({}, undefined, partBytes === undefined ? {} : { partBytes });
    const first = await commit();
    hub.seen.length = 0;
    expect(await commit()).toEqual({ commit: first.commit, moved: 0 });
    expect(written()).toEqual(["POST /api/models/org/tales/preupload/main"]);
    hub.seen.length = 0;
    const changed = await commit([{ name: "README.md", from: Buffer.from("# Another\n") }, ...sources.slice(1)]);
    expect(changed.moved).toBe(0);
    expect(written()).toEqual(["POST /api/models/org/tales/preupload/main", "POST /api/models/org/tales/commit/main"]);
    hub.seen.length = 0;
    expect(await commit([{ name: "copy.safetensors", from: weightsPath }])).toMatchObject({ moved: 0 });
    expect(hub.seen.filter(({ method }) => method === "PUT")).toEqual([]);
  });

  it("tries again what failed in passing", async () => {
    hub = await startFakeHub({}, undefined, partBytes === undefined ? {} : { partBytes });
    hub.fail("/preupload/main", { status: 503 });
    hub.fail("/objects/batch", { status: 500 });
    hub.fail(partBytes === undefined ? "" : ".2", { status: 503 });
    hub.fail("/commit/main", { status: 502 }, { status: 503 });
    await commit();
    expect(Buffer.from(hub.models["org/tales"].files["adapter_model.safetensors"]).equals(weights)).toBe(true);
  });
});

describe("commitFiles", () => {
  it("makes a private model where that is asked for", async () => {
    hub = await startFakeHub({});
    await commit(sources, { isPrivate: true });
    expect(hub.models["org/tales"].isPrivate).toBe(true);
  });

  it.each<[what: string, prepare: () => void, token: string, telling: RegExp]>([
    ["a token that may not write", () => undefined, "hf_wrong", /may not write there \(401\)\. Check that HF_TOKEN may write/],
    ["a branch that is protected", () => hub.fail("/commit/main", { status: 403 }), "hf_mine", /may not write there \(403\)/],
    [
      "a hub that stays down",
      () => hub.fail("/preupload/main", { status: 503 }, { status: 503 }, { status: 503 }),
      "hf_mine",
      /answered 503/,
    ],
  ])("with %s fails, tells no secret, and leaves the model as it was", async (_, prepare, token, telling) => {
    hub = await startFakeHub({ "org/tales": { commit: "a".repeat(40), files: { "README.md": Buffer.from("old") } } }, "hf_mine");
    prepare();
    const error: unknown = await commit(sources, { token }).catch((thrown: unknown) => thrown);
    expect(String(error)).toMatch(telling);
    expect(String(error)).not.toMatch(/hf_|signature/);
    expect(String(hub.models["org/tales"].files["README.md"])).toBe("old");
  });

  it("refuses names that lead out of the model", async () => {
    hub = await startFakeHub({});
    for (const name of ["../x", "/x", "a//b", "C:x", "a\0b"])
      await expect(commit([{ name, from: Buffer.from("x") }])).rejects.toMatchObject({ code: "invalid-file" });
    expect(hub.seen).toEqual([]);
  });
});
