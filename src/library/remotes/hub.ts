/** @file An adapter that is a model of its own on the Hugging Face hub: `hub:org/name`, or `hub:org/name@branch`. */
import { join } from "node:path";
import { isModelId } from "../../formats/hub-cache.ts";
import { request, type HubClient } from "../../formats/hub-client.ts";
import { describeFile, listFiles, type HubListing } from "../../formats/hub-listing.ts";
import { withRetries, type RetryPolicy } from "../../formats/hub-retry.ts";
import { commitFiles, connectHub, parseJsonObject, type CommitSource } from "../../formats/index.ts";
import { headerLength, parseHeader, prefixBytes, type SafetensorsFile } from "../../formats/safetensors-header.ts";
import { LowrankError, sizeOf } from "../../util/index.ts";
import { adapterDigest, digestBytes, type FileDigest } from "../digest.ts";
import { modelCard, readCard } from "../model-card.ts";
import { adapterFiles, labelOf, recordOf, recordText, type AdapterFile, type AdapterRecord } from "../record.ts";
import { chooseRecord } from "./catalogue.ts";
import type { AdapterEnd, Remote, TransferListener } from "./remote.ts";
import { resumable } from "./resumable.ts";

export interface HubOptions {
  /** Default: `HF_ENDPOINT`, else the hub's own address. */
  readonly endpoint?: string;
  /** Default: the user's, as for downloads. */
  readonly token?: string;
  readonly retry?: Partial<RetryPolicy>;
}

/** The record as the library wrote it, beside the files that others know. */
const recordName = "lowrank.json";
const cardName = "README.md";
const largestText = 10_000_000;

const parseAddress = (address: string): { id: string; branch: string } => {
  const [, id, branch = "main"] = /^(?:hub|hf):(?:\/\/)?([^@]+?)(?:@([\w./-]+))?$/.exec(address) ?? [];
  if (id !== undefined && isModelId(id) && id.includes("/")) return { id, branch };
  throw new LowrankError("invalid-argument", "This is not the address of a model on the hub.", {
    where: address,
    fix: "Write hub:org/name.",
  });
};

const filePath = ({ id, commit }: HubListing, name: string): string => `${id}/resolve/${commit}/${encodeURIComponent(name)}`;

