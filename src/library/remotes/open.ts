/** @file Opens the other place that an address names. It knows nothing about what is moved. */
import { retryPolicy, type RetryPolicy } from "../../formats/hub-retry.ts";
import { folderRemote } from "./folder.ts";
import type { Remote } from "./remote.ts";

export interface OpenRemoteOptions {
  /** The server of a bucket or of the hub, where it is not the usual one. */
  readonly endpoint?: string;
  /** Make a library in a folder that has none. Default false. */
  readonly create?: boolean;
  readonly retry?: Partial<RetryPolicy>;
}

interface RemoteKind {
  /** How its addresses begin. */
  readonly form: RegExp;
  open(address: string, options: OpenRemoteOptions): Promise<Remote>;
}

// Each loads its own client: nobody pays for what is not used.
const kinds: readonly RemoteKind[] = [
  {
    form: /^s3:/,
    open: async (address, { endpoint, retry }) => {
      const [{ objectRemote }, { s3Store }] = [await import("./objects.ts"), await import("./s3.ts")];
      return objectRemote(s3Store(address, endpoint === undefined ? {} : { endpoint }, retryPolicy(retry)));
    },
  },
  {
    form: /^https?:/,
    open: async (address, { retry }) => {
      const [{ objectRemote }, { httpStore }] = [await import("./objects.ts"), await import("./http.ts")];
      return objectRemote(httpStore(address, retryPolicy(retry)));
    },
  },
  {
    form: /^(hub|hf):/,
    open: async (address, { endpoint, retry }) => {
      const { hubRemote } = await import("./hub.ts");
      return hubRemote(address, { ...(endpoint !== undefined && { endpoint }), ...(retry !== undefined && { retry }) });
    },
  },
  { form: /^/, open: (path, { create = false }) => folderRemote(path, { create }) },
];

/**
 * Opens `s3://bucket/prefix`, `https://server/folder`, `hub:org/name`, or a folder.
 * @example const remote = await openRemote("s3://adapters/team", { endpoint: "https://storage.example.org" });
 */
export const openRemote = (address: string, options: OpenRemoteOptions = {}): Promise<Remote> =>
  kinds.find(({ form }) => form.test(address))!.open(address, options);
