/** @file A library in a bucket of S3 or of storage that speaks as S3 does. */
import { createHash } from "node:crypto";
import { open, type FileHandle } from "node:fs/promises";
import { S3mini } from "s3mini";
import { PassingFailure, type RetryPolicy } from "../../formats/hub-retry.ts";
import { readExactly } from "../../formats/disk.ts";
import { LowrankError, messageOf } from "../../util/index.ts";
import { plainAddress } from "./http.ts";
import type { ObjectStore, StoredObject } from "./objects.ts";
import { persistently, resumable } from "./resumable.ts";

/** What else a bucket needs; by default from the variables that Amazon's tools read. */
export interface S3Options {
  /** `AWS_ENDPOINT_URL_S3` or `AWS_ENDPOINT_URL`, else Amazon's for the region. */
  readonly endpoint?: string;
  /** `AWS_REGION` or `AWS_DEFAULT_REGION`, else us-east-1. */
  readonly region?: string;
  readonly accessKeyId?: string;
  readonly secretAccessKey?: string;
  /** Bytes from which on a file is sent in parts, and of each part. Default 8 MiB. */
  readonly partBytes?: number;
}

const mostParts = 9_000; // S3 takes 10,000

/** What became of a request, without the answer's body: it may quote what was signed. */
const failure = (error: unknown, where: string): unknown => {
  if (LowrankError.is(error) || error instanceof PassingFailure) return error;
  const { status, serviceCode } = (error ?? {}) as { status?: unknown; serviceCode?: unknown };
  if (typeof status !== "number")
    return new PassingFailure(`The storage is out of reach: ${messageOf((error as Error).cause ?? error)}.`, { cause: error });
  const code = typeof serviceCode === "string" ? ` (${serviceCode})` : "";
  if (status >= 500 || status === 429) return new PassingFailure(`The storage answered ${status}${code}.`);
  if (status === 404)
    return new LowrankError("not-found", `There is no such object or bucket${code}.`, {
      where,
      fix: "Check the bucket's name and --endpoint.",
    });
  return new LowrankError("network-failed", `The storage answered ${status}${code}.`, {
    where,
    fix:
      status === 403 ? "Check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_REGION, and the rights of that key." : "Check --endpoint.",
  });
};

/** Texts of an element, wherever it stands in XML. */
const textsOf = (xml: string, element: string): string[] =>
  [...xml.matchAll(new RegExp(`<${element}>([^<]*)</${element}>`, "g"))].map(([, text]) => text);