/** The adapter of one model on the hub as a remote that holds nothing else. */
export const hubRemote = async (address: string, options: HubOptions = {}): Promise<Remote> => {
  const { id, branch } = parseAddress(address);
  const client = await connectHub(options);
  let listing: Promise<HubListing> | undefined;
  const listed = (): Promise<HubListing> => (listing ??= withRetries(client.policy, () => listFiles(client, id, branch)));

  const read = (name: string, from: number): AsyncIterable<Uint8Array> =>
    resumable(client.policy, `hub:${id}/${name}`, from, (position) => bodyFrom(client, listed, name, position));

  /** A small file, undefined where there is none. */
  const readText = async (name: string): Promise<Buffer | undefined> => {
    if (!(await listed()).names.includes(name)) return undefined;
    const pieces: Uint8Array[] = [];
    let bytes = 0;
    for await (const piece of read(name, 0)) {
      bytes += piece.length;
      if (bytes > largestText)
        throw new LowrankError("invalid-file", `The file has more than ${largestText} bytes.`, {
          where: `${id}/${name}`,
          fix: "Do not use this source.",
        });
      pieces.push(piece);
    }
    return Buffer.concat(pieces);
  };

  const textOf = async (name: AdapterFile): Promise<Buffer> => {
    const text = await readText(name);
    if (text !== undefined) return text;
    throw new LowrankError("not-found", `The model has no ${name}.`, { where: id, fix: "Name an adapter in PEFT's layout." });
  };

  /** The weights' length and sha256, as the hub's storage knows them. */
  const weightsOf = async (): Promise<FileDigest> => {
    const { size, tag } = await withRetries(client.policy, async () => describeFile(client, await listed(), "adapter_model.safetensors"));
    if (/^[0-9a-f]{64}$/.test(tag)) return { bytes: size, sha256: tag };
    throw new LowrankError("unsupported", "The hub does not say the digest of the weights.", {
      where: id,
      fix: "Download the adapter, then `lowrank library add` its folder.",
    });
  };

  /** What the weights say of themselves, by their first bytes alone. */
  const headerOf = async ({ bytes }: FileDigest): Promise<SafetensorsFile> => {
    const where = `${id}/adapter_model.safetensors`;
    let start: Buffer = Buffer.alloc(0);
    for await (const piece of read("adapter_model.safetensors", 0)) {
      start = Buffer.concat([start, piece]);
      if (start.length < prefixBytes) continue;
      const end = prefixBytes + headerLength(start.subarray(0, prefixBytes), bytes, where);
      if (start.length >= end) return parseHeader(start.subarray(prefixBytes, end), bytes, where);
    }
    throw new LowrankError("invalid-file", "The weights are cut short.", { where, fix: "Choose another adapter." });
  };

  /** The record that was pushed, where the files are still those; else one of what the files and the card say. */
  const recordThere = async (): Promise<AdapterRecord> => {
    if (!(await listed()).names.includes("adapter_model.safetensors"))
      throw new LowrankError("not-found", "The model has no adapter_model.safetensors.", {
        where: id,
        fix: "Name an adapter in PEFT's layout, with safetensors.",
      });
    const [text, weights] = [await textOf("adapter_config.json"), await weightsOf()];
    const files = { "adapter_config.json": digestBytes(text), "adapter_model.safetensors": weights };
    const stored = await readText(recordName);
    if (stored !== undefined) {
      const where = `${id}/${recordName}`;
      const record = recordOf(parseJsonObject(stored, where, "The record", "Push the adapter again."), where);
      if (adapterFiles.every((name) => record.files[name].sha256 === files[name].sha256)) return record;
    }
    const config = parseJsonObject(text, `${id}/adapter_config.json`, "The configuration", "Choose another adapter.");
    const card = await readCard(String((await readText(cardName)) ?? ""), `${id}/${cardName}`);
    const { metadata, tensors } = await headerOf(weights);
    const base = metadata["lowrank.base"] ?? null;
    const now = new Date().toISOString();
    const numberOr = (value: unknown): number | null => (typeof value === "number" ? value : null);
    const configured = config["base_model_name_or_path"];
    return {
      format: 2,
      digest: adapterDigest({ weights: weights.sha256, config, base }),
      files,
      facts: {
        kind: String(config["peft_type"]),
        rank: numberOr(config["r"]),
        alpha: numberOr(config["lora_alpha"]),
        parameters: [...tensors.values()].reduce((sum, { shape }) => sum + sizeOf(shape), 0),
      },
      names: [{ name: id, version: 1, published: now }],
      retired: [],
      aliases: [],
      tags: card.tags,
      metrics: card.metrics,
      lineage: {
        base,
        baseName: card.baseName ?? (typeof configured === "string" ? configured : null),
        data: card.data,
        run: `hub:${id}`,
        parents: [],
      },
      embedding: null,
      licence: card.licence,
      notes: "",
      created: now,
      updated: now,
    };
  };

  const records = async function* (): AsyncGenerator<AdapterRecord> {
    yield await recordThere();
  };

  let written: string | undefined;
  const write = async (record: AdapterRecord, folder: string, listen: TransferListener): Promise<AdapterEnd> => {
    const adapter = labelOf(record);
    if (written !== undefined && written !== record.digest)
      throw new LowrankError("invalid-argument", "A model on the hub holds one adapter, and several are to go there.", {
        where: `hub:${id}`,
        fix: "Name the adapter to push.",
      });
    written = record.digest;
    const { digest, files } = record;
    listen({ type: "adapter-start", adapter, digest, bytes: Object.values(files).reduce((sum, { bytes }) => sum + bytes, 0) });
    const sources: CommitSource[] = [
      ...adapterFiles.map((name) => ({ name, from: join(folder, name) })),
      { name: cardName, from: Buffer.from(await modelCard(record)) },
      { name: recordName, from: Buffer.from(recordText(record)) },
    ];
    const before = await withRetries(client.policy, () => listFiles(client, id, branch)).catch(() => undefined);
    const { commit, moved } = await commitFiles(client, id, sources, {
      summary: `Publish ${adapter}`,
      branch,
      onProgress: ({ file, sent, total }) => listen({ type: "file-progress", adapter, file, received: sent, total }),
    });
    listing = undefined;
    const outcome = before === undefined ? "new" : before.commit === commit ? "present" : "merged";
    const end: AdapterEnd = { type: "adapter-end", adapter, digest, outcome, moved, renumbered: [] };
    listen(end);
    return end;
  };

  return {
    address: `hub:${id}${branch === "main" ? "" : `@${branch}`}`,
    records,
    find: (reference) => chooseRecord(records(), reference),
    read: (_record, file, from) => read(file, from),
    write,
    close: () => Promise.resolve(),
  };
};

async function* bodyFrom(client: HubClient, listed: () => Promise<HubListing>, name: string, from: number): AsyncGenerator<Uint8Array> {
  const answer = await request(client, filePath(await listed(), name), { from });
  let skip = answer.status === 206 ? 0 : from; // a server that knows no ranges sends everything
  for await (const chunk of answer.body()) {
    const rest = chunk.subarray(Math.min(skip, chunk.length));
    skip -= chunk.length - rest.length;
    if (rest.length > 0) yield rest;
  }
}
