import { renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import type { StoredAdapter } from "../lora/index.ts";
import { adapterSources } from "./adapter-source.ts";
import { folderDigest } from "./folder-digest.ts";
import { openLibrary, type Library } from "./library.ts";
import { workshop } from "./library.fixture.ts";
import { writeAdapter } from "./small-adapter.fixture.ts";

const folder = workshop();
let library: Library;
let plain: string;

beforeAll(async () => {
  plain = await writeAdapter(join(folder, "plain"), 1);
  library = await openLibrary(join(folder, "library"), { create: true });
  await library.add(plain, { name: "tales" });
});

/** Notes which folders are read; what is in them matters to nobody here. */
const started = () => {
  const read: string[] = [];
  const find = adapterSources(
    (directory) => {
      read.push(directory);
      return Promise.resolve({} as StoredAdapter);
    },
    { library: library.folder },
  );
  return { find, read };
};

/** Puts another adapter's bytes where one lies, as somebody who publishes anew does. */
const overwrite = async (directory: string, seed: number): Promise<void> => {
  const other = await writeAdapter(join(folder, `other-${seed}`), seed);
  renameSync(join(other, "adapter_model.safetensors"), join(directory, "adapter_model.safetensors"));
};

describe("adapters by name", () => {
  it("have one digest as a folder and as an entry of the library, and are read when they are wanted", async () => {
    const { find, read } = started();
    const sources = [await find(plain), await find("tales"), await find("tales@1"), await find("tales:latest")];
    for (const { digest } of sources) expect(digest).toBe(await folderDigest(plain));
    expect(await find("tales")).toBe(sources[1]);
    expect(read).toEqual([]);
    await sources[1].load();
    expect(read).toEqual([library.path(await library.get("tales"))]);
  });

  it("are read anew from a folder whose files have changed, and refused where they change meanwhile", async () => {
    const { find } = started();
    const directory = await writeAdapter(join(folder, "changing"), 2);
    const before = await find(directory);
    await overwrite(directory, 3);
    const after = await find(directory);
    expect(after.digest).not.toBe(before.digest);
    await after.load();
    await expect(before.load()).rejects.toMatchObject({ code: "invalid-file", where: directory });
  });

  it("are refused from a library that has been damaged since they were found", async () => {
    const { find } = started();
    const { record } = await library.add(await writeAdapter(join(folder, "damaged"), 4), { name: "damaged" });
    await find("damaged");
    await overwrite(library.path(record), 5);
    await expect(find("damaged")).rejects.toMatchObject({ code: "invalid-file", where: "damaged@1" });
    writeFileSync(join(library.path(record), "adapter_config.json"), "{}");
    await expect(find("damaged")).rejects.toMatchObject({ code: "invalid-file" });
  });
});
