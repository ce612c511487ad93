/** @file Turns the name of a model on the Hugging Face hub into a local folder, from the cache or by download. It knows nothing about what the files mean. */
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { LowrankError, messageOf } from "../util/index.ts";
import * as layout from "./hub-cache.ts";
import { hubClient, type HubClient } from "./hub-client.ts";
import { downloadSnapshot, type HubProgress } from "./hub-download.ts";
import { chooseFiles, listFiles, type HubListing } from "./hub-listing.ts";
import { PassingFailure, retryPolicy, withRetries, type RetryPolicy } from "./hub-retry.ts";

export interface ResolveOptions {
  /** A branch, tag or commit; default `main`. */
  readonly revision?: string;
  /** Default: `HF_ENDPOINT`, else the hub's own address. */
  readonly endpoint?: string;
  /** Default: `HF_TOKEN`, else the file that `HF_TOKEN_PATH` names, else `token` in `HF_HOME`. */
  readonly token?: string;
  /** Default: `HF_HUB_CACHE`, else `hub` in `HF_HOME`, else `~/.cache/huggingface/hub`. */
  readonly cache?: string;
  /** Use the cache alone; default: true where `HF_HUB_OFFLINE` is set. */
  readonly offline?: boolean;
  /** Exactly these files; default: settings, tokenizer, chat template and safetensors of the model or adapter. */
  readonly files?: readonly string[];
  readonly onProgress?: (progress: HubProgress) => void;
  readonly retry?: Partial<RetryPolicy>;
}

const HUB = "https://huggingface.co";

const isOffline = (): boolean => /^(1|on|yes|true)$/i.test(process.env["HF_HUB_OFFLINE"] ?? "");

const storedToken = async (): Promise<string | undefined> => {
  const path = process.env["HF_TOKEN_PATH"] || join(layout.hubHome(), "token");
  const token = process.env["HF_TOKEN"] || (await readFile(path, "utf8").catch(() => ""));
  return token.trim() || undefined;
};

/** A client for the hub that the caller or the environment names, with the user's token. */
export const connectHub = async ({
  endpoint,
  token,
  retry,
}: Pick<ResolveOptions, "endpoint" | "token" | "retry"> = {}): Promise<HubClient> =>
  hubClient(endpoint ?? (process.env["HF_ENDPOINT"] || HUB), token ?? (await storedToken()), retryPolicy(retry));

const isFolder = (path: string): Promise<boolean> =>
  stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );

const unavailable = (model: layout.CachedModel, revision: string, reason: string, fix: string, cause?: unknown): LowrankError =>
  new LowrankError("network-failed", `Revision ${revision} is not complete in the cache ${model.cache}. ${reason}`, {
    where: model.id,
    fix: `${fix}, copy ${model.folder} from a machine that has it, or give the path of a local folder.`,
    cause,
  });

const explained = (model: layout.CachedModel, revision: string, error: unknown): unknown => {
  if (error instanceof PassingFailure) {
    return unavailable(model, revision, error.message, "Run again to go on from what has arrived", error);
  }
  if (LowrankError.is(error) || (error as NodeJS.ErrnoException).syscall === undefined) return error;
  return new LowrankError("io-failed", `The cache cannot be written: ${messageOf(error)}.`, {
    where: model.folder,
    fix: "Free some space or set HF_HUB_CACHE to a folder that can be written, then run again to go on from what has arrived.",
    cause: error,
  });
};

// What a complete snapshot in the cache makes good: a hub that is out of reach or refuses, but not a model that is no longer there.
const isOutOfReach = (error: unknown): boolean =>
  error instanceof PassingFailure || (LowrankError.is(error) && error.code === "network-failed");

/**
 * The local folder of a model or adapter: `reference` itself where it is a folder, else the snapshot of `org/name` in the cache that
 * Python tools share, downloaded as far as it is not there. A complete cached snapshot serves when the hub is out of reach.
 * Broken transfers are resumed, now or in a later call; several processes may ask at once.
 *
 * Throws `not-found` (no such folder, model, revision or file), `network-failed` (out of reach, refused, or contents that fail their
 * checksum), `io-failed` (disk full), `unsupported` (pickles only), `invalid-file` (names that leave the folder).
 * @example const folder = await resolveModel("HuggingFaceTB/SmolLM2-135M", { onProgress: ({ file, received }) => console.log(file, received) });
 */
export const resolveModel = async (reference: string, options: ResolveOptions = {}): Promise<string> => {
  if (await isFolder(reference)) return reference;
  if (!layout.isModelId(reference)) {
    throw new LowrankError("not-found", "There is no such folder, and no model on the hub can have this name.", {
      where: reference,
      fix: "Give the path of a model's folder, or a name such as HuggingFaceTB/SmolLM2-135M.",
    });
  }
  const { revision = "main", offline = isOffline() } = options;
  layout.checkRelativeName(revision, "revision");
  const model = layout.cachedModel(options.cache ?? layout.hubCache(), reference);
  const cached = await layout.completeSnapshot(model, revision, options.files);
  if (offline) {
    if (cached !== undefined) return cached;
    throw unavailable(model, revision, "The network is switched off (HF_HUB_OFFLINE).", "Unset HF_HUB_OFFLINE to download it");
  }

  const client = await connectHub(options);
  let listing: HubListing;
  try {
    const attempts = cached === undefined ? client.policy.attempts : 1;
    listing = await withRetries({ ...client.policy, attempts }, () => listFiles(client, model.id, revision));
  } catch (error) {
    if (cached !== undefined && isOutOfReach(error)) return cached;
    throw explained(model, revision, error);
  }
  const names = chooseFiles(listing, options.files);
  try {
    return await downloadSnapshot(client, model, revision, listing, names, options.onProgress);
  } catch (error) {
    throw explained(model, revision, error);
  }
};
