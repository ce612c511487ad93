/**
 * @file The state of a training run on disk: everything that a resumed run needs to go on as if it had not stopped.
 * It knows nothing about models or adapters: the caller writes those into the same folder.
 */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { realpath, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import {
  isObject,
  readJsonObject,
  readSafetensorsHeader,
  readTensor,
  tensorSources,
  writeFileAtomically,
  writeSafetensors,
} from "../formats/index.ts";
import { f32, LowrankError, messageOf, type RandomState } from "../util/index.ts";
import { commitCheckpoint, linkedCheckpoint, listCheckpoints, removeUnfinished, type CheckpointFolder } from "./checkpoint-folders.ts";
import type { EvaluationHistory } from "./early-stopping.ts";
import type { OptimiserState } from "./optim/optimiser.ts";
import { checkSameConfiguration, type RunConfiguration } from "./run-configuration.ts";

const vectorsFile = "state.safetensors";
const progressFile = "state.json";
const version = 1;
const frozenName = "frozen";
const momentPrefix = "optimiser.";

/** How far a run has come; plain JSON. */
export interface TrainingProgress {
  /** Optimiser updates made, which is also the position in the learning-rate schedule. */
  readonly step: number;
  /** The pass over the data that the next batch belongs to, from 0. */
  readonly epoch: number;
  /** Micro-batches of that pass already used. */
  readonly position: number;
  /** Tokens read so far, padding left out. */
  readonly tokens: number;
  readonly random: RandomState;
  readonly evaluations: EvaluationHistory;
}

export interface TrainingState {
  readonly progress: TrainingProgress;
  /** The flat vector of trainable parameters. */
  readonly parameters: Float32Array;
  /** What is trained beside them and never changes; default nothing. */
  readonly frozen?: Float32Array;
  readonly optimiser: OptimiserState;
}

export interface SaveOptions {
  readonly configuration: RunConfiguration;
  /** Whether this is the lowest held-out loss so far. */
  readonly isBest?: boolean;
  /** Checkpoints to keep beside the best one, default 2: the last and one to fall back on. */
  readonly keep?: number;
  /** Writes the adapter or model into the folder, through the atomic writers of formats/. */
  readonly saveModel: (folder: string) => Promise<void>;
}

interface StoredProgress {
  readonly version: number;
  readonly progress: TrainingProgress;
  readonly optimiserStep: number;
  readonly configuration: RunConfiguration;
  /** Ties the two files together. */
  readonly vectors: { readonly bytes: number; readonly sha256: string };
}

const sha256Of = async (path: string): Promise<string> => {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path, { highWaterMark: 2 ** 20 })) hash.update(chunk as Buffer);
  return hash.digest("hex");
};

const isFull = (error: unknown): boolean =>
  error instanceof Error && ((error as NodeJS.ErrnoException).code === "ENOSPC" || isFull(error.cause));

const saveFailed = (error: unknown, step: number, runFolder: string, earlier: CheckpointFolder | undefined): unknown => {
  if (LowrankError.is(error) && error.code !== "io-failed") return error;
  const why = isFull(error) ? "the disk is full" : messageOf(error).replace(/\.$/, "");
  const intact = earlier === undefined ? "Nothing was saved before it." : `The checkpoint of step ${earlier.step} is intact.`;
  return new LowrankError("io-failed", `The checkpoint of step ${step} could not be saved: ${why}. ${intact}`, {
    where: runFolder,
    fix: earlier === undefined ? "Free some space and start again." : "Free some space and resume from it.",
    cause: error,
  });
};

/**
 * Saves a checkpoint into `checkpoints/` of the run's folder and returns its path. Killed at any moment, the run has the
 * old checkpoint or the new one, whole; a failure (`io-failed`) leaves the earlier ones as they were.
 */
export const saveTrainingState = async (
  runFolder: string,
  { progress, parameters, frozen, optimiser }: TrainingState,
  { configuration, isBest = false, keep = 2, saveModel }: SaveOptions,
): Promise<string> => {
  const tensors = new Map([["parameters", f32(parameters)]]);
  if (frozen !== undefined && frozen.length > 0) tensors.set(frozenName, f32(frozen));
  for (const [name, vector] of Object.entries(optimiser.vectors)) tensors.set(`${momentPrefix}${name}`, f32(vector));
  try {
    return await commitCheckpoint(runFolder, { step: progress.step, isBest, keep }, async (folder) => {
      await saveModel(folder);
      const path = join(folder, vectorsFile);
      await writeSafetensors(path, tensorSources(tensors));
      const vectors = { bytes: (await stat(path)).size, sha256: await sha256Of(path) };
      const stored: StoredProgress = { version, progress, optimiserStep: optimiser.step, configuration, vectors };
      await writeFileAtomically(join(folder, progressFile), `${JSON.stringify(stored, null, 2)}\n`);
    });
  } catch (error) {
    throw saveFailed(error, progress.step, runFolder, await linkedCheckpoint(runFolder, "last").catch(() => undefined));
  }
};

