/** @file The cache layout that Hugging Face tools share: where blobs, snapshots and references of a model lie. It knows nothing about HTTP. */
import { access, copyFile, mkdir, readdir, readFile, rename, rm, symlink } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join, relative } from "node:path";
import { LowrankError } from "../util/index.ts";
import { writeFileAtomically } from "./atomic.ts";

const COMMIT = /^[0-9a-f]{40}$/;
const MODEL_ID = /^[A-Za-z0-9_][\w.-]*(\/[A-Za-z0-9_][\w.-]*)?$/;
const ENTITY_TAG = /^[\w-]{1,128}$/;

/** Where one model lies in the cache. */
export interface CachedModel {
  /** `org/name`, or `name` alone for the oldest models. */
  readonly id: string;
  /** The cache that holds all models. */
  readonly cache: string;
  /** `models--org--name` in that cache. */
  readonly folder: string;
}

const expandHome = (path: string): string => path.replace(/^~(?=[/\\]|$)/, homedir());

/** `HF_HOME`, else `huggingface` in the user's cache folder. */
export const hubHome = (): string =>
  expandHome(process.env["HF_HOME"] || join(process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache"), "huggingface"));

/** `HF_HUB_CACHE`, else `hub` in `hubHome()`. */
export const hubCache = (): string => expandHome(process.env["HF_HUB_CACHE"] || join(hubHome(), "hub"));

export const isCommit = (text: string): boolean => COMMIT.test(text);

/** True for what the hub would accept as the name of a model. */
export const isModelId = (text: string): boolean => MODEL_ID.test(text) && !text.includes("--") && !text.includes("..");

export const cachedModel = (cache: string, id: string): CachedModel => ({
  id,
  cache,
  folder: join(cache, `models--${id.replaceAll("/", "--")}`),
});

/** Throws `invalid-file` for a name that could lead out of the folder it is joined to, on any platform. */
export const checkRelativeName = (name: string, where: string): void => {
  const segments = name.split(/[/\\]/);
  const leaves = segments.some((segment) => segment === "" || segment === "." || segment === "..");
  if (!leaves && !name.includes("\0") && !/^[A-Za-z]:/.test(name)) return;
  throw new LowrankError("invalid-file", `The name ${JSON.stringify(name)} leads out of its folder and was refused.`, {
    where,
    fix: "Nothing was written; do not use this source.",
  });
};

/** The path of the contents with an entity tag; tags that cannot be a file name are refused. */
export const blobPath = (model: CachedModel, tag: string): string => {
  if (ENTITY_TAG.test(tag)) return join(model.folder, "blobs", tag);
  throw new LowrankError("invalid-file", `The entity tag ${JSON.stringify(tag)} cannot be a file name.`, {
    where: model.id,
    fix: "Check that the endpoint is a Hugging Face hub.",
  });
};

export const snapshotPath = (model: CachedModel, commit: string): string => join(model.folder, "snapshots", commit);

export const lockPath = (model: CachedModel): string =>
  join(model.cache, ".locks", `models--${model.id.replaceAll("/", "--")}`, "lowrank.lock");

/** True where a file or the target of a link exists. */
export const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );

/** The commit that a branch, tag or commit name stood for when it was last resolved. */
export const readReference = async (model: CachedModel, revision: string): Promise<string | undefined> => {
  if (isCommit(revision)) return revision;
  const text = await readFile(join(model.folder, "refs", revision), "utf8").catch(() => "");
  return isCommit(text.trim()) ? text.trim() : undefined;
};

/** Remembers the commit that a branch or tag stands for; a commit needs no reference. */
export const writeReference = async (model: CachedModel, revision: string, commit: string): Promise<void> => {
  if (isCommit(revision) || (await readReference(model, revision)) === commit) return;
  const path = join(model.folder, "refs", revision);
  await mkdir(dirname(path), { recursive: true });
  await writeFileAtomically(path, commit);
};

/** Makes a blob appear under its name in a snapshot: a relative link, or a copy where the system allows no links. */
export const linkIntoSnapshot = async (model: CachedModel, commit: string, name: string, tag: string): Promise<void> => {
  const path = join(snapshotPath(model, commit), name);
  const aside = `${path}.${process.pid}.partial`;
  const blob = blobPath(model, tag);
  await mkdir(dirname(path), { recursive: true });
  await rm(aside, { force: true });
  try {
    await symlink(relative(dirname(path), blob), aside);
  } catch (error) {
    // Windows without developer mode.
    if ((error as NodeJS.ErrnoException).code !== "EPERM") throw error;
    await copyFile(blob, aside);
  }
  await rename(aside, path);
};

const INDEX = "model.safetensors.index.json";

const weightsOf = async (snapshot: string): Promise<readonly string[]> => {
  const names = await readdir(snapshot).catch((): string[] => []);
  if (!names.includes("config.json") && !names.includes("adapter_config.json")) return [];
  if (!names.includes(INDEX)) return names.filter((name) => name.endsWith(".safetensors") && !/-of-\d+\.safetensors$/.test(name));
  try {
    const { weight_map: files } = JSON.parse(await readFile(join(snapshot, INDEX), "utf8")) as { weight_map: Record<string, string> };
    return [...new Set(Object.values(files))];
  } catch {
    return []; // A damaged index vouches for nothing.
  }
};

/**
 * The snapshot of a revision if it is complete: the named files, or else a configuration with every shard of its weights.
 * Links are made only when all blobs are there, weights last, so weights vouch for the files beside them.
 */
export const completeSnapshot = async (
  model: CachedModel,
  revision: string,
  files: readonly string[] | undefined,
): Promise<string | undefined> => {
  const commit = await readReference(model, revision);
  if (commit === undefined) return undefined;
  const snapshot = snapshotPath(model, commit);
  const present = await Promise.all((files ?? (await weightsOf(snapshot))).map((name) => exists(join(snapshot, name))));
  return present.length > 0 && present.every(Boolean) ? snapshot : undefined;
};
