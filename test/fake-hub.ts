/** @file A Hugging Face hub on loopback for tests: two servers, the hub and the storage it redirects large files to, with faults on request. */
import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { basename } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { writableHub } from "./fake-hub-writing.ts";

export interface FakeModel {
  readonly commit: string;
  /** Large files (`.safetensors`) are redirected to the storage server. */
  readonly files: Readonly<Record<string, Uint8Array>>;
  readonly isPrivate?: boolean;
}

/** What one answer does wrong. */
export interface Fault {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sends so many bytes of the body, then closes the connection. */
  readonly cutAfter?: number;
  /** Sends so many bytes of the body, then nothing more, keeping the connection open. */
  readonly stallAfter?: number;
  /** Sends four pieces with so many milliseconds before each. */
  readonly trickle?: number;
  /** Sends other bytes of the same length. */
  readonly corrupt?: boolean;
}

export interface SeenRequest {
  readonly server: "hub" | "storage";
  readonly method: string;
  readonly path: string;
  readonly authorization: string | undefined;
  readonly range: string | undefined;
}

export interface FakeHub {
  readonly endpoint: string;
  /** The models as they are now. */
  readonly models: Readonly<Record<string, FakeModel>>;
  readonly seen: SeenRequest[];
  /** What the coming answers to requests (but HEAD) for paths that end so do wrong, one each. */
  fail(pathEnd: string, ...faults: readonly Fault[]): void;
  /** Replaces headers that the hub itself sends about a file. */
  announce(name: string, headers: Readonly<Record<string, string>>): void;
  /** Bytes of bodies sent for a file. */
  bytesSent(name: string): number;
  /** Resolves once a stalled answer has sent its bytes. */
  stalled(): Promise<unknown>;
  close(): Promise<void>;
}

/** sha256 for large files and git's blob sha1 for small ones, as the hub does. */
export const tagOf = (name: string, bytes: Uint8Array): string =>
  name.endsWith(".safetensors")
    ? createHash("sha256").update(bytes).digest("hex")
    : createHash("sha1").update(`blob ${bytes.length}\0`).update(bytes).digest("hex");

const listen = async (server: Server): Promise<string> => {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
};

const trickle = async (response: ServerResponse, body: Uint8Array, pause: number): Promise<void> => {
  for (let piece = 0; piece < 4; piece++) {
    await wait(pause);
    response.write(body.subarray((piece * body.length) / 4, ((piece + 1) * body.length) / 4));
  }
  response.end();
};

