/** @file Sends large files to the storage of a Hugging Face hub (Git LFS, basic and in parts); those that it has are not sent. It knows nothing about commits. */
import { request, type HubAnswer, type HubClient } from "./hub-client.ts";
import { checkedAddress, chunksOf, foreign, post, readAnswer, type LocalFile } from "./hub-exchange.ts";
import { withRetries } from "./hub-retry.ts";
import { isObject } from "./json.ts";

/** Hears how many bytes of a file have been sent. */
export type UploadListener = (progress: { readonly file: string; readonly sent: number; readonly total: number }) => void;

const lfsType = "application/vnd.git-lfs+json";

const put = (
  client: HubClient,
  url: string,
  file: LocalFile,
  start: number,
  end: number,
  tell: (sent: number) => void,
): Promise<HubAnswer> =>
  withRetries(client.policy, async () => {
    const stream = async function* (): AsyncGenerator<Uint8Array> {
      let sent = start;
      for await (const chunk of chunksOf(file.from, start, end)) {
        yield chunk;
        sent += chunk.length;
        tell(sent);
      }
    };
    const answer = await request(client, url, { method: "PUT", body: { bytes: end - start, type: "application/octet-stream", stream } });
    await readAnswer(answer);
    return answer;
  });

/** Sends a file in the parts that the storage asks for, each to its own address, and has them joined. */
const putParts = async (
  client: HubClient,
  id: string,
  file: LocalFile,
  { href, header }: { readonly href: string; readonly header: Readonly<Record<string, unknown>> },
  tell: (sent: number) => void,
): Promise<void> => {
  const length = Number(header["chunk_size"]);
  const urls = Object.entries(header)
    .filter(([key]) => /^\d+$/.test(key))
    .sort(([a], [b]) => Number(a) - Number(b));
  if (!(length > 0) || urls.length !== Math.ceil(file.bytes / length)) throw foreign(`${id}/${file.name}`);
  const parts: { partNumber: number; etag: string }[] = [];
  for (const [index, [, url]] of urls.entries()) {
    const [start, end] = [index * length, Math.min(file.bytes, (index + 1) * length)];
    const { headers } = await put(client, checkedAddress(client, url, file.name), file, start, end, tell);
    parts.push({ partNumber: index + 1, etag: headers.get("etag") ?? "" });
  }
  await post(client, href, JSON.stringify({ oid: file.sha256, parts }), lfsType);
};

/** Brings large files into the storage; gives the bytes of those that were not there. */
export const sendLarge = async (
  client: HubClient,
  id: string,
  branch: string,
  files: readonly LocalFile[],
  tell: UploadListener,
): Promise<number> => {
  const asked = {
    operation: "upload",
    transfers: ["basic", "multipart"],
    hash_algo: "sha256",
    ref: { name: branch },
    objects: files.map(({ sha256: oid, bytes: size }) => ({ oid, size })),
  };
  const { objects } = await post(client, `${id}.git/info/lfs/objects/batch`, JSON.stringify(asked), lfsType);
  if (!Array.isArray(objects)) throw foreign(id);
  let moved = 0;
  for (const file of files) {
    const where = `${id}/${file.name}`;
    const object: unknown = objects.find((one) => isObject(one) && one["oid"] === file.sha256);
    if (!isObject(object) || object["error"] !== undefined) throw foreign(where);
    if (!isObject(object["actions"])) continue; // the storage has it
    const { upload, verify } = object["actions"];
    if (!isObject(upload)) throw foreign(where);
    const href = checkedAddress(client, upload["href"], where);
    const header = isObject(upload["header"]) ? upload["header"] : {};
    const progress = (sent: number): void => tell({ file: file.name, sent, total: file.bytes });
    if (header["chunk_size"] === undefined) await put(client, href, file, 0, file.bytes, progress);
    else await putParts(client, id, file, { href, header }, progress);
    if (isObject(verify))
      await post(client, checkedAddress(client, verify["href"], where), JSON.stringify({ oid: file.sha256, size: file.bytes }), lfsType);
    moved += file.bytes;
  }
  return moved;
};
