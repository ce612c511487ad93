import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { readFileSync, writeFileSync } from "node:fs";
import { join, normalize } from "node:path";
import { afterAll, beforeEach, describe, expect, it } from "vitest";
import { startFakeS3, type FakeS3 } from "../../../test/fake-s3.ts";
import { retryPolicy } from "../../formats/hub-retry.ts";
import { random } from "../../util/index.ts";
import { openLibrary, type Library } from "../library.ts";
import { workshop } from "../library.fixture.ts";
import { writeAdapter } from "../small-adapter.fixture.ts";
import { httpStore } from "./http.ts";
import { objectRemote } from "./objects.ts";
import type { Remote } from "./remote.ts";
import { s3Store, type S3Options } from "./s3.ts";

const folder = workshop();
const closing: (() => unknown)[] = [];
afterAll(async () => {
  for (const close of closing) await close();
});

let number = 0;
let here: Library;
let other: Library;
let s3: FakeS3;
beforeEach(async () => {
  number += 1;
  here = await openLibrary(join(folder, `here-${number}`), { create: true });
  other = await openLibrary(join(folder, `other-${number}`), { create: true });
  s3 = await startFakeS3();
  closing.push(
    () => here.close(),
    () => other.close(),
    () => s3.close(),
  );
});

const policy = retryPolicy({ attempts: 3, sleep: () => Promise.resolve(), random: random(1) });

const bucket = (options: S3Options = {}, path = "s3://adapters/team"): Remote => {
  const { endpoint, accessKeyId, secretAccessKey } = s3;
  return objectRemote(s3Store(path, { endpoint, accessKeyId, secretAccessKey, ...options }, policy));
};

/** Pushes or pulls with a remote of its own, as two runs of a command do. */
const using = async <Result>(remote: Remote, act: (remote: Remote) => Promise<Result>): Promise<Result> => {
  const result = await act(remote);
  await remote.close();
  return result;
};

const add = async (library: Library, seed: number, name: string, options: object = {}, width = 8) =>
  library.add(await writeAdapter(join(folder, `adapter-${seed}`), seed, { width }), { name, ...options });

const versions = async (library: Library): Promise<string[]> =>
  (await library.search({ everyVersion: true })).entries.map(
    ({ name, version, aliases }) => `${name}@${version}${aliases.map((alias) => `:${alias}`).join("")}`,
  );

const puts = (): string[] => s3.seen.filter((line) => line.startsWith("PUT"));