const plainTag = (tag: string): string => tag.replaceAll(/"|&quot;/g, "");

interface Upload {
  readonly Key: string;
  readonly UploadId: string;
}

/** The uploads in a parsed answer, whatever one or several of them are wrapped in. */
const uploadsIn = (value: unknown): Upload[] => {
  if (typeof value !== "object" || value === null) return [];
  const { Key, UploadId } = value as Partial<Upload>;
  return [
    ...(typeof Key === "string" && typeof UploadId === "string" ? [{ Key, UploadId }] : []),
    ...Object.values(value).flatMap(uploadsIn),
  ];
};

interface Part {
  readonly partNumber: number;
  readonly etag: string;
}

/** A bucket, or what lies under a prefix of it, as a store: `s3://bucket/prefix`. */
export const s3Store = (address: string, options: S3Options, policy: RetryPolicy): ObjectStore => {
  const { AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, AWS_REGION, AWS_DEFAULT_REGION, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY } = process.env;
  const [, bucket, path = ""] = /^s3:\/\/([a-z0-9][a-z0-9.-]+)(?:\/(.*))?$/.exec(address) ?? [];
  if (bucket === undefined)
    throw new LowrankError("invalid-argument", "This is not the address of a bucket.", {
      where: address,
      fix: "Write s3://bucket or s3://bucket/prefix.",
    });
  const region = options.region ?? (AWS_REGION || AWS_DEFAULT_REGION || "us-east-1");
  const endpoint = options.endpoint ?? (AWS_ENDPOINT_URL_S3 || AWS_ENDPOINT_URL || `https://s3.${region}.amazonaws.com`);
  const client = new S3mini({
    endpoint: `${plainAddress(endpoint, "--endpoint").href.replace(/\/+$/, "")}/${bucket}`,
    region,
    accessKeyId: options.accessKeyId ?? AWS_ACCESS_KEY_ID ?? "",
    secretAccessKey: options.secretAccessKey ?? AWS_SECRET_ACCESS_KEY ?? "",
  });
  const prefix = path === "" || path.endsWith("/") ? path : `${path}/`;
  const { partBytes = 8 * 2 ** 20 } = options;

  const whereOf = (key: string): string => `s3://${bucket}/${key}`;
  const attempt = <Result>(key: string, act: () => Promise<Result>): Promise<Result> =>
    persistently(policy, whereOf(key), () => act().catch((error: unknown) => Promise.reject(failure(error, whereOf(key)))));

  async function* bytesFrom(key: string, from: number): AsyncGenerator<Uint8Array> {
    try {
      const response = await client.getObjectRaw(key, from === 0, from);
      yield* (response.body ?? []) as AsyncIterable<Uint8Array>;
    } catch (error) {
      throw failure(error, whereOf(key));
    }
  }

  async function* list(under: string): AsyncGenerator<StoredObject> {
    for (let token: string | undefined; ;) {
      const page = await attempt(prefix + under, () => client.listObjectsPaged("/", prefix + under, 1000, token));
      if (page === null || page === undefined) throw failure({ status: 404 }, `s3://${bucket}`);
      for (const { Key, ETag } of page.objects ?? []) yield { key: Key.slice(prefix.length), tag: plainTag(ETag) };
      if (page.nextContinuationToken === undefined || page.nextContinuationToken === "") return;
      token = page.nextContinuationToken;
    }
  }

  const size = async (name: string): Promise<number | undefined> => {
    const key = prefix + name;
    if ((await attempt(key, () => client.objectExists(key))) !== true) return undefined;
    return attempt(key, () => client.getContentLength(key));
  };

  /** The upload of a key that was broken off, with the parts that arrived; storage that cannot say so has none. */
  const openUpload = async (key: string): Promise<{ id: string; parts: Map<number, string> } | undefined> => {
    try {
      const upload = uploadsIn(await client.listMultipartUploads("/", key)).find((one) => one.Key === key);
      if (upload === undefined) return undefined;
      const xml = await (await client.getObjectRaw(key, true, 0, undefined, { uploadId: upload.UploadId })).text();
      const [numbers, tags] = [textsOf(xml, "PartNumber"), textsOf(xml, "ETag")];
      return { id: upload.UploadId, parts: new Map(numbers.map((number, index) => [Number(number), plainTag(tags[index] ?? "")])) };
    } catch {
      return undefined;
    }
  };

  const putParts = async (key: string, handle: FileHandle, path: string, bytes: number, tell: (sent: number) => void): Promise<string> => {
    const length = Math.max(partBytes, Math.ceil(bytes / mostParts));
    const earlier = await openUpload(key);
    const id = earlier?.id ?? (await attempt(key, () => client.getMultipartUploadId(key)));
    const parts: Part[] = [];
    for (let start = 0; start < bytes; start += length) {
      const partNumber = parts.length + 1;
      const part = Buffer.alloc(Math.min(length, bytes - start));
      await readExactly(handle, part, start, path);
      const etag = createHash("md5").update(part).digest("hex");
      const isThere = earlier?.parts.get(partNumber) === etag;
      parts.push(isThere ? { partNumber, etag } : await attempt(key, () => client.uploadPart(key, id, part, partNumber)));
      tell(start + part.length);
    }
    const { etag } = await attempt(key, () => client.completeMultipartUpload(key, id, parts));
    return plainTag(etag);
  };

  const put = async (name: string, path: string, tell: (sent: number) => void): Promise<string> => {
    const key = prefix + name;
    const handle = await open(path);
    try {
      const { size: bytes } = await handle.stat();
      if (bytes > partBytes) return await putParts(key, handle, path, bytes, tell);
      const content = Buffer.alloc(bytes);
      await readExactly(handle, content, 0, path);
      const response = await attempt(key, () => client.putObject(key, content));
      tell(bytes);
      return plainTag(response.headers.get("etag") ?? "");
    } finally {
      await handle.close();
    }
  };

  return {
    address: `s3://${bucket}/${prefix}`,
    get: (name, from = 0) => resumable(policy, whereOf(prefix + name), from, (position) => bytesFrom(prefix + name, position)),
    writing: { list, size, put },
  };
};
