/** @file What is sent to a Hugging Face hub and what it answers: files, JSON, addresses. It knows nothing about commits. */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { LowrankError } from "../util/index.ts";
import { readExactly, withFile } from "./disk.ts";
import { checkRelativeName } from "./hub-cache.ts";
import { request, type HubAnswer, type HubClient, type HubRequest } from "./hub-client.ts";
import { withRetries } from "./hub-retry.ts";
import { parseJsonObject } from "./json.ts";

/** A file to commit: under `name` in the model, from a path or from memory. */
export interface CommitSource {
  readonly name: string;
  readonly from: string | Uint8Array;
}

export interface LocalFile extends CommitSource {
  readonly bytes: number;
  /** In hex: of the bytes, and as git names a blob. */
  readonly sha256: string;
  readonly blob: string;
  /** The first 512 bytes, by which the hub tells texts from other files. */
  readonly sample: Uint8Array;
}

const sampleBytes = 512;

/** The bytes of a file from `start` up to `end`, as they are read. */
export const chunksOf = (from: string | Uint8Array, start = 0, end = Infinity): AsyncIterable<Uint8Array> =>
  typeof from === "string"
    ? createReadStream(from, { start, end: end - 1, highWaterMark: 2 ** 18 })
    : (async function* () {
        yield from.subarray(start, Math.min(end, from.length));
      })();

/** Reads a file through: how long it is, and its names. */
export const describe = async ({ name, from }: CommitSource): Promise<LocalFile> => {
  checkRelativeName(name, "commit");
  const bytes = typeof from === "string" ? await withFile(from, (_, size) => Promise.resolve(size)) : from.length;
  const sample = new Uint8Array(Math.min(sampleBytes, bytes));
  if (typeof from === "string") await withFile(from, (handle) => readExactly(handle, sample, 0, from));
  else sample.set(from.subarray(0, sample.length));
  const [sha256, blob] = [createHash("sha256"), createHash("sha1").update(`blob ${bytes}\0`)];
  if (bytes > 0)
    for await (const chunk of chunksOf(from)) {
      sha256.update(chunk);
      blob.update(chunk);
    }
  return { name, from, bytes, sha256: sha256.digest("hex"), blob: blob.digest("hex"), sample };
};

/** For an answer that no hub gives. */
export const foreign = (where: string): LowrankError =>
  new LowrankError("network-failed", "The hub's answer is not of the form that was expected.", {
    where,
    fix: "Check that HF_ENDPOINT is a Hugging Face hub.",
  });

const bodyOf = (content: string | Uint8Array, type: string): NonNullable<HubRequest["body"]> => {
  const bytes = typeof content === "string" ? Buffer.from(content) : content;
  return { bytes: bytes.length, type, stream: () => chunksOf(bytes) };
};

export const readAnswer = async (answer: HubAnswer): Promise<Buffer> => {
  const pieces: Uint8Array[] = [];
  for await (const piece of answer.body()) pieces.push(piece);
  return Buffer.concat(pieces);
};

/** Posts to the hub and reads the JSON object that it answers. */
export const post = (client: HubClient, path: string, content: string, type = "application/json"): Promise<Record<string, unknown>> =>
  withRetries(client.policy, async () => {
    const answer = await readAnswer(await request(client, path, { method: "POST", body: bodyOf(content, type) }));
    return answer.length === 0 ? {} : parseJsonObject(answer, path, "The hub's answer", "Check that HF_ENDPOINT is a Hugging Face hub.");
  });

/** An address that the hub gave to send to; it is no less safe than the hub's own. */
export const checkedAddress = (client: HubClient, href: unknown, where: string): string => {
  const url = typeof href === "string" && URL.canParse(href, client.endpoint.href) ? new URL(href, client.endpoint) : undefined;
  if (url === undefined || (url.protocol !== "https:" && url.protocol !== client.endpoint.protocol)) throw foreign(where);
  return url.href;
};
