/** @file A bucket of S3 on loopback for tests: objects, ranges, listings and uploads in parts, every signature checked, with faults on request. */
import { createHash, createHmac } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";

export interface FakeS3 {
  readonly endpoint: string;
  readonly bucket: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly objects: Map<string, Buffer>;
  /** Methods and keys, with `?part=2` for a part. */
  readonly seen: string[];
  /** The coming requests for keys that end so fail: with a status, or after so many bytes of the answer. */
  fail(keyEnd: string, ...faults: readonly ({ status: number } | { cutAfter: number })[]): void;
  close(): Promise<void>;
}

const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");
const hmac = (key: string | Buffer, text: string): Buffer => createHmac("sha256", key).update(text).digest();
const tagOf = (bytes: Buffer): string => createHash("md5").update(bytes).digest("hex");
const escaped = (text: string): string =>
  encodeURIComponent(text).replace(/[!'()*]/g, (letter) => `%${letter.charCodeAt(0).toString(16).toUpperCase()}`);
const xmlText = (text: string): string => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");

/** The signature that a request should have (AWS Signature Version 4), from its own headers and the secret. */
const signatureOf = ({ method, headers }: IncomingMessage, url: URL, scope: string, signed: string, secret: string): string => {
  const [date, region, service] = scope.split("/");
  const query = [...url.searchParams].map(([name, value]) => `${escaped(name)}=${escaped(value)}`).sort();
  const lines = signed.split(";").map((name) => `${name}:${String(headers[name]).trim()}\n`);
  const canonical = [method, url.pathname, query.join("&"), lines.join(""), signed, headers["x-amz-content-sha256"]].join("\n");
  const key = [region, service, "aws4_request"].reduce((before, part) => hmac(before, part), hmac(`AWS4${secret}`, date));
  return hmac(key, ["AWS4-HMAC-SHA256", headers["x-amz-date"], scope, sha256(canonical)].join("\n")).toString("hex");
};

/** Starts an empty bucket. `pageSize` keys are listed at once. */
export const startFakeS3 = async ({ pageSize = 3 } = {}): Promise<FakeS3> => {
  const [bucket, accessKeyId, secretAccessKey] = ["adapters", "AKIATEST", "a-secret-that-nobody-prints"];
  const objects = new Map<string, Buffer>();
  const uploads = new Map<string, { readonly key: string; readonly parts: Map<number, Buffer> }>();
  const faults: { keyEnd: string; fault: { status: number } | { cutAfter: number } }[] = [];
  const seen: string[] = [];

  const isSigned = (request: IncomingMessage, url: URL): boolean => {
    const form = /^AWS4-HMAC-SHA256 Credential=([^/]+)\/([^,]+), SignedHeaders=([^,]+), Signature=([0-9a-f]{64})$/;
    const [, id, scope, signed, signature] = form.exec(request.headers.authorization ?? "") ?? [];
    return id === accessKeyId && signature === signatureOf(request, url, scope, signed, secretAccessKey);
  };

  const refuse = (response: ServerResponse, status: number, code: string): void => {
    const body = `<?xml version="1.0"?><Error><Code>${code}</Code><Message>${code}</Message><StringToSign>${secretAccessKey}</StringToSign></Error>`;
    response.writeHead(status, { "content-type": "application/xml" }).end(response.req.method === "HEAD" ? undefined : body);
  };

  const list = (url: URL, response: ServerResponse): void => {
    const [prefix, after] = [url.searchParams.get("prefix") ?? "", url.searchParams.get("continuation-token") ?? ""];
    const keys = [...objects.keys()].filter((key) => key.startsWith(prefix) && key > after).sort();
    const page = keys.slice(0, pageSize);
    const contents = page.map((key) => {
      const bytes = objects.get(key)!;
      return `<Contents><Key>${xmlText(key)}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>&quot;${tagOf(bytes)}&quot;</ETag><Size>${bytes.length}</Size></Contents>`;
    });
    const more = keys.length > page.length;
    const next = more ? `<NextContinuationToken>${xmlText(page[page.length - 1])}</NextContinuationToken>` : "";
    response.end(`<?xml version="1.0"?><ListBucketResult><IsTruncated>${more}</IsTruncated>${next}${contents.join("")}</ListBucketResult>`);
  };

  const listUploads = (response: ServerResponse): void => {
    const items = [...uploads].map(([id, { key }]) => `<Upload><Key>${xmlText(key)}</Key><UploadId>${id}</UploadId></Upload>`);
    response.end(
      `<?xml version="1.0"?><ListMultipartUploadsResult><Bucket>${bucket}</Bucket>${items.join("")}</ListMultipartUploadsResult>`,
    );
  };

  const listParts = (id: string, response: ServerResponse): void => {
    const parts = [...uploads.get(id)!.parts].map(
      ([number, bytes]) =>
        `<Part><PartNumber>${number}</PartNumber><ETag>&quot;${tagOf(bytes)}&quot;</ETag><Size>${bytes.length}</Size></Part>`,
    );
    response.end(`<?xml version="1.0"?><ListPartsResult><UploadId>${id}</UploadId>${parts.join("")}</ListPartsResult>`);
  };

  const complete = (id: string, xml: string, response: ServerResponse): void => {
    const { key, parts } = uploads.get(id)!;
    const named = [...xml.matchAll(/<PartNumber>(\d+)<\/PartNumber>\s*<ETag>([^<]*)<\/ETag>/g)];
    if (!named.every(([, number, tag]) => tagOf(parts.get(Number(number)) ?? Buffer.alloc(0)) === tag.replaceAll(/"|&quot;/g, "")))
      return refuse(response, 400, "InvalidPart");
    objects.set(key, Buffer.concat(named.map(([, number]) => parts.get(Number(number))!)));
    uploads.delete(id);
    const tag = tagOf(objects.get(key)!);
    response.end(
      `<?xml version="1.0"?><CompleteMultipartUploadResult><Bucket>${bucket}</Bucket><Key>${xmlText(key)}</Key><ETag>&quot;${tag}&quot;</ETag></CompleteMultipartUploadResult>`,
    );
  };

  const send = (request: IncomingMessage, response: ServerResponse, bytes: Buffer | undefined, cutAfter: number | undefined): void => {
    if (bytes === undefined) return refuse(response, 404, "NoSuchKey");
    const from = Number(/^bytes=(\d+)-/.exec(request.headers.range ?? "")?.[1] ?? 0);
    const part = bytes.subarray(from);
    response.writeHead(from > 0 ? 206 : 200, { "content-length": part.length, etag: `"${tagOf(bytes)}"` });
    if (request.method === "HEAD") response.end();
    else if (cutAfter === undefined) response.end(part);
    else response.write(part.subarray(0, cutAfter), () => response.destroy());
  };

  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const url = new URL(request.url!, "http://s3");
    const [, place, key] = /^\/([^/]+)\/?(.*)$/.exec(decodeURIComponent(url.pathname)) ?? [];
    const body = await buffer(request);
    const query = url.searchParams;
    const [id, part] = [query.get("uploadId"), query.get("partNumber")];
    seen.push(`${request.method} ${key}${part === null ? "" : `?part=${part}`}`);
    if (!isSigned(request, url)) return refuse(response, 403, "SignatureDoesNotMatch");
    if (place !== bucket) return refuse(response, 404, "NoSuchBucket");
    const index = faults.findIndex(({ keyEnd }) => key.endsWith(keyEnd) || `${key}?part=${part}`.endsWith(keyEnd));
    const fault = index === -1 ? undefined : faults.splice(index, 1)[0].fault;
    if (fault !== undefined && "status" in fault) return refuse(response, fault.status, "InternalError");
    const { method } = request;
    if (key === "") return query.has("uploads") ? listUploads(response) : list(url, response);
    if (method === "GET" && id !== null) return listParts(id, response);
    if (method === "GET" || method === "HEAD") return send(request, response, objects.get(key), fault?.cutAfter);
    if (method === "POST" && query.has("uploads")) {
      const fresh = `upload-${seen.length}`;
      uploads.set(fresh, { key, parts: new Map() });
      response.end(`<?xml version="1.0"?><InitiateMultipartUploadResult><UploadId>${fresh}</UploadId></InitiateMultipartUploadResult>`);
    } else if (method === "POST") complete(id!, String(body), response);
    else {
      if (id === null) objects.set(key, body);
      else uploads.get(id)!.parts.set(Number(part), body);
      response.writeHead(200, { etag: `"${tagOf(body)}"` }).end();
    }
  };

  const server = createServer((request, response) => void answer(request, response));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    bucket,
    accessKeyId,
    secretAccessKey,
    objects,
    seen,
    fail: (keyEnd, ...list) => void faults.push(...list.map((fault) => ({ keyEnd, fault }))),
    close: async () => {
      server.close();
      server.closeAllConnections();
      await once(server, "close");
    },
  };
};
