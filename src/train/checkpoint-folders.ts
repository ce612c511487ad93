/**
 * @file The checkpoint folders of a run: `checkpoints/step-000120` each, and the links `last` and `best` to two of them.
 * A folder appears complete or not at all, whenever the process dies. It knows nothing about what the folders hold.
 */
import { mkdir, open, readlink, rename, rm, symlink } from "node:fs/promises";
import { basename, join } from "node:path";
import { listFolder, makeFolder } from "../formats/index.ts";
import { LowrankError } from "../util/index.ts";

const collection = "checkpoints";
const unfinished = ".partial";

// The second number tells folders of one step apart: a step that is saved again gets a new folder, and the old one goes only then.
const folderName = /^step-(\d+)(?:-(\d+))?$/;

/** A complete checkpoint folder. */
export interface CheckpointFolder {
  readonly path: string;
  readonly step: number;
}

const nameOf = (step: number, copy: number): string => `step-${String(step).padStart(6, "0")}${copy === 1 ? "" : `-${copy}`}`;

const namesIn = async (runFolder: string): Promise<string[]> => {
  try {
    return await listFolder(join(runFolder, collection));
  } catch (error) {
    if (LowrankError.is(error) && error.code === "not-found") return [];
    throw error;
  }
};

/** The complete checkpoints of a run, newest first; none for a run that has not saved or does not exist. */
export const listCheckpoints = async (runFolder: string): Promise<CheckpointFolder[]> =>
  (await namesIn(runFolder))
    .flatMap((name) => {
      const match = folderName.exec(name);
      return match === null ? [] : [{ name, step: Number(match[1]), copy: Number(match[2] ?? 1) }];
    })
    .sort((a, b) => b.step - a.step || b.copy - a.copy)
    .map(({ name, step }) => ({ path: join(runFolder, collection, name), step }));

/** The checkpoint that the link `last` or `best` of a run leads to, if any. */
export const linkedCheckpoint = async (runFolder: string, link: "last" | "best"): Promise<CheckpointFolder | undefined> => {
  const target = await readlink(join(runFolder, link)).catch(() => undefined);
  return (await listCheckpoints(runFolder)).find(({ path }) => target !== undefined && basename(path) === basename(target));
};

/** Removes what a process that died while saving has left behind. */
export const removeUnfinished = async (runFolder: string): Promise<void> => {
  for (const name of await namesIn(runFolder)) {
    if (name.endsWith(unfinished)) await rm(join(runFolder, collection, name), { recursive: true, force: true });
  }
};

const sync = async (folder: string): Promise<void> => {
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
};

/** Points a link at a checkpoint in one rename, so that it leads to the old one or the new one at any moment. */
const switchLink = async (runFolder: string, link: "last" | "best", checkpoint: string): Promise<void> => {
  const aside = join(runFolder, `${link}${unfinished}`);
  await rm(aside, { force: true });
  await symlink(join(collection, basename(checkpoint)), aside, "dir");
  await rename(aside, join(runFolder, link));
};

const freePath = async (runFolder: string, step: number): Promise<string> => {
  const taken = await namesIn(runFolder);
  let copy = 1;
  while (taken.includes(nameOf(step, copy))) copy += 1;
  return join(runFolder, collection, nameOf(step, copy));
};

/** Keeps the newest checkpoint, the best, and `keep - 1` from before; later ones belong to a course that the run has left. */
const prune = async (runFolder: string, newest: CheckpointFolder, keep: number): Promise<void> => {
  const best = await linkedCheckpoint(runFolder, "best");
  const others = (await listCheckpoints(runFolder)).filter(({ path }) => path !== newest.path);
  const kept = others.filter(({ step }) => step < newest.step).slice(0, keep - 1);
  for (const { path } of others) {
    if (path !== best?.path && !kept.some((checkpoint) => checkpoint.path === path)) await rm(path, { recursive: true, force: true });
  }
};

/**
 * Lets `write` fill a folder aside, then makes it a checkpoint of `step`, points `last` at it (and `best` where asked) and
 * removes the checkpoints that are not kept. `write` syncs its own files. When it fails, everything earlier is as it was.
 */
export const commitCheckpoint = async (
  runFolder: string,
  { step, isBest, keep }: { step: number; isBest: boolean; keep: number },
  write: (folder: string) => Promise<void>,
): Promise<string> => {
  await removeUnfinished(runFolder);
  await makeFolder(join(runFolder, collection));
  const path = await freePath(runFolder, step);
  const aside = `${path}${unfinished}`;
  try {
    await mkdir(aside);
    await write(aside);
    await sync(aside);
    await rename(aside, path);
    await sync(join(runFolder, collection));
    if (isBest) await switchLink(runFolder, "best", path);
    await switchLink(runFolder, "last", path);
    await sync(runFolder);
  } catch (error) {
    await rm(aside, { recursive: true, force: true }).catch(() => undefined); // what stays is removed before the next save
    throw error;
  }
  await prune(runFolder, { path, step }, keep);
  return path;
};
