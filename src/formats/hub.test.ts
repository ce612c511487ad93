import { spawn } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, readlink, rm, stat, writeFile } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { startFakeHub, tagOf, type FakeHub, type Fault } from "../../test/fake-hub.ts";
import { LowrankError, random } from "../util/index.ts";
import type { HubProgress } from "./hub-download.ts";
import { resolveModel, type ResolveOptions } from "./hub.ts";

const COMMIT = "a".repeat(40);
const ID = "org/tiny";
const bytes = (length: number, seed: number): Uint8Array => {
  const generator = random(seed);
  return Uint8Array.from({ length }, () => generator.integer(256));
};
const small = { "config.json": Buffer.from('{"model_type":"llama"}'), "tokenizer.json": Buffer.from("{}") };
const weights = bytes(300_000, 1);
const models = {
  [ID]: {
    commit: COMMIT,
    files: {
      ...small,
      "model.safetensors": weights,
      "pytorch_model.bin": bytes(10, 2),
      "onnx/model.safetensors": bytes(10, 3),
      "README.md": bytes(5, 4),
    },
  },
  "org/pickled": { commit: COMMIT, files: { ...small, "pytorch_model.bin": bytes(10, 2) } },
  "org/sharded": {
    commit: COMMIT,
    files: {
      ...small,
      "model.safetensors.index.json": Buffer.from('{"weight_map":{"a":"model-1-of-2.safetensors","b":"model-2-of-2.safetensors"}}'),
      "model-1-of-2.safetensors": bytes(10, 5),
      "model-2-of-2.safetensors": bytes(20, 6),
      "consolidated.safetensors": bytes(30, 7),
    },
  },
  "org/adapter": { commit: COMMIT, files: { "adapter_config.json": Buffer.from("{}"), "adapter_model.safetensors": bytes(50, 8) } },
};
const STORE = `/store/${ID}/model.safetensors`;
const LISTING = `/api/models/${ID}/revision/main`;

let hub: FakeHub;
let cache: string;
let pauses: number[];

beforeEach(async () => {
  hub = await startFakeHub(models);
  cache = await mkdtemp(join(tmpdir(), "lowrank-hub-"));
  pauses = [];
  for (const name of ["HF_TOKEN", "HF_ENDPOINT", "HF_HUB_OFFLINE", "HF_HUB_CACHE"]) vi.stubEnv(name, "");
  vi.stubEnv("HF_HOME", cache);
});

afterEach(async () => {
  vi.unstubAllEnvs();
  await hub.close();
  await rm(cache, { recursive: true });
});

const resolve = (id: string, options: ResolveOptions = {}): Promise<string> =>
  resolveModel(id, {
    endpoint: hub.endpoint,
    cache,
    ...options,
    retry: { random: random(7), sleep: async (pause) => void pauses.push(pause), ...options.retry },
  });

const failure = async (promise: Promise<unknown>): Promise<LowrankError> => {
  const error: unknown = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!LowrankError.is(error)) throw new Error(`Expected a LowrankError, got ${inspect(error)}`);
  return error;
};

const folder = (id = ID): string => join(cache, `models--${id.replace("/", "--")}`);
const blob = (name: string, content: Uint8Array): string => join(folder(), "blobs", tagOf(name, content));
const kept = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );

const isWhole = async (snapshot: string): Promise<boolean> => (await readFile(join(snapshot, "model.safetensors"))).equals(weights);

/** Starts another process that resolves the model, and gives its exit as "0" or the signal's name. */
const startProcess = (): { kill: () => void; ended: Promise<string> } => {
  const program = `import { resolveModel } from ${JSON.stringify(new URL("hub.ts", import.meta.url).href)};
    await resolveModel(${JSON.stringify(ID)}, ${JSON.stringify({ endpoint: hub.endpoint, cache })});`;
  const child = spawn(process.execPath, ["--import", "tsx", "--input-type=module", "-e", program], { stdio: "inherit" });
  const ended = new Promise<string>((done) => child.on("exit", (code, signal) => done(signal ?? String(code))));
  return { kill: () => void child.kill("SIGKILL"), ended };
};

