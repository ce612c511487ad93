/** @file What a model on the hub consists of: its files, which of them are needed, and each one's size and checksum. It knows nothing about the cache. */
import { LowrankError } from "../util/index.ts";
import type { RemoteFile } from "./hub-blob.ts";
import { checkRelativeName, isCommit } from "./hub-cache.ts";
import { request, type HubClient } from "./hub-client.ts";

/** The files of a model at one commit. */
export interface HubListing {
  readonly id: string;
  readonly commit: string;
  readonly names: readonly string[];
}

const SETTINGS =
  /^((generation_|adapter_)?config|tokenizer[^/\\]*|special_tokens_map|model\.safetensors\.index)\.json$|^chat_template\.jinja$/;
const WEIGHTS = /^[^/\\]+\.safetensors$/;
const STANDARD_WEIGHTS = /^(adapter_)?model(-\d+-of-\d+)?\.safetensors$/;
const PICKLES = /\.(bin|pt|pth|ckpt|pkl)$/;

const notAHub = (where: string, what: string): LowrankError =>
  new LowrankError("network-failed", what, { where, fix: "Check that HF_ENDPOINT is a Hugging Face hub." });

const encodePath = (name: string): string => name.split("/").map(encodeURIComponent).join("/");

/** Asks which files a revision has; names that lead out of the folder are refused. */
export const listFiles = async (client: HubClient, id: string, revision: string): Promise<HubListing> => {
  const answer = await request(client, `api/models/${id}/revision/${encodeURIComponent(revision)}`);
  const pieces: Uint8Array[] = [];
  for await (const piece of answer.body()) pieces.push(piece);
  let listing: { sha?: unknown; siblings?: unknown };
  try {
    listing = JSON.parse(Buffer.concat(pieces).toString("utf8")) as typeof listing;
  } catch {
    throw notAHub(id, "The hub's list of files is not JSON.");
  }
  const { sha, siblings } = listing;
  if (typeof sha !== "string" || !isCommit(sha) || !Array.isArray(siblings))
    throw notAHub(id, "The hub's list of files names no commit or no files.");
  const names = siblings.map((sibling: { rfilename?: unknown }) => String(sibling.rfilename));
  for (const name of names) checkRelativeName(name, id);
  return { id, commit: sha, names };
};

/** The files to download, weights last: those asked for or, without a wish, what loading needs and never a pickle. */
export const chooseFiles = ({ id, names }: HubListing, wanted: readonly string[] | undefined): readonly string[] => {
  const absent = wanted?.filter((name) => !names.includes(name)) ?? [];
  if (absent.length > 0) {
    throw new LowrankError("not-found", `The model has no file ${absent.join(", ")}.`, { where: id, fix: `It has ${names.join(", ")}.` });
  }
  if (wanted !== undefined) return wanted;
  const weights = names.filter((name) => WEIGHTS.test(name));
  const standard = weights.filter((name) => STANDARD_WEIGHTS.test(name)); // Some models carry a second copy under another name.
  if (weights.length > 0) return [...names.filter((name) => SETTINGS.test(name)), ...(standard.length > 0 ? standard : weights)];
  const pickle = names.find((name) => PICKLES.test(name));
  if (pickle === undefined)
    throw new LowrankError("not-found", "The model has no .safetensors file.", { where: id, fix: "Choose another model or revision." });
  throw new LowrankError("unsupported", `The model has pickled weights only (${pickle}), which can run code and are not read.`, {
    where: id,
    fix: "Convert it once in Python with save_pretrained(folder, safe_serialization=True) and give that folder, or look for a revision with safetensors.",
  });
};

/** Asks for one file's size and checksum; the answer may be a redirect to where the bytes are. */
export const describeFile = async (client: HubClient, { id, commit }: HubListing, name: string): Promise<RemoteFile> => {
  const path = `${id}/resolve/${commit}/${encodePath(name)}`;
  const { status, headers } = await request(client, path, { method: "HEAD" });
  const answeredFor = headers.get("x-repo-commit") ?? commit;
  if (answeredFor !== commit) throw notAHub(`${id}/${name}`, `The hub answered for commit ${answeredFor} instead of ${commit}.`);
  const tag = (headers.get("x-linked-etag") ?? headers.get("etag") ?? "").replace(/^W\//, "").replaceAll('"', "");
  const size = headers.get("x-linked-size") ?? (status < 300 ? headers.get("content-length") : null) ?? "";
  if (tag === "" || !/^\d{1,15}$/.test(size)) throw notAHub(`${id}/${name}`, "The hub does not say the file's size and entity tag.");
  return { name, path, size: Number(size), tag };
};
