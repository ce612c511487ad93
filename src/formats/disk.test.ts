import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { listFolder, makeFolder, readExactly, withFile } from "./disk.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "lowrank-disk-"));
  await writeFile(join(folder, "file"), "0123456789");
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const at = (...names: string[]): string => join(folder, ...names);

describe("withFile", () => {
  it("hands over the size, and closes the file whatever happens", async () => {
    const [closed, size] = await withFile(at("file"), async (handle, bytes) => [handle, bytes] as const);
    expect([size, closed.fd]).toEqual([10, -1]);
    let failed: { fd: number } | undefined;
    const attempt = withFile(at("file"), async (handle) => {
      failed = handle;
      throw new Error("broken");
    });
    await expect(attempt).rejects.toThrow(/^broken$/);
    expect(failed?.fd).toBe(-1);
  });

  it.each([
    ["nothing", "absent", "not-found", "There is no such file"],
    ["a folder", ".", "invalid-file", "This is not a file"],
    ["something below a file", "file/below", "io-failed", "The file cannot be read: ENOTDIR"],
  ])("refuses %s", async (_, name, code, message) => {
    await expect(withFile(at(name), async () => 0)).rejects.toMatchObject({ code, message: expect.stringContaining(message) as string });
  });
});

it("readExactly reads in the middle, and not beyond the end", async () => {
  const bytes = new Uint8Array(4);
  await withFile(at("file"), (handle) => readExactly(handle, bytes, 3, at("file")));
  expect(Buffer.from(bytes).toString()).toBe("3456");
  const beyond = withFile(at("file"), (handle) => readExactly(handle, bytes, 8, at("file")));
  await expect(beyond).rejects.toMatchObject({
    code: "invalid-file",
    message: `${at("file")}: The file ended at byte 10, where 2 more were expected. It changed while it was read; run again.`,
  });
});

describe("folders", () => {
  it("are listed in order and made with those above them", async () => {
    await makeFolder(at("b", "c"));
    await makeFolder(at("b", "c"));
    await mkdir(at("a"));
    expect(await listFolder(folder)).toEqual(["a", "b", "file"]);
    expect(await readdir(at("b"))).toEqual(["c"]);
  });

  it("that are not there, or are files, are named", async () => {
    await expect(listFolder(at("absent"))).rejects.toMatchObject({ code: "not-found", where: at("absent"), fix: "Check the path." });
    await expect(listFolder(at("file"))).rejects.toMatchObject({ code: "not-found", fix: "Name the folder it is in." });
    await expect(makeFolder(at("file", "below"))).rejects.toMatchObject({ code: "io-failed", where: at("file", "below") });
  });
});