describe("a bucket", () => {
  it("takes a library and gives it back, and nothing moves twice", async () => {
    for (const seed of [1, 2, 3, 4]) await add(here, seed, "tales", { tags: [`n=${seed}`], aliases: seed === 2 ? ["prod"] : [] });
    expect(await using(bucket(), (remote) => here.push(remote))).toMatchObject({ adapters: 4, new: 4 });
    expect([...s3.objects.keys()].filter((key) => !key.includes("/adapters/"))).toEqual(["team/catalogue.jsonl"]);
    s3.seen.length = 0;
    expect(await using(bucket(), (remote) => here.push(remote))).toMatchObject({ new: 0, merged: 0, moved: 0 });
    expect(puts()).toEqual([]);
    expect(await using(bucket(), (remote) => other.pull(remote))).toMatchObject({ new: 4 });
    expect(await versions(other)).toEqual(await versions(here));
    for (const reference of ["tales@1", "tales:prod"]) expect(await other.get(reference)).toEqual(await here.get(reference));
    for await (const finding of other.verify()) expect(finding.kind).toBe("sound");
  });

  it.each(["tales", "tales@1", "tales:prod"])("gives %s alone, by asking for its own objects only", async (reference) => {
    await add(here, 1, "tales", { aliases: ["prod"] });
    await add(here, 2, "others");
    await using(bucket(), (remote) => here.push(remote));
    s3.seen.length = 0;
    await using(bucket(), (remote) => other.pull(remote, { references: [reference] }));
    expect(await versions(other)).toEqual(["tales@1:prod"]);
    expect(s3.seen).toHaveLength(3); // the catalogue and two files
    const { digest } = await here.get("others");
    await using(bucket(), (remote) => other.pull(remote, { references: [digest] }));
    await expect(using(bucket(), (remote) => other.pull(remote, { references: ["nobody"] }))).rejects.toMatchObject({ code: "not-found" });
  });

  it("finds what a writer left that was broken off before the catalogue", async () => {
    await add(here, 1, "tales");
    const remote = bucket();
    await here.push(remote); // and never closes it
    expect(s3.objects.has("team/catalogue.jsonl")).toBe(false);
    await using(bucket(), (one) => other.pull(one, { references: ["tales"] }));
    expect(await versions(other)).toEqual(["tales@1"]);
  });

  it("does not believe a catalogue that is behind the records", async () => {
    await add(here, 1, "tales");
    await using(bucket(), (remote) => here.push(remote));
    const old = s3.objects.get("team/catalogue.jsonl")!;
    await here.annotate("tales", { addTags: ["later"] });
    await using(bucket(), (remote) => here.push(remote));
    s3.objects.set("team/catalogue.jsonl", old);
    await using(bucket(), (remote) => other.pull(remote));
    expect((await other.get("tales")).tags).toEqual(["later"]);
  });

  it("gives a version the next number where its own is taken there", async () => {
    await add(here, 1, "tales");
    await add(other, 2, "tales");
    await using(bucket(), (remote) => here.push(remote));
    const { renumbered } = await using(bucket(), (remote) => other.push(remote));
    expect(renumbered).toEqual([{ from: { name: "tales", version: 1 }, to: { name: "tales", version: 2 } }]);
    await using(bucket(), (remote) => here.pull(remote));
    expect((await here.get("tales@2")).digest).toBe((await other.get("tales@1")).digest);
    expect(await using(bucket(), (remote) => other.push(remote))).toMatchObject({ merged: 0, moved: 0 });
  });

  it("syncs two libraries over it", async () => {
    await add(here, 1, "mine");
    await add(other, 2, "theirs");
    await using(bucket(), (remote) => here.sync(remote));
    await using(bucket(), (remote) => other.sync(remote));
    await using(bucket(), (remote) => here.sync(remote));
    expect(await versions(here)).toEqual(["mine@1", "theirs@1"]);
    expect(await versions(other)).toEqual(["mine@1", "theirs@1"]);
  });

  it("tries again where it fails in passing, and goes on in the middle of a file", async () => {
    await add(here, 1, "tales");
    s3.fail("adapter_model.safetensors", { status: 503 }, { status: 500 });
    await using(bucket(), (remote) => here.push(remote));
    s3.fail("adapter_model.safetensors", { cutAfter: 100 }, { status: 503 }, { cutAfter: 50 });
    await using(bucket(), (remote) => other.pull(remote));
    for await (const finding of other.verify()) expect(finding.kind).toBe("sound");
    s3.fail(".json", ...Array.from({ length: 3 }, () => ({ status: 503 })));
    await here.annotate("tales", { addTags: ["x"] });
    await expect(here.push(bucket())).rejects.toMatchObject({ code: "network-failed" });
  });

  it("takes a large file in parts, and after a failure only those that are missing", async () => {
    const { record } = await add(here, 1, "large", {}, 1024);
    const { bytes } = record.files["adapter_model.safetensors"];
    const partBytes = 5000;
    const parts = Math.ceil(bytes / partBytes);
    s3.fail("safetensors?part=3", ...Array.from({ length: 3 }, () => ({ status: 500 })));
    await expect(here.push(bucket({ partBytes }))).rejects.toMatchObject({ code: "network-failed" });
    s3.seen.length = 0;
    const sent: number[] = [];
    await using(bucket({ partBytes }), (remote) =>
      here.push(remote, {
        listen: (event) => event.type === "file-progress" && event.file.endsWith("safetensors") && sent.push(event.received),
      }),
    );
    expect(puts().filter((line) => line.includes("?part="))).toEqual(
      Array.from({ length: parts - 2 }, (_, index) => expect.stringContaining(`?part=${index + 3}`) as string),
    );
    expect(sent.at(-1)).toBe(bytes);
    await using(bucket(), (remote) => other.pull(remote));
    expect((await other.get("large")).digest).toBe(record.digest);
  });

  it.each<[what: string, options: S3Options, path: string, code: string]>([
    ["a wrong secret", { secretAccessKey: "wrong" }, "s3://adapters", "network-failed"],
    ["an unknown key", { accessKeyId: "nobody" }, "s3://adapters", "network-failed"],
    ["no such bucket", {}, "s3://absent", "not-found"],
    ["an endpoint out of reach", { endpoint: "http://127.0.0.1:9" }, "s3://adapters", "network-failed"],
  ])("with %s is refused, and no secret is told", async (_, options, path, code) => {
    await add(here, 1, "tales");
    const error: unknown = await here.push(bucket(options, path)).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code });
    const told = `${String(error)} ${JSON.stringify(error)}`;
    expect(told).not.toContain(s3.secretAccessKey);
    expect(told).not.toContain("wrong");
  });

  it("has an address of its own form", () => {
    for (const path of ["s3:/adapters", "s3://", "s3://Up", "http://x"])
      expect(() => bucket({}, path)).toThrow(expect.objectContaining({ code: "invalid-argument" }));
    expect(bucket().address).toBe("s3://adapters/team/");
  });
});