/** Starts the two servers. A request with a token other than `token` is refused; `partBytes` has large files sent in parts. */
export const startFakeHub = async (
  initial: Readonly<Record<string, FakeModel>>,
  token?: string,
  { partBytes }: { readonly partBytes?: number } = {},
): Promise<FakeHub> => {
  const models: Record<string, FakeModel> = { ...initial };
  const seen: SeenRequest[] = [];
  const faults: { pathEnd: string; fault: Fault }[] = [];
  const sent = new Map<string, number>();
  const announced = new Map<string, Readonly<Record<string, string>>>();
  let announceStall = (): void => {};
  const stall = new Promise<void>((resolve) => (announceStall = resolve));

  const sendBytes = (request: IncomingMessage, response: ServerResponse, bytes: Uint8Array, from: number, fault: Fault): void => {
    const part = fault.corrupt === true ? bytes.slice(from).map((byte) => byte ^ 255) : bytes.subarray(from);
    response.writeHead(from > 0 ? 206 : 200, {
      "content-length": part.length,
      ...(from > 0 ? { "content-range": `bytes ${from}-${bytes.length - 1}/${bytes.length}` } : {}),
      ...fault.headers,
    });
    if (request.method === "HEAD") return void response.end();
    const limit = fault.cutAfter ?? fault.stallAfter;
    const name = basename(new URL(request.url!, "http://hub").pathname);
    const body = part.subarray(0, limit);
    sent.set(name, (sent.get(name) ?? 0) + body.length);
    if (fault.trickle !== undefined) void trickle(response, body, fault.trickle);
    else if (limit === undefined) response.end(body);
    else response.write(body, () => (fault.cutAfter === undefined ? announceStall() : response.destroy()));
  };

  const accept = (server: "hub" | "storage", request: IncomingMessage): { path: string; fault: Fault; from: number } => {
    const path = decodeURIComponent(new URL(request.url!, "http://hub").pathname);
    const { authorization, range } = request.headers;
    seen.push({ server, method: request.method!, path, authorization, range });
    const index = request.method === "HEAD" ? -1 : faults.findIndex(({ pathEnd }) => path.endsWith(pathEnd));
    const fault = index < 0 ? {} : faults.splice(index, 1)[0].fault;
    return { path, fault, from: Number(/^bytes=(\d+)-$/.exec(range ?? "")?.[1] ?? 0) };
  };

  const storage = createServer((request, response) => {
    const { path, fault, from } = accept("storage", request);
    if (fault.status !== undefined) response.writeHead(fault.status, fault.headers).end();
    else if (request.method === "PUT") void writing.put(new URL(request.url!, storageAddress), request, response);
    else {
      const [, id, name] = /^\/store\/([^/]+\/[^/]+)\/(.+)$/.exec(path)!;
      sendBytes(request, response, models[id].files[name], from, fault);
    }
  });
  const storageAddress = await listen(storage);

  const hub = createServer((request, response) => {
    const { path, fault, from } = accept("hub", request);
    const refuse = (status: number, headers: Readonly<Record<string, string>> = {}): void => void response.writeHead(status, headers).end();
    if (token !== undefined && request.headers.authorization !== `Bearer ${token}`) return refuse(401);
    if (fault.status !== undefined) return refuse(fault.status, fault.headers);
    if (request.method === "POST") {
      void writing.post(path, request, response).then((known) => (known ? undefined : refuse(404)));
      return;
    }
    const listing = /^\/api\/models\/(.+)\/revision\/(.+)$/.exec(path);
    if (listing !== null) {
      const model = models[listing[1]];
      if (model === undefined) return refuse(404, { "x-error-code": "RepoNotFound" });
      if (!["main", "v1", model.commit].includes(listing[2])) return refuse(404, { "x-error-code": "RevisionNotFound" });
      const siblings = Object.keys(model.files).map((rfilename) => ({ rfilename }));
      response.end(JSON.stringify({ sha: model.commit, siblings }));
      return;
    }
    const [, id, name] = /^\/(.+)\/resolve\/[^/]+\/(.+)$/.exec(path)!;
    const bytes = models[id].files[name];
    response.setHeader("x-repo-commit", models[id].commit);
    response.setHeader("etag", `"${tagOf(name, bytes)}"`);
    const isLarge = name.endsWith(".safetensors");
    if (isLarge) {
      response.setHeader("x-linked-etag", `"${tagOf(name, bytes)}"`);
      response.setHeader("x-linked-size", bytes.length);
    }
    for (const [header, value] of Object.entries(announced.get(name) ?? {})) response.setHeader(header, value);
    if (!isLarge) return sendBytes(request, response, bytes, from, fault);
    refuse(302, { location: `${storageAddress}/store/${id}/${name}?signature=secret-signature`, ...fault.headers });
  });
  const endpoint = await listen(hub);
  const writing = writableHub(models, partBytes, () => ({ hub: endpoint, storage: storageAddress }));

  return {
    endpoint,
    models,
    seen,
    fail: (pathEnd, ...list) => void faults.push(...list.map((fault) => ({ pathEnd, fault }))),
    announce: (name, headers) => void announced.set(name, headers),
    bytesSent: (name) => sent.get(name) ?? 0,
    stalled: () => stall,
    close: async () => {
      for (const server of [hub, storage]) {
        server.close();
        server.closeAllConnections();
        await once(server, "close");
      }
    },
  };
};
