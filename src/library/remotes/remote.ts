/** @file What another place for adapters must be able to do, and what a transfer says while it goes on. It knows nothing about any particular place. */
import type { AdapterFile, AdapterRecord, Version } from "../record.ts";

/** Reads a file of an adapter from a byte on. */
export type ReadFile = (file: AdapterFile, from: number) => AsyncIterable<Uint8Array>;

export type TransferEvent =
  | { readonly type: "adapter-start"; readonly adapter: string; readonly digest: string; readonly bytes: number }
  /** `received` bytes of the file have arrived, those of an earlier attempt included. */
  | { readonly type: "file-progress"; readonly adapter: string; readonly file: string; readonly received: number; readonly total: number }
  | AdapterEnd;

export interface AdapterEnd {
  readonly type: "adapter-end";
  readonly adapter: string;
  readonly digest: string;
  /** The other side had nothing of it, knew less of it, or had it all. */
  readonly outcome: "new" | "merged" | "present";
  /** Bytes of files that were moved. */
  readonly moved: number;
  /** Versions whose number another adapter had on the other side, and the number they got there. */
  readonly renumbered: readonly { readonly from: Version; readonly to: Version }[];
}

export type TransferListener = (event: TransferEvent) => void;

export interface Remote {
  /** How people name it; without secrets. */
  readonly address: string;
  /** The records of all adapters there, in the order of their digests. */
  records(): AsyncIterable<AdapterRecord>;
  /** The record for `name`, `name@version`, `name:alias` or a digest there. */
  find(reference: string): Promise<AdapterRecord | undefined>;
  /** A file of an adapter there, from a byte on. */
  read(record: AdapterRecord, file: AdapterFile, from: number): AsyncIterable<Uint8Array>;
  /** Takes an adapter whose files lie in `folder`: the files that are missing there, then what is known of it. Absent where one can only read. */
  readonly write?: (record: AdapterRecord, folder: string, listen: TransferListener) => Promise<AdapterEnd>;
  /** Completes what was written. */
  close(): Promise<void>;
}