describe("resolveModel", () => {
  it("gives back a local folder", async () => {
    expect(await resolve(cache)).toBe(cache);
    expect(hub.seen).toEqual([]);
  });

  it("downloads what loading needs into the shared layout", async () => {
    const snapshot = await resolve(ID);
    expect(snapshot).toBe(join(folder(), "snapshots", COMMIT));
    expect((await readdir(snapshot)).sort()).toEqual(["config.json", "model.safetensors", "tokenizer.json"]);
    expect(await isWhole(snapshot)).toBe(true);
    expect(await readlink(join(snapshot, "model.safetensors"))).toBe(`../../blobs/${tagOf("model.safetensors", weights)}`);
    expect(await readFile(join(folder(), "refs", "main"), "utf8")).toBe(COMMIT);
    expect((await readdir(join(folder(), "blobs"))).length).toBe(3);
    expect(await readdir(join(cache, ".locks", "models--org--tiny"))).toEqual([]);
  });

  it.each([
    [
      "org/sharded",
      ["config.json", "model-1-of-2.safetensors", "model-2-of-2.safetensors", "model.safetensors.index.json", "tokenizer.json"],
    ],
    ["org/adapter", ["adapter_config.json", "adapter_model.safetensors"]],
  ])("chooses the files of %s, and finds them offline", async (id, names) => {
    const snapshot = await resolve(id);
    expect((await readdir(snapshot)).sort()).toEqual(names);
    expect(await resolve(id, { offline: true })).toBe(snapshot);
  });

  it("downloads exactly the files asked for, in folders of their own where they have one", async () => {
    const snapshot = await resolve(ID, { files: ["onnx/model.safetensors"], revision: "v1" });
    expect(await readdir(snapshot, { recursive: true })).toEqual(["onnx", "onnx/model.safetensors"]);
    expect(await readlink(join(snapshot, "onnx/model.safetensors"))).toMatch(/^\.\.\/\.\.\/\.\.\/blobs\//);
    expect(await readFile(join(folder(), "refs", "v1"), "utf8")).toBe(COMMIT);
    expect(await resolve(ID, { files: ["onnx/model.safetensors"], revision: "v1", offline: true })).toBe(snapshot);
    expect((await failure(resolve(ID, { files: ["absent.json"] }))).message).toMatch(/no file absent\.json/);
  });

  it("asks once for the commit of what is cached, and for nothing more", async () => {
    const snapshot = await resolve(ID);
    hub.seen.length = 0;
    expect(await resolve(ID)).toBe(snapshot);
    expect(hub.seen.map(({ path }) => path)).toEqual([LISTING]);
  });

  it("tells how far it is", async () => {
    const heard: HubProgress[] = [];
    await resolve(ID, { onProgress: (progress) => heard.push(progress) });
    expect(heard[0]).toEqual({ file: "config.json", received: 0, total: 22, filesDone: 0, filesTotal: 3 });
    expect(heard.at(-1)).toEqual({ file: "model.safetensors", received: 300_000, total: 300_000, filesDone: 3, filesTotal: 3 });
    expect(
      heard.every(
        ({ received }, index) => index === 0 || heard[index - 1].file !== heard[index].file || received >= heard[index - 1].received,
      ),
    ).toBe(true);
  });

  it("takes a branch and commit apart from main", async () => {
    expect(await resolve(ID, { revision: COMMIT })).toBe(join(folder(), "snapshots", COMMIT));
    expect(await kept(join(folder(), "refs"))).toBe(false);
    expect(await resolve(ID, { revision: COMMIT, offline: true })).toBe(join(folder(), "snapshots", COMMIT));
  });
});

describe("broken transfers", () => {
  it.each<[string, string, Fault[], number[]]>([
    ["500 twice", LISTING, [{ status: 500 }, { status: 503 }], [323.89, 841.37]],
    ["429 with seconds", STORE, [{ status: 429, headers: { "retry-after": "3" } }], [3000]],
    ["429 with more seconds than we wait", STORE, [{ status: 429, headers: { "retry-after": "9999" } }], [120_000]],
    ["a signature that expired", STORE, [{ status: 403 }], [323.89]],
    ["a connection that breaks at once", STORE, [{ cutAfter: 0 }], [323.89]],
    ["bytes after the wrong first one", STORE, [{ stallAfter: 1000 }, { headers: { "content-range": "bytes 2000-" } }], [323.89, 841.37]],
  ])("tries again after %s", async (_name, path, faults, expected) => {
    hub.fail(path, ...faults);
    const snapshot = await resolve(ID, { retry: { silence: 500 } });
    expect(await isWhole(snapshot)).toBe(true);
    expect(pauses.map((pause) => Math.round(pause * 100) / 100)).toEqual(expected);
  });

  it("waits until the date that the server names", async () => {
    hub.fail(STORE, { status: 503, headers: { "retry-after": new Date(Date.now() + 60_000).toUTCString() } });
    await resolve(ID);
    expect(pauses[0]).toBeGreaterThan(55_000);
    expect(pauses[0]).toBeLessThanOrEqual(60_000);
  });

  it("goes on where a connection fell silent, more often than it would try in vain", async () => {
    hub.fail(STORE, ...Array.from({ length: 4 }, () => ({ stallAfter: 30_000 })));
    const snapshot = await resolve(ID, { retry: { attempts: 2, silence: 500 } });
    expect(await isWhole(snapshot)).toBe(true);
    expect(hub.bytesSent("model.safetensors")).toBe(300_000);
    expect(hub.seen.filter(({ server, range }) => server === "storage" && range !== undefined).map(({ range }) => range)).toEqual(
      Array.from({ length: 4 }, (_, index) => `bytes=${30_000 * (index + 1)}-`),
    );
  });

  it("waits for a slow connection that is never silent for long", async () => {
    hub.fail(STORE, { trickle: 200 });
    expect(await isWhole(await resolve(ID, { retry: { silence: 600 } }))).toBe(true);
    expect(pauses).toEqual([]);
  });

  it("gives up after the last attempt, keeps what has arrived and goes on from it in the next call", async () => {
    hub.fail(STORE, { cutAfter: 100_000 }, { status: 500 }, { status: 500 });
    const error = await failure(resolve(ID, { retry: { attempts: 2 } }));
    expect(error.code).toBe("network-failed");
    expect(error.message).toMatch(
      /^org\/tiny: Revision main is not complete in the cache .* answered 500\. Run again to go on from what has arrived/,
    );
    expect(await kept(join(folder(), "snapshots"))).toBe(false);
    expect(await kept(join(folder(), "refs"))).toBe(false);
    await failure(resolve(ID, { offline: true }));
    expect(hub.bytesSent("model.safetensors")).toBe(100_000);
    const arrived = (await stat(`${blob("model.safetensors", weights)}.incomplete`)).size; // A broken connection loses what was on its way.
    expect(arrived).toBeGreaterThan(0);
    await resolve(ID);
    expect(hub.bytesSent("model.safetensors")).toBe(400_000 - arrived);
    expect(hub.bytesSent("config.json")).toBe(22);
  });

  it("goes on after the process was killed in the middle", async () => {
    hub.fail(STORE, { stallAfter: 200_000 });
    const other = startProcess();
    await hub.stalled();
    const incomplete = `${blob("model.safetensors", weights)}.incomplete`;
    await vi.waitUntil(async () => (await kept(incomplete)) && (await stat(incomplete)).size === 200_000, { timeout: 10_000 });
    other.kill();
    expect(await other.ended).toBe("SIGKILL");
    const snapshot = await resolve(ID);
    expect(await isWhole(snapshot)).toBe(true);
    expect(hub.bytesSent("model.safetensors")).toBe(300_000);
  });

  it("fetches contents with a wrong checksum once more, whole", async () => {
    hub.fail(STORE, { corrupt: true });
    hub.fail("/config.json", { corrupt: true });
    const snapshot = await resolve(ID);
    expect(await isWhole(snapshot)).toBe(true);
    expect(await readFile(join(snapshot, "config.json"), "utf8")).toBe('{"model_type":"llama"}');
    expect(hub.bytesSent("model.safetensors")).toBe(600_000);
  });

  it("refuses contents that are wrong twice, and leaves nothing of them", async () => {
    hub.fail(STORE, { corrupt: true }, { corrupt: true });
    const error = await failure(resolve(ID));
    expect(error.code).toBe("network-failed");
    expect(error.message).toMatch(/^model\.safetensors: .* do not match their checksum [0-9a-f]{64}, twice/);
    expect(await readdir(join(folder(), "blobs"))).toHaveLength(2);
  });

  it("does not trust an incomplete file of wrong bytes or of more than all", async () => {
    for (const length of [1000, 300_000, 300_001]) {
      await mkdir(join(folder(), "blobs"), { recursive: true });
      await writeFile(`${blob("model.safetensors", weights)}.incomplete`, bytes(length, 9));
      const snapshot = await resolve(ID);
      expect(await isWhole(snapshot)).toBe(true);
      await rm(folder(), { recursive: true });
    }
  });
});

describe("several at once", () => {
  it("downloads once for calls of one process", async () => {
    const snapshots = await Promise.all([resolve(ID), resolve(ID), resolve(ID)]);
    expect(new Set(snapshots).size).toBe(1);
    expect(hub.bytesSent("model.safetensors")).toBe(300_000);
  });

  it("downloads once for two processes", async () => {
    const processes = [startProcess(), startProcess()];
    expect(await Promise.all(processes.map(({ ended }) => ended))).toEqual(["0", "0"]);
    expect(hub.bytesSent("model.safetensors")).toBe(300_000);
    expect(await isWhole(await resolve(ID, { offline: true }))).toBe(true);
  });

  it("takes over a lock whose process is gone, and waits for one that runs", async () => {
    const lock = join(cache, ".locks", "models--org--tiny", "lowrank.lock");
    await mkdir(join(lock, ".."), { recursive: true });
    await writeFile(lock, `${process.pid} elsewhere`);
    let done = false;
    const waiting = resolve(ID).then(() => (done = true));
    await new Promise((next) => setTimeout(next, 300));
    expect(done).toBe(false);
    await writeFile(lock, `${2 ** 30} ${hostname()}`);
    expect(await waiting).toBe(true);
  });
});

describe("without a hub", () => {
  it("uses a complete snapshot, offline or with the hub out of reach", async () => {
    const gone = await startFakeHub({});
    await gone.close();
    const snapshot = await resolve(ID);
    hub.seen.length = 0;
    vi.stubEnv("HF_HUB_OFFLINE", "1");
    expect(await resolve(ID)).toBe(snapshot);
    expect(hub.seen).toEqual([]);
    vi.stubEnv("HF_HUB_OFFLINE", "0");
    expect(await resolve(ID, { endpoint: gone.endpoint })).toBe(snapshot);
    expect(pauses).toEqual([]);
    hub.fail(LISTING, { status: 401 });
    expect(await resolve(ID)).toBe(snapshot);
  });

  it("names the model, the cache and the remedy where nothing is cached", async () => {
    const offline = await failure(resolve(ID, { offline: true }));
    expect(offline.code).toBe("network-failed");
    expect(offline.message).toBe(
      `org/tiny: Revision main is not complete in the cache ${cache}. The network is switched off (HF_HUB_OFFLINE). ` +
        `Unset HF_HUB_OFFLINE to download it, copy ${folder()} from a machine that has it, or give the path of a local folder.`,
    );
    const gone = await startFakeHub({});
    await gone.close();
    const unreachable = await failure(resolve(ID, { endpoint: gone.endpoint }));
    expect(unreachable.code).toBe("network-failed");
    expect(unreachable.message).toMatch(/The connection to 127\.0\.0\.1:\d+ failed: .*ECONNREFUSED/);
    expect(pauses).toHaveLength(4);
  });

  it.each(["config.json", "model-2-of-2.safetensors"])("does not take a snapshot without %s for complete", async (name) => {
    await rm(join(await resolve("org/sharded"), name));
    expect((await failure(resolve("org/sharded", { offline: true }))).code).toBe("network-failed");
  });
});

describe("refusals", () => {
  it.each<[string, ResolveOptions, string, RegExp]>([
    ["org/absent", {}, "not-found", /no such model \(404\)/],
    [ID, { revision: "v9" }, "not-found", /no such revision \(404\)/],
    ["org/pickled", {}, "unsupported", /pickled weights only \(pytorch_model\.bin\).*safe_serialization/],
    ["./nowhere", {}, "not-found", /no such folder/],
    ["a/b/c", {}, "not-found", /no such folder/],
    ["org/../x", {}, "not-found", /no such folder/],
    [ID, { revision: "../../x" }, "invalid-file", /leads out of its folder/],
    [ID, { endpoint: "ftp://host" }, "invalid-argument", /plain http or https address/],
    [ID, { token: "with space" }, "invalid-argument", /characters that no token has/],
  ])("refuses %s %j", async (id, options, code, message) => {
    const error = await failure(resolve(id, options));
    expect(error.code).toBe(code);
    expect(error.message).toMatch(message);
    expect(pauses).toEqual([]);
  });

  it.each(["../evil.json", "/evil.json", "..\\evil.json", "C:\\evil.json", "a\0.json", "a//b", "./a"])(
    "refuses a hub that lists %j",
    async (name) => {
      const bad = await startFakeHub({ [ID]: { commit: COMMIT, files: { ...small, "model.safetensors": weights, [name]: bytes(3, 1) } } });
      const error = await failure(resolve(ID, { endpoint: bad.endpoint }));
      expect(error.code).toBe("invalid-file");
      expect(error.message).toContain(JSON.stringify(name));
      expect(await readdir(cache)).toEqual([]);
      await bad.close();
    },
  );

  it("refuses a commit that is no name", async () => {
    const bad = await startFakeHub({ [ID]: { commit: "../../x", files: { "model.safetensors": weights } } });
    expect((await failure(resolve(ID, { endpoint: bad.endpoint }))).message).toMatch(/names no commit/);
    await bad.close();
  });

  it.each<[Record<string, string>, string, RegExp]>([
    [{ "x-linked-etag": '"../../x"' }, "invalid-file", /entity tag "\.\.\/\.\.\/x" cannot be a file name/],
    [{ "x-linked-etag": '""' }, "network-failed", /does not say the file's size and entity tag/],
    [{ "x-linked-size": "-1" }, "network-failed", /does not say the file's size and entity tag/],
    [{ "x-repo-commit": "b".repeat(40) }, "network-failed", /answered for commit b{40} instead of a{40}/],
    [{ "x-linked-size": "900000000000000" }, "io-failed", /needs 900000\.0 GB, and the disk has/],
  ])("refuses a file announced with %j, before any byte", async (headers, code, message) => {
    hub.announce("model.safetensors", headers);
    const error = await failure(resolve(ID));
    expect(error.code).toBe(code);
    expect(error.message).toMatch(message);
    expect(hub.bytesSent("config.json")).toBe(0);
  });

  it("takes a file of exactly the size announced", async () => {
    hub.announce("model.safetensors", { "x-linked-size": "200000" });
    const error = await failure(resolve(ID));
    expect(error.message).toMatch(/model\.safetensors is longer than the 200000 bytes announced/);
    expect(await kept(join(folder(), "snapshots"))).toBe(false);
  });

  it.each<[string, string, number, RegExp | undefined]>([
    ["to the new name of a model", "/api/models/org/tiny/revision/v1", 1, undefined],
    ["in circles", LISTING, 9, /redirects in circles/],
    ["to a file", "file:///etc/passwd", 1, /not safe to follow/],
  ])("meets a redirect %s", async (_name, location, times, message) => {
    hub.fail(LISTING, ...Array.from({ length: times }, () => ({ status: 307, headers: { location } })));
    if (message === undefined) expect(await isWhole(await resolve(ID))).toBe(true);
    else expect((await failure(resolve(ID))).message).toMatch(message);
  });

  it("says so where the cache cannot be written", async () => {
    await writeFile(folder(), "a file");
    expect((await failure(resolve(ID))).code).toBe("io-failed");
  });
});

describe("the token", () => {
  const TOKEN = "hf_verysecret";

  it("goes to the hub and not to where it points", async () => {
    await resolve(ID, { token: TOKEN });
    const by = (server: string) =>
      new Set(hub.seen.filter((request) => request.server === server).map(({ authorization }) => authorization));
    expect(by("hub")).toEqual(new Set([`Bearer ${TOKEN}`]));
    expect(by("storage")).toEqual(new Set([undefined]));
  });

  it.each(["environment", "file"])("is read from the %s", async (source) => {
    if (source === "environment") vi.stubEnv("HF_TOKEN", TOKEN);
    else await writeFile(join(cache, "token"), `${TOKEN}\n`);
    await resolve(ID);
    expect(hub.seen[0].authorization).toBe(`Bearer ${TOKEN}`);
  });

  it("is in no error, nor is a signed address", async () => {
    const faults: [string, Fault][] = [
      [LISTING, { status: 401 }],
      [LISTING, { status: 403 }],
      [LISTING, { status: 418 }],
      [STORE, { status: 404 }],
      [STORE, { status: 500 }],
      [STORE, { cutAfter: 10 }],
      [LISTING, { status: 302, headers: { location: "file:///etc/passwd?secret-signature" } }],
    ];
    for (const [path, fault] of faults) {
      hub.fail(path, fault);
      const error = await failure(
        resolve(ID, { token: TOKEN, retry: { attempts: 1 } }).then(() => resolve("org/absent", { token: TOKEN })),
      );
      expect(inspect(error, { depth: 10 })).not.toMatch(/verysecret|secret-signature/);
    }
    for (const token of [`${TOKEN}\nx`, `${TOKEN}é`]) expect(inspect(await failure(resolve(ID, { token })))).not.toContain("verysecret");
    const endpoint = "http://user:verysecret@127.0.0.1:1";
    expect(inspect(await failure(resolve(ID, { endpoint })))).not.toContain("verysecret");
  });

  it("is what a gated model asks for", async () => {
    const gated = await startFakeHub(models, TOKEN);
    const without = await failure(resolve(ID, { endpoint: gated.endpoint }));
    expect(without.message).toMatch(
      /does not exist, or it is private or gated \(401\)\. Check the name, accept the licence on the model's page, and set HF_TOKEN/,
    );
    expect((await failure(resolve(ID, { endpoint: gated.endpoint, token: "hf_other" }))).message).toMatch(
      /check that HF_TOKEN belongs to that account/,
    );
    await resolve(ID, { endpoint: gated.endpoint, token: TOKEN });
    await gated.close();
  });
});
