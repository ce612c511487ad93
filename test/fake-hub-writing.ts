/** @file The side of the fake hub that is written to: new models, what goes where, large files whole or in parts, and commits. It knows nothing about reading. */
import { createHash } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { buffer } from "node:stream/consumers";
import type { FakeModel } from "./fake-hub.ts";

const sha = (algorithm: string, ...parts: (string | Uint8Array)[]): string =>
  parts.reduce((hash, part) => hash.update(part), createHash(algorithm)).digest("hex");

interface CommitLine {
  readonly key: string;
  readonly value: { readonly path: string; readonly content: string; readonly oid: string; readonly size: number };
}

export interface WritableHub {
  /** Answers a POST to the hub; false for one that it does not know. */
  post(path: string, request: IncomingMessage, response: ServerResponse): Promise<boolean>;
  /** Takes a PUT to the storage. */
  put(url: URL, request: IncomingMessage, response: ServerResponse): Promise<void>;
}

/** `partBytes` makes the storage take files in parts of this size; `addresses` gives those of the two servers. */
export const writableHub = (
  models: Record<string, FakeModel>,
  partBytes: number | undefined,
  addresses: () => { hub: string; storage: string },
): WritableHub => {
  const stored = new Map<string, Buffer>(); // by sha256, and by `sha256.part`
  const isLarge = (name: string): boolean => name.endsWith(".safetensors");
  const oidOf = (name: string, bytes: Uint8Array): string =>
    isLarge(name) ? sha("sha256", bytes) : sha("sha1", `blob ${bytes.length}\0`, bytes);

  const actionsOf = (oid: string, size: number): object => {
    const { hub, storage } = addresses();
    const verify = { href: `${hub}/verify` };
    const signed = (name: string): string => `${storage}/put/${name}?signature=secret-signature`;
    if (partBytes === undefined) return { upload: { href: signed(oid) }, verify };
    const parts = Array.from({ length: Math.ceil(size / partBytes) }, (_, index) => [
      String(index + 1).padStart(5, "0"),
      signed(`${oid}.${index + 1}`),
    ]);
    return { upload: { href: `${hub}/join`, header: { chunk_size: String(partBytes), ...Object.fromEntries(parts) } }, verify };
  };

  const create = ({ name, organization, private: isPrivate }: Record<string, unknown>): object => {
    models[`${String(organization)}/${String(name)}`] = { commit: "0".repeat(40), files: {}, isPrivate: isPrivate === true };
    return {};
  };

  const preupload = (id: string, { files }: Record<string, unknown>): object => ({
    files: (files as { path: string }[]).map(({ path }) => {
      const present = models[id].files[path];
      return { path, uploadMode: isLarge(path) ? "lfs" : "regular", shouldIgnore: false, ...(present && { oid: oidOf(path, present) }) };
    }),
  });

  const batch = ({ objects }: Record<string, unknown>): object => ({
    transfer: partBytes === undefined ? "basic" : "multipart",
    objects: (objects as { oid: string; size: number }[]).map(({ oid, size }) => ({
      oid,
      size,
      ...(!stored.has(oid) && { actions: actionsOf(oid, size) }),
    })),
  });

  const join = ({ oid, parts }: Record<string, unknown>): object => {
    const pieces = (parts as { partNumber: number; etag: string }[]).map(({ partNumber, etag }) => {
      const piece = stored.get(`${String(oid)}.${partNumber}`)!;
      if (etag !== `"${sha("md5", piece)}"`) throw new Error(`Part ${partNumber} has another tag.`);
      return piece;
    });
    stored.set(String(oid), Buffer.concat(pieces));
    return {};
  };

  const verify = ({ oid, size }: Record<string, unknown>): object => {
    const bytes = stored.get(String(oid));
    if (bytes?.length !== size || sha("sha256", bytes as Buffer) !== oid) throw new Error("The large file is not what was announced.");
    return {};
  };

  const commit = (id: string, text: string): object => {
    const lines = text
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as CommitLine);
    const files = { ...models[id].files };
    for (const { key, value } of lines) {
      if (key === "file") files[value.path] = Buffer.from(value.content, "base64");
      if (key === "lfsFile") files[value.path] = stored.get(value.oid)!;
    }
    const commitOid = sha("sha1", text);
    models[id] = { ...models[id], commit: commitOid, files };
    return { success: true, commitOid };
  };

  return {
    post: async (path, request, response) => {
      const text = String(await buffer(request));
      const parse = (): Record<string, unknown> => JSON.parse(text) as Record<string, unknown>;
      const [, id, action] = /^\/api\/models\/(.+)\/(preupload|commit)\/[^/]+$/.exec(path) ?? [];
      const answers: Record<string, () => object> = {
        "/api/repos/create": () => create(parse()),
        "/join": () => join(parse()),
        "/verify": () => verify(parse()),
      };
      const answer =
        action === "preupload"
          ? () => preupload(id, parse())
          : action === "commit"
            ? () => commit(id, text)
            : path.endsWith(".git/info/lfs/objects/batch")
              ? () => batch(parse())
              : answers[path];
      if (answer === undefined) return false;
      response.end(JSON.stringify(answer()));
      return true;
    },
    put: async (url, request, response) => {
      const bytes = await buffer(request);
      stored.set(url.pathname.replace("/put/", ""), bytes);
      response.writeHead(200, { etag: `"${sha("md5", bytes)}"` }).end();
    },
  };
};