/** A plain web server for a folder; `ranges` says whether it knows them. */
const serve = async (root: string, { ranges = true } = {}): Promise<{ address: string; seen: string[] }> => {
  const seen: string[] = [];
  const server = createServer((request, response) => {
    const path = normalize(decodeURIComponent(new URL(request.url!, "http://web").pathname));
    seen.push(path);
    try {
      const bytes = readFileSync(join(root, path));
      const from = ranges ? Number(/^bytes=(\d+)-/.exec(request.headers.range ?? "")?.[1] ?? 0) : 0;
      response.writeHead(from > 0 ? 206 : 200, { "content-length": bytes.length - from }).end(bytes.subarray(from));
    } catch {
      response.writeHead(404).end();
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  closing.push(() => server.close());
  return { address: `http://127.0.0.1:${(server.address() as AddressInfo).port}/?token=secret`, seen };
};

describe("a web server", () => {
  it.each([true, false])("gives what a library's folder holds, with ranges: %s", async (ranges) => {
    await add(here, 1, "tales", { aliases: ["prod"] });
    await add(here, 2, "others");
    await here.writeCatalogue();
    const { address } = await serve(here.folder, { ranges });
    const remote = objectRemote(httpStore(address, policy));
    await other.pull(remote, { references: ["tales:prod"] });
    expect(await versions(other)).toEqual(["tales@1:prod"]);
    const { digest, files } = await here.get("others");
    // As a transfer that was broken off has left it.
    const weights = readFileSync(join(here.path({ digest }), "adapter_model.safetensors"));
    const { sha256 } = files["adapter_model.safetensors"];
    writeFileSync(join(other.folder, "aside", `${sha256}.00000000.0.x.partial`), weights.subarray(0, 40));
    await other.pull(remote);
    expect(await versions(other)).toEqual(["others@1", "tales@1:prod"]);
    for await (const finding of other.verify()) expect(finding.kind).not.toBe("damaged");
    expect(remote.write).toBeUndefined();
    expect(remote.address).not.toContain("secret");
  });

  it("without a catalogue gives what is asked for by its digest, and finds no name", async () => {
    const { record } = await add(here, 1, "tales");
    const { address } = await serve(here.folder);
    const remote = objectRemote(httpStore(address, policy));
    await other.pull(remote, { references: [record.digest] });
    expect(await versions(other)).toEqual(["tales@1"]);
    expect(await remote.find("tales")).toBeUndefined();
  });

  it("is given without a password, which a message would tell", () => {
    for (const make of [
      () => httpStore("http://me:secret@127.0.0.1/x", policy),
      () => bucket({ endpoint: "http://me:secret@127.0.0.1" }),
      () => httpStore("ftp://secret", policy),
    ]) {
      expect(make).toThrow(expect.objectContaining({ code: "invalid-argument", message: expect.not.stringContaining("secret") as string }));
    }
  });

  it("that is not there, or gives something else, is an error that names it", async () => {
    const remote = objectRemote(httpStore("http://127.0.0.1:9/library", policy));
    await expect(other.pull(remote)).rejects.toMatchObject({ code: "network-failed", where: "http://127.0.0.1:9/library/catalogue.jsonl" });
    const { address } = await serve(folder);
    writeFileSync(join(folder, "catalogue.jsonl"), "<html>\n");
    await expect(other.pull(objectRemote(httpStore(address, policy)))).rejects.toMatchObject({ code: "invalid-file" });
    writeFileSync(join(folder, "catalogue.jsonl"), "x".repeat(1_100_000));
    await expect(other.pull(objectRemote(httpStore(address, policy)))).rejects.toMatchObject({ code: "invalid-file" });
  });
});