const damaged = (where: string, what: string, cause?: unknown): LowrankError => new LowrankError("invalid-file", what, { where, cause });

const readProgress = async (folder: string): Promise<StoredProgress> => {
  const path = join(folder, progressFile);
  const stored = await readJsonObject(path);
  if (stored["version"] !== version) throw damaged(path, `It is not a training state of version ${version}.`);
  if (![stored["progress"], stored["configuration"], stored["vectors"]].every(isObject)) throw damaged(path, "Parts of it are missing.");
  return stored as unknown as StoredProgress;
};

/** Checks that the vectors are those that were saved with the progress. */
const checkVectors = async (folder: string, { vectors }: StoredProgress): Promise<void> => {
  const path = join(folder, vectorsFile);
  const size = await stat(path).then(
    (stats) => stats.size,
    (error: unknown) => {
      throw damaged(path, "The file is missing.", error);
    },
  );
  if (size !== vectors.bytes) throw damaged(path, `The file has ${size} bytes where ${vectors.bytes} were saved.`);
  if ((await sha256Of(path)) !== vectors.sha256) throw damaged(path, "The file is not the one that was saved: its digest differs.");
};

const readState = async (folder: string, { progress, optimiserStep }: StoredProgress): Promise<TrainingState> => {
  const { tensors } = await readSafetensorsHeader(join(folder, vectorsFile));
  const vectors: Record<string, Float32Array> = {};
  let parameters = new Float32Array();
  let frozen: Float32Array | undefined;
  for (const [name, location] of tensors) {
    const data = (await readTensor(location)).data as Float32Array<ArrayBuffer>;
    if (name.startsWith(momentPrefix)) vectors[name.slice(momentPrefix.length)] = data;
    else if (name === frozenName) frozen = data;
    else parameters = data;
  }
  return { progress, parameters, ...(frozen && { frozen }), optimiser: { step: optimiserStep, vectors } };
};

/** The damage, with the newest other checkpoint that is whole. */
const withAlternative = async (error: unknown, runFolder: string, folder: string): Promise<unknown> => {
  if (!LowrankError.is(error)) return error;
  for (const { path, step } of await listCheckpoints(runFolder)) {
    if (path === folder) continue;
    try {
      await checkVectors(path, await readProgress(path));
    } catch {
      continue;
    }
    const fix = `The checkpoint of step ${step} is whole (${path}): remove ${folder} and resume.`;
    return new LowrankError("invalid-file", error.message, { fix, cause: error });
  }
  return new LowrankError("invalid-file", error.message, {
    fix: "No other checkpoint of this run is whole: start it again.",
    cause: error,
  });
};

/** The folder of the run that `given` belongs to, and the checkpoint meant: `given` itself, or the last of the run there. */
const locate = async (given: string): Promise<{ runFolder: string; folder: string }> => {
  const path = await realpath(given).catch(() => resolve(given)); // the links lead to checkpoints
  const isCheckpoint = basename(dirname(path)) === "checkpoints";
  const runFolder = isCheckpoint ? dirname(dirname(path)) : path;
  await removeUnfinished(runFolder);
  const checkpoints = await listCheckpoints(runFolder);
  const chosen = isCheckpoint
    ? checkpoints.find((one) => one.path === path)
    : ((await linkedCheckpoint(runFolder, "last")) ?? checkpoints[0]);
  if (chosen === undefined) {
    throw new LowrankError("not-found", "There is no checkpoint to resume from.", {
      where: path,
      fix: "Check the folder, or start the run without resuming.",
    });
  }
  return { runFolder, folder: chosen.path };
};

/**
 * Loads what `saveTrainingState` saved, bit for bit: the last checkpoint of the run at `path`, or the checkpoint at `path`.
 * A damaged one is `invalid-file` and names the file and an older checkpoint that is whole; other settings than those
 * that the run was started with are `invalid-config`.
 */
export const loadTrainingState = async (path: string, configuration: RunConfiguration): Promise<TrainingState> => {
  const { runFolder, folder } = await locate(path);
  try {
    const stored = await readProgress(folder);
    await checkVectors(folder, stored);
    checkSameConfiguration(stored.configuration, configuration, join(folder, progressFile));
    return await readState(folder, stored);
  } catch (error) {
    throw LowrankError.is(error) && error.code === "invalid-config" ? error : await withAlternative(error, runFolder, folder);
  }
};
