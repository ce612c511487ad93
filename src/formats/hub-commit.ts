/** @file Puts files into a model on the Hugging Face hub in one commit; contents that the hub has are not sent. It knows nothing about what they mean. */
import { LowrankError } from "../util/index.ts";
import { readExactly, withFile } from "./disk.ts";
import { request, type HubClient } from "./hub-client.ts";
import { describe, foreign, post, readAnswer, type CommitSource, type LocalFile } from "./hub-exchange.ts";
import { sendLarge, type UploadListener } from "./hub-large-files.ts";
import { withRetries } from "./hub-retry.ts";
import { isObject, parseJsonObject } from "./json.ts";

export interface CommitOptions {
  /** One line that says what the commit does. */
  readonly summary: string;
  /** The branch. Default `main`. */
  readonly branch?: string;
  /** Make a model that is not there yet private. Default false. */
  readonly isPrivate?: boolean;
  /** Hears how many bytes of a file have been sent. */
  readonly onProgress?: UploadListener;
}

export interface CommitResult {
  /** The commit on the branch now. */
  readonly commit: string;
  /** Bytes of large files that were sent. */
  readonly moved: number;
}

const largestRegular = 10_000_000; // is held in memory and sent within the commit

const isRefused = (error: unknown): boolean => LowrankError.is(error) && (error.code === "not-found" || error.code === "network-failed");

/** The newest commit of a branch, undefined where there is no such model, or none that this account may see. */
const headOf = async (client: HubClient, id: string, branch: string): Promise<string | undefined> => {
  try {
    const path = `api/models/${id}/revision/${encodeURIComponent(branch)}`;
    const answer = await withRetries(client.policy, async () => readAnswer(await request(client, path)));
    const { sha } = parseJsonObject(answer, id, "The hub's answer", "Check that HF_ENDPOINT is a Hugging Face hub.");
    return typeof sha === "string" ? sha : undefined;
  } catch (error) {
    if (isRefused(error)) return undefined;
    throw error;
  }
};

const makeModel = async (client: HubClient, id: string, isPrivate: boolean): Promise<void> => {
  const [name, organization] = id.split("/").toReversed();
  await post(client, "api/repos/create", JSON.stringify({ type: "model", name, organization: organization ?? null, private: isPrivate }));
};

interface Modes {
  /** What goes through the large file storage, and what stands in the commit itself. */
  readonly large: readonly LocalFile[];
  readonly regular: readonly LocalFile[];
}

/** Asks how each file is to be sent; those that are on the branch as they are, are left out. */
const askModes = async (client: HubClient, id: string, branch: string, files: readonly LocalFile[]): Promise<Modes> => {
  const asked = files.map(({ name: path, sample, bytes: size }) => ({ path, sample: Buffer.from(sample).toString("base64"), size }));
  const { files: answers } = await post(
    client,
    `api/models/${id}/preupload/${encodeURIComponent(branch)}`,
    JSON.stringify({ files: asked }),
  );
  if (!Array.isArray(answers)) throw foreign(id);
  const [large, regular]: [LocalFile[], LocalFile[]] = [[], []];
  for (const file of files) {
    const answer: unknown = answers.find((one) => isObject(one) && one["path"] === file.name);
    if (!isObject(answer)) throw foreign(`${id}/${file.name}`);
    const isLarge = answer["uploadMode"] === "lfs" && file.bytes > 0;
    if (answer["oid"] === (isLarge ? file.sha256 : file.blob)) continue;
    if (!isLarge && file.bytes > largestRegular)
      throw new LowrankError("unsupported", `The hub wants ${file.bytes} bytes within the commit; ${largestRegular} are sent so at most.`, {
        where: `${id}/${file.name}`,
        fix: "Let its .gitattributes put such files into the large file storage.",
      });
    (isLarge ? large : regular).push(file);
  }
  return { large, regular };
};

const contentOf = async ({ from, bytes }: LocalFile): Promise<Uint8Array> => {
  if (typeof from !== "string") return from;
  const content = new Uint8Array(bytes);
  await withFile(from, (handle) => readExactly(handle, content, 0, from));
  return content;
};

/**
 * Commits files to the model `org/name`, which is made where it is not there. Where all of them are on the branch as they are, there is no
 * commit. Throws `network-failed` for what is out of reach or refused.
 */
export const commitFiles = async (
  client: HubClient,
  id: string,
  sources: readonly CommitSource[],
  { summary, branch = "main", isPrivate = false, onProgress = () => undefined }: CommitOptions,
): Promise<CommitResult> => {
  const files: LocalFile[] = [];
  for (const source of sources) files.push(await describe(source));
  const head = await headOf(client, id, branch);
  if (head === undefined) await makeModel(client, id, isPrivate);
  const { large, regular } = await askModes(client, id, branch, files);
  if (head !== undefined && large.length + regular.length === 0) return { commit: head, moved: 0 };
  const moved = large.length === 0 ? 0 : await sendLarge(client, id, branch, large, onProgress);
  const lines: object[] = [{ key: "header", value: { summary, description: "" } }];
  for (const file of regular)
    lines.push({
      key: "file",
      value: { path: file.name, encoding: "base64", content: Buffer.from(await contentOf(file)).toString("base64") },
    });
  for (const { name: path, sha256: oid, bytes: size } of large) lines.push({ key: "lfsFile", value: { path, algo: "sha256", oid, size } });
  const text = lines.map((line) => JSON.stringify(line)).join("\n");
  const { commitOid } = await post(client, `api/models/${id}/commit/${encodeURIComponent(branch)}`, `${text}\n`, "application/x-ndjson");
  if (typeof commitOid !== "string") throw foreign(id);
  return { commit: commitOid, moved };
};
